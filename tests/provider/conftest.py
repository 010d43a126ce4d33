"""A client of the session's Ray cluster, and Airflow connections that lead to it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator

import pytest

from airflow_provider.client import Cluster, RayClient
from demo.ray_cluster import RayCluster

# Airflow makes folders where its home is, as soon as it is imported: not in the user's.
_HOME = tempfile.TemporaryDirectory(prefix="airflow-home-")
os.environ["AIRFLOW_HOME"] = _HOME.name


@pytest.fixture
def cluster(ray_cluster: RayCluster) -> Cluster:
    return Cluster(ray_cluster.dashboard_url, token=ray_cluster.token)


@pytest.fixture
def ray(cluster: Cluster) -> Iterator[RayClient]:
    with RayClient(cluster) as client:
        yield client


@pytest.fixture
def ray_conn_id(ray_cluster: RayCluster, monkeypatch: pytest.MonkeyPatch) -> str:
    """An Airflow connection, from the environment as in a worker or triggerer."""
    _, _, port = ray_cluster.dashboard_url.rpartition(":")
    fields = {"conn_type": "ray", "host": "127.0.0.1", "port": int(port)}
    with_token = {**fields, "password": ray_cluster.token}
    monkeypatch.setenv("AIRFLOW_CONN_RAY_TEST", json.dumps(with_token))
    monkeypatch.setenv("AIRFLOW_CONN_RAY_NO_TOKEN", json.dumps(fields))
    return "ray_test"
