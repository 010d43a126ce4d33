"""What Airflow learns of the provider when it starts."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import airflow
import jsonschema
import pytest

from airflow_provider.links import RayJobLink, ReportLink, browser_url, job_url
from airflow_provider.plugin import InferenceGraphsPlugin
from airflow_provider.provider_info import get_provider_info

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_metadata_is_valid_by_airflows_schema() -> None:
    schema = (Path(airflow.__file__).parent / "provider_info.schema.json").read_text()
    jsonschema.validate(get_provider_info(), json.loads(schema))


def test_the_package_name_is_the_distributions_name() -> None:
    assert get_provider_info()["package-name"] == PROJECT["name"]


def test_every_module_and_class_that_is_named_exists() -> None:
    info = get_provider_info()
    for kind in ("operators", "sensors", "hooks", "triggers"):
        for entry in info[kind]:
            for module in entry["python-modules"]:
                import_module(module)
    paths = [*info["extra-links"], *(kind["hook-class-name"] for kind in info["connection-types"])]
    for path in paths:
        module, _, name = path.rpartition(".")
        assert hasattr(import_module(module), name), path


def test_the_plugin_registers_the_buttons() -> None:
    names = {type(link) for link in InferenceGraphsPlugin.operator_extra_links}
    assert names == {RayJobLink, ReportLink}


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """An environment in which the distribution is installed, as far as its metadata goes."""
    info = tmp_path / "site" / f"{PROJECT['name'].replace('-', '_')}-{PROJECT['version']}.dist-info"
    info.mkdir(parents=True)
    name, version = PROJECT["name"], PROJECT["version"]
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    points = PROJECT["entry-points"]
    (info / "entry_points.txt").write_text(
        "\n".join(
            f"[{group}]\n" + "\n".join(f"{key} = {value}" for key, value in points[group].items())
            for group in points
        )
    )
    home = tmp_path / "home"
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(info.parent), str(ROOT)]),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
    }


def run(code: str, env: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_airflows_command_line_shows_the_provider(installed: dict[str, str]) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "airflow",
            "providers",
            "get",
            PROJECT["name"],
            "--full",
            "-o",
            "json",
        ],
        env=installed,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "airflow_provider.hooks.RayHook" in done.stdout


def test_the_connection_form_has_our_fields_and_hides_the_token(installed: dict[str, str]) -> None:
    code = """
from airflow.providers_manager import ProvidersManager
manager = ProvidersManager()
manager.initialize_providers_hooks()
fields = [name for name in manager.connection_form_widgets if name.startswith("extra__ray__")]
print({"fields": sorted(fields), "labels": manager.field_behaviours["ray"]["relabeling"]})
"""
    found = ast.literal_eval(run(code, installed))
    assert found["fields"] == [
        "extra__ray__runtime_env",
        "extra__ray__serve_address",
        "extra__ray__verify",
    ]
    assert found["labels"]["password"] == "Token"


def test_importing_the_operators_loads_no_heavy_library(installed: dict[str, str]) -> None:
    code = """
import sys
import airflow_provider.operators, airflow_provider.sensors, airflow_provider.triggers
heavy = ("ray", "torch", "vllm", "pandas", "sentence_transformers")
print([name for name in heavy if name in sys.modules])
"""
    assert ast.literal_eval(run(code, installed)) == []


def test_links_lead_to_the_job_and_to_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    assert job_url("http://head:8265", "score-1") == "http://head:8265/#/jobs/score-1"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://s3:9000/")
    assert browser_url("s3://lake/a b.html") == "http://s3:9000/lake/a%20b.html"
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert "console.aws.amazon.com/s3/object/lake?prefix=a.html" in browser_url("s3://lake/a.html")
    assert browser_url("/lake/a.html") == "file:///lake/a.html"
