"""What ``airflow providers`` and the connection form know of this provider."""

from __future__ import annotations

from typing import Any

_INTEGRATION = "Inference graphs on Ray"


def get_provider_info() -> dict[str, Any]:
    """Metadata after ``airflow/provider_info.schema.json``; ``package-name`` must be our own."""
    return {
        "package-name": "airflow-provider-inference-graphs",
        "name": "Inference graphs on Ray",
        "description": "Scores data with inference graphs on Ray, and flips the same version into "
        "Ray Serve.",
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://docs.ray.io/",
                "tags": ["service"],
            }
        ],
        "operators": [_modules("airflow_provider.operators")],
        "sensors": [_modules("airflow_provider.sensors")],
        "hooks": [_modules("airflow_provider.hooks")],
        "triggers": [_modules("airflow_provider.triggers")],
        "extra-links": ["airflow_provider.links.RayJobLink", "airflow_provider.links.ReportLink"],
        "connection-types": [_ray_connection()],
    }


def _modules(*names: str) -> dict[str, Any]:
    return {"integration-name": _INTEGRATION, "python-modules": list(names)}


def _ray_connection() -> dict[str, Any]:
    return {
        "connection-type": "ray",
        "hook-class-name": "airflow_provider.hooks.RayHook",
        "hook-name": "Ray",
        "conn-fields": {
            "serve_address": {
                "label": "Serve address",
                "schema": {"type": ["string", "null"]},
                "description": "HTTP address of Ray Serve; http://<host>:8000 when empty",
            },
            "verify": {
                "label": "Verify TLS",
                "schema": {"type": ["string", "null"], "default": "true"},
                "description": "true, false, or the path of a CA bundle",
            },
            "runtime_env": {
                "label": "Runtime environment",
                "schema": {"type": ["string", "null"]},
                "description": "JSON, for every job; shown in Ray's dashboard, so no secrets",
            },
        },
        "ui-field-behaviour": {
            "hidden-fields": ["login"],
            "relabeling": {
                "host": "Dashboard host",
                "port": "Dashboard port",
                "schema": "Scheme",
                "password": "Token",
            },
            "placeholders": {
                "host": "ray-head.example.org",
                "port": "8265",
                "schema": "http",
                "password": "what `ray get-auth-token` prints on the head node",
            },
        },
    }
