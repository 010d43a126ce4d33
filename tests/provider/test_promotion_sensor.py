"""The sensor's wait for a report: what it takes, what it refuses, and when it gives up."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout, TaskDeferred

from airflow_provider.jobs import PermanentFailure
from airflow_provider.sensors import PromotionSensor
from airflow_provider.triggers import Gate, ReportTrigger, look_at_gate
from graphs.spec import Counts, Input, LargestShare, Manifest, Report, RowsConserved, Verdict
from graphs.storage.snapshots import Dataset
from tests.provider.airflow_context import StateStore, TaskInstance, context

DAY = "2026-01-01"


def commit(dataset: Path, run_key: str) -> None:
    """Commits an empty snapshot of a run, over an earlier one."""
    store = Dataset(str(dataset))
    before = store.read_manifest(DAY)
    manifest = Manifest(
        run_key=run_key,
        graph="g",
        version="v",
        key="id",
        partition_key=DAY,
        input=Input(uri="/in"),
        files=(),
        counts=Counts(),
        statistics={},
        committed_at=datetime.now(UTC),
    )
    store.commit(manifest, before[1] if before else None)


def judge(dataset: Path, run_key: str, *, passed: bool) -> None:
    """Writes the report of a run."""
    verdicts = (
        Verdict(expectation=RowsConserved(), passed=True, observed="0 in, 0 out"),
        Verdict(
            expectation=LargestShare(column="topic", maximum=0.5),
            passed=passed,
            observed="topic 'dates' makes up 0.9 of the rows",
        ),
    )
    report = Report(
        run_key=run_key,
        graph="g",
        version="v",
        partition_key=DAY,
        verdicts=verdicts,
        counts=Counts(),
        statistics={},
        made_at=datetime.now(UTC),
    )
    Dataset(str(dataset)).write_report(report, "<!doctype html>")


def sensor(dataset: Path, **arguments: Any) -> PromotionSensor:
    given = {"partition_key": DAY, "registry": str(dataset / "registry"), "route": "/topics"}
    return PromotionSensor(
        task_id="promote", graph="g:g", dataset=str(dataset), **{**given, **arguments}
    )


def trigger(dataset: Path, *, run_key: str | None = None, wait_s: float = 60) -> ReportTrigger:
    made = ReportTrigger(
        dataset=str(dataset),
        partition_key=DAY,
        run_key=run_key,
        poll_s=0.05,
        give_up_at=time.time() + wait_s,
    )
    path, arguments = made.serialize()
    assert path == "airflow_provider.triggers.ReportTrigger"
    return ReportTrigger(**arguments)


async def event_of(waiting: ReportTrigger) -> Gate:
    (payload,) = [event.payload async for event in waiting.run()]
    return Gate.model_validate(payload)


def test_the_gate_waits_for_the_commit_then_for_the_report(tmp_path: Path) -> None:
    assert look_at_gate(str(tmp_path), DAY, None).reason == f"partition {DAY} is not committed yet"
    commit(tmp_path, "r1")
    assert look_at_gate(str(tmp_path), DAY, None).reason == "run r1 has no report yet"
    judge(tmp_path, "r1", passed=True)
    assert look_at_gate(str(tmp_path), DAY, None).state == "passed"


def test_an_earlier_runs_report_does_not_count_for_the_run_in_question(tmp_path: Path) -> None:
    commit(tmp_path, "r1")
    judge(tmp_path, "r1", passed=True)
    gate = look_at_gate(str(tmp_path), DAY, "r2")
    assert (gate.state, gate.reason) == ("waiting", f"partition {DAY} holds run r1, not yet r2")


def test_the_trigger_sees_a_report_that_comes_later(tmp_path: Path) -> None:
    async def main() -> Gate:
        waiting = asyncio.create_task(event_of(trigger(tmp_path, run_key="r1")))
        await asyncio.to_thread(commit, tmp_path, "r1")
        assert not waiting.done()
        await asyncio.to_thread(judge, tmp_path, "r1", passed=True)
        return await waiting

    assert asyncio.run(main()).state == "passed"


def test_the_trigger_gives_up_at_its_time(tmp_path: Path) -> None:
    gate = asyncio.run(event_of(trigger(tmp_path, wait_s=0.1)))
    assert gate.state == "timed_out"
    given = context(TaskInstance(task_id="promote"), StateStore())
    with pytest.raises(AirflowSensorTimeout, match="not committed yet"):
        sensor(tmp_path).gate_decided(given, gate.model_dump(mode="json"))


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_failed_report_fails_the_task_at_once_naming_the_expectation(
    tmp_path: Path, deferrable: bool
) -> None:
    commit(tmp_path, "r1")
    judge(tmp_path, "r1", passed=False)
    ti = TaskInstance(task_id="promote")
    with pytest.raises(PermanentFailure, match=r"GateFailed: .*largest_share: topic 'dates'"):
        sensor(tmp_path, deferrable=deferrable, run={"run_key": "r1"}).execute(
            context(ti, StateStore())
        )
    assert ti.pushed["_link_ReportLink"].endswith("/r1.html"), "the report is a click away"


def test_a_missing_snapshot_is_waited_for_in_the_triggerer_up_to_the_sensors_timeout(
    tmp_path: Path,
) -> None:
    ti = TaskInstance(task_id="promote")
    made = sensor(tmp_path, run="r1", timeout=90, poke_interval=3)
    with pytest.raises(TaskDeferred) as deferred:
        made.execute(context(ti, StateStore()))
    waiting = deferred.value.trigger
    assert isinstance(waiting, ReportTrigger)
    assert (waiting.run_key, waiting.poll_s) == ("r1", 3)
    assert waiting.give_up_at == pytest.approx(ti.start_date.timestamp() + 90)


def test_what_is_submitted_names_serve_where_the_connection_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_RAY_TEST", "ray://head?serve_address=http%3A%2F%2Fserve%3A80")
    made = sensor(
        tmp_path, ray_conn_id="ray_test", parity={"sample": 7, "tolerance": {"score": 0.01}}
    )
    spec = made.spec()
    assert (spec.serve_address, spec.route, spec.alias) == (
        "http://serve:80",
        "/topics",
        "champion",
    )
    assert (spec.sample, spec.tolerance) == (7, {"score": 0.01})
    with pytest.raises(PermanentFailure, match="route 'topics' must start with a slash"):
        sensor(tmp_path, ray_conn_id="ray_test", route="topics").spec()
