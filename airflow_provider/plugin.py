"""What Airflow loads through the entry point ``airflow.plugins``.

Plugins named in provider metadata are ignored by default (airflow 3.3.2), hence the entry point.
"""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from airflow_provider.links import RayJobLink, ReportLink


class InferenceGraphsPlugin(AirflowPlugin):
    """Registers the buttons, so that the API server knows their names."""

    name = "inference_graphs"
    operator_extra_links = [RayJobLink(), ReportLink()]  # noqa: RUF012 - Airflow's own shape
