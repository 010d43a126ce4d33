"""A real Airflow on 127.0.0.1: scheduler, triggerer, dag processor and api-server."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil

from demo import processes
from demo.airflow_api import AirflowApi, wait_until
from demo.ports import HOST, free_ports
from demo.processes import NotReady, Process

READY_WITHIN_S = 120.0
MIGRATE_WITHIN_S = 180.0
COMPONENTS = {
    "api-server": ["api-server"],
    # All components see the same log files, so none has to serve them.
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}


@dataclass
class Airflow:
    """A running Airflow and how to reach it."""

    components: dict[str, Process]
    url: str
    folder: str
    env: dict[str, str]

    @cached_property
    def api(self) -> AirflowApi:
        """A signed-in client."""
        return AirflowApi(self.url)

    def cli(self, *arguments: str) -> str:
        """Run an ``airflow`` command; its output.

        Raises:
            NotReady: it failed.
        """
        return _cli(list(arguments), self.env, Path(self.folder))

    def task_processes(self) -> list[psutil.Process]:
        """The processes in which the executor runs tasks now: supervisors and their children."""
        return [child for worker in self.workers() for child in processes.living_below(worker)]

    def workers(self) -> list[psutil.Process]:
        """The local executor's worker processes."""
        return [one for one in self.components["scheduler"].members() if _is_worker(one)]

    def kill(self, name: str) -> None:
        """SIGKILL a component with all its children, as the kernel does when memory is short."""
        process = self.components[name]
        for member in process.members():
            with suppress(psutil.NoSuchProcess):
                member.kill()
        wait_until(lambda: not process.is_running, f"{name} to be gone", within_s=30)

    def restart(self, name: str) -> None:
        """Start a component that has ended again, and wait until it is healthy."""
        self.components[name] = processes.start(
            f"airflow-{name}", _airflow(*COMPONENTS[name]), self.env, Path(self.folder)
        )
        await_healthy(self)


def _is_worker(process: psutil.Process) -> bool:
    try:
        return any("LocalExecutor" in word for word in process.cmdline())
    except psutil.NoSuchProcess:
        return False


def start(folder: Path, env: Mapping[str, str], dags: Sequence[Path]) -> Airflow:
    """Migrate the database, start the four components and wait until all are healthy.

    Args:
        folder: the stack's data folder; Airflow's home lies in it.
        env: environment of the components and so of every task, connections included.
        dags: folders of DAG files.

    Raises:
        NotReady: a component did not start.
    """
    (port,) = free_ports(1)
    home = folder / "airflow"
    home.mkdir(parents=True, exist_ok=True)
    full_env = {**env, **_settings(home, dags, port)}
    _cli(["db", "migrate"], full_env, folder)
    components = {
        name: processes.start(f"airflow-{name}", _airflow(*command), full_env, folder)
        for name, command in COMPONENTS.items()
    }
    airflow = Airflow(components, f"http://{HOST}:{port}", str(folder), full_env)
    await_healthy(airflow)
    return airflow


def await_healthy(airflow: Airflow, *, within_s: float = READY_WITHIN_S) -> None:
    """Wait until every component reports a fresh heartbeat.

    Raises:
        NotReady: one did not, or ended.
    """
    for name, process in airflow.components.items():
        processes.await_ready(process, partial(_is_healthy, airflow, name), within_s=within_s)


def _is_healthy(airflow: Airflow, name: str) -> bool:
    try:
        health = airflow.api.health()
    except httpx.HTTPError:
        return False
    if name == "api-server":
        return True
    key = name.replace("-", "_")
    heartbeat = health[key][f"latest_{key}_heartbeat"]
    # One from before this process started says nothing about it.
    started_at = airflow.components[name].created_at
    return heartbeat is not None and datetime.fromisoformat(heartbeat).timestamp() > started_at


def _airflow(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "airflow", *arguments]


def _cli(arguments: list[str], env: Mapping[str, str], folder: Path) -> str:
    name = f"airflow-{'-'.join(arguments[:2])}"
    log = folder / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        _airflow(*arguments),
        env=dict(env),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=MIGRATE_WITHIN_S,
        check=False,
    )
    log.write_text(done.stdout + done.stderr)
    if done.returncode != 0:
        raise NotReady(name, f"failed with status {done.returncode}", log)
    return done.stdout


def _settings(home: Path, dags: Sequence[Path], port: int) -> dict[str, str]:
    url = f"http://{HOST}:{port}"
    settings = {
        ("core", "executor"): "LocalExecutor",
        ("core", "parallelism"): "3",
        ("core", "dags_folder"): str(home / "no-dags"),
        ("core", "load_examples"): "False",
        ("core", "simple_auth_manager_all_admins"): "True",
        ("core", "execution_api_server_url"): f"{url}/execution/",
        # No component serves its logs to the others (they see the same files), so none has a name
        # under which the api-server would ask it for them: str() is "".
        ("core", "hostname_callable"): "builtins.str",
        ("core", "fernet_key"): "",
        # Five processes share one file: let each wait for the others' writes.
        ("database", "sql_alchemy_conn"): f"sqlite:///{home / 'airflow.db'}?timeout=60",
        ("api", "host"): HOST,
        ("api", "port"): str(port),
        ("api", "base_url"): url,
        ("api", "workers"): "1",
        ("api", "secret_key"): secrets.token_hex(16),
        ("api_auth", "jwt_secret"): secrets.token_hex(32),
        ("scheduler", "scheduler_idle_sleep_time"): "0.3",
        # A killed worker is noticed after the heartbeat's timeout, in seconds instead of minutes.
        ("scheduler", "task_instance_heartbeat_sec"): "2",
        ("scheduler", "task_instance_heartbeat_timeout"): "15",
        ("scheduler", "task_instance_heartbeat_timeout_detection_interval"): "3",
        ("scheduler", "scheduler_health_check_threshold"): "30",
        ("triggerer", "job_heartbeat_sec"): "2",
        ("triggerer", "triggerer_health_check_threshold"): "10",
        ("dag_processor", "dag_bundle_config_list"): json.dumps(_bundles(dags)),
        ("dag_processor", "refresh_interval"): "2",
        ("dag_processor", "min_file_process_interval"): "5",
        ("dag_processor", "bundle_refresh_check_interval"): "1",
    }
    return {
        "AIRFLOW_HOME": str(home),
        "NO_COLOR": "1",
        **{
            f"AIRFLOW__{section}__{key}".upper(): value
            for (section, key), value in settings.items()
        },
    }


def _bundles(dags: Sequence[Path]) -> list[dict[str, object]]:
    kind = "airflow.dag_processing.bundles.local.LocalDagBundle"
    return [
        {"name": f"dags-{number}", "classpath": kind, "kwargs": {"path": str(folder)}}
        for number, folder in enumerate(dags, 1)
    ]


def ray_connection(dashboard_url: str, token: str, serve_url: str) -> dict[str, str]:
    """The connection ``ray_default``, as the variable from which Airflow reads it."""
    dashboard = urlsplit(dashboard_url)
    value = {
        "conn_type": "ray",
        "schema": dashboard.scheme,
        "host": dashboard.hostname,
        "port": dashboard.port,
        "password": token,
        "extra": {"serve_address": serve_url},
    }
    return {"AIRFLOW_CONN_RAY_DEFAULT": json.dumps(value)}
