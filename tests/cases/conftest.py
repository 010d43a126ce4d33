from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from graphs.compiler import compile
from tests.cases.case import Case
from tests.cases.suite import CASES
from tests.promotion.cluster import free_port

ROOT = Path(__file__).parents[2]


def private_ray(runtime_env: dict[str, str]) -> Iterator[None]:
    """A private Ray of four CPUs; gone when the fixture that asked for it is."""
    import ray

    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(ROOT)  # the workers inherit it
    ray.init(
        address="local",
        num_cpus=4,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=200 * 2**20,
        runtime_env=runtime_env,
    )
    yield
    ray.shutdown()
    os.environ.pop("PYTHONPATH")
    if before is not None:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="module")  # not longer: a process can be in one cluster at a time
def cluster() -> Iterator[None]:
    """A private Ray."""
    yield from private_ray({})


@pytest.fixture(scope="module")
def served(cluster: None) -> Iterator[Callable[[Case], str]]:
    """Where the graph of a case answers: all that fit into one process share one, the others are
    brought online alone."""
    from ray import serve

    from graphs.runtimes.ray_serve.deploy import deploy, start_serve
    from tests.cases.crowd import Crowd

    address = f"http://127.0.0.1:{free_port()}"
    graphs = {_name(case): case.graph.graph for case in CASES if is_for_online(case)}
    plans = {name: compile(graph, "online") for name, graph in graphs.items()}
    alone = {name: plan for name, plan in plans.items() if len(plan.deployments) > 1}
    start_serve(address)
    crowd = {name: plan for name, plan in plans.items() if name not in alone}
    target: Any = serve.deployment(max_ongoing_requests=64)(Crowd)
    serve.run(target.bind(crowd), name="crowd", route_prefix="/crowd")
    for name, plan in alone.items():
        deploy(plan, app=name, route=f"/{name}", serve_address=address)

    def url(case: Case) -> str:
        name = _name(case)
        return f"{address}/{name}" if name in alone else f"{address}/crowd/{name}/"

    yield url
    serve.shutdown()


def is_for_online(case: Case) -> bool:
    """Whether a case can be asked about over HTTP: a request sets no run parameters."""
    return "online" not in case.refused and not case.parameters


def _name(case: Case) -> str:
    return case.ref.removeprefix("tests.cases.graphs.").replace(":", "-")
