"""The local stack: S3, Ray and Airflow on 127.0.0.1, with their data under one folder.

``make demo`` and the tests start the same stack. Every component runs under a reaper
(:mod:`demo.reaper`), and what was started is recorded as it starts, so :func:`down` leaves no
process behind, even when whoever started the stack was killed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from demo import airflow, processes, ray_cluster, s3
from demo.airflow import Airflow
from demo.processes import PROJECT
from demo.ray_cluster import RayCluster
from demo.s3 import S3

LAKE = f"s3://{s3.BUCKET}"
# Of the environment of whoever starts the stack, only what programs need at all goes in: no
# credentials, and no AIRFLOW__… or RAY_… that would change what is started.
INHERITED = ("HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "USER", "LD_LIBRARY_PATH")


@dataclass(frozen=True)
class Stack:
    """A running stack."""

    folder: Path
    s3: S3
    ray: RayCluster
    airflow: Airflow

    @property
    def client_env(self) -> dict[str, str]:
        """What a command line needs to work with the stack."""
        return {**self.s3.env, **self.ray.client_env, "GRAPHS_LAKE": LAKE}


def base_env() -> dict[str, str]:
    """Environment of every component: this Python first, nothing asks the internet."""
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {
        **kept,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": str(PROJECT),
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "GRAPHS_LAKE": LAKE,
    }


def up(folder: Path, dags: Path, announce: Callable[[str], None] = lambda step: None) -> Stack:
    """Start everything; what an earlier stack left running in the folder is ended first.

    Args:
        folder: absolute; data, logs and secrets are kept there, readable by this user only.
        dags: folder of DAG files.
        announce: told what is started next.

    Raises:
        NotReady: a component did not start; what had started is left for :func:`down`.
    """
    down(folder)
    prepare(folder)
    env = base_env()
    announce("S3")
    store = s3.start(folder, env)
    announce("Ray")
    cluster = ray_cluster.start(folder, {**env, **store.env})
    announce("Airflow")
    scheduler = airflow.start(folder, airflow_env(env, store, cluster), [dags])
    stack = Stack(folder, store, cluster, scheduler)
    _write_env(stack)
    return stack


def prepare(folder: Path) -> None:
    """Make the folder, without an earlier stack's logs and Airflow database.

    Objects stay. Airflow's history goes: with it, runs would be skipped as done although nothing
    is online any more.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for name in ("logs", "airflow"):
        shutil.rmtree(folder / name, ignore_errors=True)


def airflow_env(env: dict[str, str], store: S3, cluster: RayCluster) -> dict[str, str]:
    """Environment of Airflow: storage credentials, and Ray through a connection."""
    ray = airflow.ray_connection(cluster.dashboard_url, cluster.token, cluster.serve_url)
    return {**env, **store.env, **ray}


def down(folder: Path) -> None:
    """End every process of the stack in a folder; nothing happens when there is none."""
    processes.end(folder)
    ray_cluster.remove_temp_folder(folder)


def _write_env(stack: Stack) -> None:
    path = stack.folder / "env.sh"
    path.touch(mode=0o600)
    lines = [f"export {name}={shlex.quote(value)}" for name, value in stack.client_env.items()]
    path.write_text("\n".join(["# source this to use the demo's S3 and Ray", *lines, ""]))
