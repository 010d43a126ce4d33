"""A bad flip does not happen: the previous champion goes on answering, and the task says why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from demo.airflow import Airflow
from demo.airflow_api import DagRun, wait_until
from demo.ray_cluster import RayCluster
from demo.s3 import BUCKET, S3
from tests.end_to_end.worlds import World, restore_weights, tamper_with_weights

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def world(s3: S3, airflow: Airflow, ray_cluster: RayCluster) -> Iterator[World]:
    restore_weights()
    with pytest.MonkeyPatch.context() as environment:
        for name, value in s3.env.items():
            environment.setenv(name, value)
        yield World(f"s3://{BUCKET}/flip", airflow, ray_cluster)


@pytest.fixture(scope="module")
def champion(world: World) -> str:
    """The version that went live with the first partition."""
    world.write_partition("good")
    run = world.start("trial_online", "good")
    assert world.finish(run).state == "success", why(world, run)
    version = world.champion()
    assert version == world.result(run).version
    return version


@pytest.fixture(autouse=True)
def weights() -> Iterator[None]:
    yield
    restore_weights()


def why(world: World, run: DagRun) -> str:
    task = world.airflow.api.task(run.dag_id, run.run_id, "promote")
    return world.airflow.api.task_log(run.dag_id, run.run_id, "promote", max(task.try_number, 1))


def test_the_version_that_scored_the_snapshot_answers_online(world: World, champion: str) -> None:
    answer = world.ask(7)

    assert answer.status_code == 200
    assert answer.headers["X-Graph-Version"] == champion
    assert answer.json() == {"id": "asked", "topic": "odd", "score": pytest.approx(0.7)}


def test_a_graph_that_answers_the_same_to_everything_does_not_pass_the_gate(
    world: World, champion: str
) -> None:
    world.write_partition("constant")

    run = world.start("trial_online", "constant", graph="constant")

    assert world.finish(run).state == "failed"
    assert "largest_share" in why(world, run)
    assert not world.result(run).passed
    assert world.champion() == champion
    assert world.ask(7).headers["X-Graph-Version"] == champion
    assert world.ask(7).json()["topic"] == "odd"


def test_an_artifact_that_differs_online_fails_parity(world: World, champion: str) -> None:
    world.write_partition("tampered")
    before = world.release()
    assert before is not None
    run = world.start("trial_online", "tampered", graph="reworked")

    # The promoting job has compared versions by then; the replica has not loaded the artifact.
    wait_until(
        lambda: (
            (now := world.release()) is not None
            and now.id != before.id
            and now.state == "deploying"
        ),
        "the release to be deploying",
        within_s=120,
        seen=world.release,
    )
    tamper_with_weights()

    assert world.finish(run).state == "failed"
    reason = why(world, run)
    assert "ParityFailed" in reason
    assert "tampered-" in reason, "the message names a key"
    assert world.champion() == champion
    assert world.ask(7).headers["X-Graph-Version"] == champion
    assert world.ask(7).json()["score"] == pytest.approx(0.7)
