"""The stack is what the demo says it is: real, on 127.0.0.1, and closed to others."""

from __future__ import annotations

import httpx
import psutil
import pytest

from demo.airflow import Airflow
from demo.ports import HOST
from demo.processes import Process
from demo.ray_cluster import RayCluster
from demo.s3 import S3

pytestmark = pytest.mark.server


# Ray Serve hard-codes that these listen on every address.
SERVE = ("haproxy", "ray::ServeReplica")


def addresses_listened_on(process: Process) -> set[str]:
    found = set()
    for member in process.members():
        if member.name().startswith(SERVE):
            continue
        connections = member.net_connections(kind="inet")
        found |= {one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN}
    return {address.removeprefix("::ffff:") for address in found}


def test_ray_refuses_whoever_has_no_token(ray_cluster: RayCluster) -> None:
    assert httpx.get(f"{ray_cluster.dashboard_url}/api/jobs/").status_code == 401
    assert ray_cluster.get("/api/jobs/").status_code == 200


def test_every_component_listens_on_the_loopback_address_only(
    s3: S3, ray_cluster: RayCluster, airflow: Airflow
) -> None:
    components = [s3.process, ray_cluster.process, *airflow.components.values()]

    assert {address for one in components for address in addresses_listened_on(one)} == {HOST}


def test_airflow_knows_the_example_dag_and_every_file_imports(airflow: Airflow) -> None:
    airflow.api.await_dag("topics")

    assert airflow.api.import_errors() == []


def test_a_killed_component_is_noticed_and_comes_back(airflow: Airflow) -> None:
    airflow.kill("triggerer")
    assert not airflow.components["triggerer"].is_running

    airflow.restart("triggerer")

    assert airflow.api.health()["triggerer"]["status"] == "healthy"
