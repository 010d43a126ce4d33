"""Whatever is killed while a day is scored, every row ends up in the output exactly once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from demo.airflow import Airflow
from demo.ray_cluster import RayCluster
from tests.end_to_end.worlds import FILES, World, restore_weights

pytestmark = pytest.mark.server


@pytest.fixture
def world(lake: str, airflow: Airflow, ray_cluster: RayCluster) -> World:
    restore_weights()
    return World(lake, airflow, ray_cluster)


def test_a_driver_killed_in_the_middle_is_followed_by_one_that_computes_only_the_rest(
    world: World, tmp_path: Path
) -> None:
    flag = tmp_path / "go-on"
    keys = world.write_partition("a", flag=flag)
    run = world.start("trial", "a")
    world.await_done_records(2)

    for driver in world.ray.job_drivers():
        driver.kill()
    flag.touch()
    finished = world.finish(run)

    assert finished.state == "success"
    result = world.result(run)
    assert (result.shards, result.shards_resumed, result.shards_computed) == (FILES, 2, FILES - 2)
    assert result.counts.rows_in == result.counts.rows_out == len(keys)
    assert world.snapshot_keys("a") == Counter(keys)
    attempts = {record["attempt"].rpartition("-")[0] for record in world.done_records()}
    assert len(attempts) == 2
    assert len(world.jobs_of(run)) == 2


def test_a_killed_worker_is_followed_by_one_that_finds_the_job(
    world: World, tmp_path: Path
) -> None:
    flag = tmp_path / "go-on"
    keys = world.write_partition("b", flag=flag)
    run = world.start("trial_in_worker", "b")
    world.await_done_records(2)

    for process in world.airflow.task_processes():
        process.kill()
    world.airflow.api.await_task(
        run.dag_id, run.run_id, "score", "up_for_retry", "queued", "scheduled", within_s=90
    )
    flag.touch()
    finished = world.finish(run)

    assert finished.state == "success"
    assert len(world.jobs_of(run)) == 1
    assert world.result(run).shards_computed == FILES
    assert world.snapshot_keys("b") == Counter(keys)


def test_a_killed_triggerer_is_followed_by_one_that_finds_the_job(
    world: World, tmp_path: Path
) -> None:
    flag = tmp_path / "go-on"
    keys = world.write_partition("c", flag=flag)
    run = world.start("trial", "c")
    world.await_done_records(2)

    world.airflow.kill("triggerer")
    world.airflow.restart("triggerer")
    flag.touch()
    finished = world.finish(run)

    assert finished.state == "success"
    assert len(world.jobs_of(run)) == 1
    assert world.airflow.api.task(run.dag_id, run.run_id, "score").try_number == 1
    assert world.snapshot_keys("c") == Counter(keys)


def test_a_day_scored_twice_computes_nothing_the_second_time(world: World) -> None:
    world.write_partition("d")
    first = world.start("trial", "d")
    assert world.finish(first).state == "success"

    second = world.start("trial", "d")

    assert world.finish(second).state == "success"
    assert world.result(second).was_committed
    assert world.result(second).shards_computed == 0
    assert world.result(second).run_key == world.result(first).run_key
