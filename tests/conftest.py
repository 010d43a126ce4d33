"""One S3, one Ray and one Airflow for the whole session, each started when first asked for."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo import airflow as airflow_component
from demo import processes, stack
from demo import ray_cluster as ray_component
from demo import s3 as s3_component
from demo.airflow import Airflow
from demo.processes import PROJECT
from demo.ray_cluster import RayCluster
from demo.s3 import S3

DAG_FOLDERS = (PROJECT / "dags", PROJECT / "tests" / "end_to_end" / "dags")


@pytest.fixture(scope="session")
def stack_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the session's servers keep their data; when the session ends, none is left behind."""
    folder = tmp_path_factory.mktemp("stack")
    stack.prepare(folder)
    yield folder
    stack.down(folder)
    assert processes.leftovers(folder) == []


@pytest.fixture(scope="session")
def s3(stack_folder: Path) -> S3:
    """An S3 server that checks credentials, with a bucket."""
    return s3_component.start(stack_folder, stack.base_env())


@pytest.fixture(scope="session")
def ray_cluster(stack_folder: Path, s3: S3) -> RayCluster:
    """A Ray head node with dashboard, token authentication and four logical CPUs.

    Its processes reach the session's S3.
    """
    return ray_component.start(stack_folder, {**stack.base_env(), **s3.env})


@pytest.fixture(scope="session")
def airflow(stack_folder: Path, s3: S3, ray_cluster: RayCluster) -> Airflow:
    """A real Airflow that reaches the session's S3 and, as ``ray_default``, its Ray."""
    env = stack.airflow_env(stack.base_env(), s3, ray_cluster)
    return airflow_component.start(stack_folder, env, DAG_FOLDERS)


@pytest.fixture
def lake(s3: S3, monkeypatch: pytest.MonkeyPatch) -> str:
    """URI of an empty place in the session's S3; this process gets the credentials."""
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    return f"s3://{s3_component.BUCKET}/{uuid.uuid4().hex}"
