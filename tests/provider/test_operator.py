"""What an operator submits, and what it makes of the outcome."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred

from airflow_provider.client import JobEnd, JobStatus, RayClient, SubmittedJob, get_job
from airflow_provider.jobs import (
    PARTITION_KEY,
    ClusterLost,
    DeadlinePassed,
    JobDied,
    PermanentFailure,
    TransientFailure,
)
from airflow_provider.jobs.submission import STATE_KEY
from airflow_provider.operators import RunGraphOperator
from airflow_provider.triggers import RayJobTrigger
from graphs.spec import Between, ErrorBudget, Failure, Input, Outcome, RowsConserved
from graphs.storage.outcomes import write_outcome
from tests.provider.airflow_context import StateStore, TaskInstance, context


def operator(**arguments: Any) -> RunGraphOperator:
    given = {"graph": "g:g", "input": "/in", "dataset": "/out", "partition_key": "2026-01-01"}
    return RunGraphOperator(task_id="score", **{**given, **arguments})


def ended(tmp_path: Path, **fields: Any) -> dict[str, Any]:
    outcome = str(tmp_path / "jobs" / "score-0a-0.json")
    job = SubmittedJob(identity="score-0a", ordinal=0, outcome=outcome, since=0)
    end = {"cause": "ended", "status": "FAILED", **fields}
    return JobEnd(job=job, **end).model_dump(mode="json")


def test_arguments_become_the_spec_that_is_submitted() -> None:
    spec = operator(
        input=Input(uri="/in", partition_by="day"),
        expectations=[RowsConserved(), {"kind": "no_nulls", "column": "topic"}],
        error_budget=ErrorBudget(share=0.5),
        parameters={"threshold": 0.3},
    ).spec()
    assert spec.input == Input(uri="/in", partition_by="day")
    assert [one.kind for one in spec.expectations] == ["rows_conserved", "no_nulls"]
    assert spec.error_budget.share == 0.5
    assert spec.parameters == {"threshold": 0.3}
    assert spec.output == "/out"


def test_records_are_rendered_and_shown_like_plain_values() -> None:
    made = operator(expectations=[Between(column="score", minimum=0, maximum=1)])
    assert made.expectations == [
        {"kind": "between", "column": "score", "minimum": 0.0, "maximum": 1.0}
    ]
    assert set(made.template_fields_renderers) <= set(made.template_fields)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"partition_key": "us/2026"}, "partition_key: .*not a plain path segment"),
        ({"input": {"url": "/in"}}, r"input\.uri: Field required; input\.url: Extra inputs"),
        ({"expectations": [{"kind": "no_nuls"}]}, r"expectations\.0: .*no_nuls"),
        ({"error_budget": {"share": 2}}, r"error_budget\.share: .*less than or equal to 1"),
    ],
)
def test_a_wrong_argument_is_named_before_anything_is_submitted(
    arguments: dict[str, Any], told: str
) -> None:
    with pytest.raises(PermanentFailure, match=told):
        operator(**arguments).spec()


@pytest.mark.parametrize(
    ("partition_key", "logical_date", "expected"),
    [
        ("2026-03-04", None, "2026-03-04"),
        (None, datetime(2026, 3, 5, 6, tzinfo=UTC), "2026-03-05"),
        (None, None, "2026-03-06"),
    ],
)
def test_the_partition_is_that_of_the_run_with_or_without_a_logical_date(
    partition_key: str | None, logical_date: datetime | None, expected: str
) -> None:
    dag_run = SimpleNamespace(
        partition_key=partition_key,
        logical_date=logical_date,
        run_after=datetime(2026, 3, 6, tzinfo=UTC),
    )
    rendered = operator(partition_key=PARTITION_KEY).render_template(
        PARTITION_KEY, {"dag_run": dag_run}
    )
    assert rendered == expected


def test_a_failure_that_cannot_heal_stops_airflow_from_retrying(tmp_path: Path) -> None:
    event = ended(tmp_path)
    failure = Failure(error="ErrorBudgetSpent", message="7 of 10 rejected", is_retryable=False)
    write_outcome(event["job"]["outcome"], Outcome(outcome=failure))
    with pytest.raises(PermanentFailure, match="ErrorBudgetSpent: 7 of 10 rejected") as raised:
        operator().result_of(event)
    assert isinstance(raised.value, AirflowFailException)


def test_a_failure_that_can_heal_is_retried(tmp_path: Path) -> None:
    event = ended(tmp_path)
    failure = Failure(error="CommitConflict", message="try again", is_retryable=True)
    write_outcome(event["job"]["outcome"], Outcome(outcome=failure))
    with pytest.raises(TransientFailure, match="CommitConflict: try again") as raised:
        operator().result_of(event)
    assert isinstance(raised.value, AirflowException)
    assert not isinstance(raised.value, AirflowFailException)


@pytest.mark.parametrize(
    ("fields", "kind", "told"),
    [
        ({"message": "exit code -9, last available logs: x"}, JobDied, "exit code -9\n"),
        ({"cause": "deadline", "status": "STOPPED"}, DeadlinePassed, "was stopped at its deadline"),
        ({"cause": "deadline", "status": "RUNNING"}, DeadlinePassed, "could not be verified"),
        ({"cause": "lost", "message": "no job"}, ClusterLost, "unknown to the cluster: no job"),
        ({"cause": "out_of_reach", "status": None}, ClusterLost, "could not be followed"),
    ],
)
def test_a_job_without_an_outcome_is_told_with_the_last_lines_of_its_log(
    tmp_path: Path, fields: dict[str, Any], kind: type[TransientFailure], told: str
) -> None:
    event = ended(tmp_path, log_tail="the last words", **fields)
    with pytest.raises(kind, match=told) as raised:
        operator().result_of(event)
    assert "the last words" in str(raised.value)
    assert "score-0a-0" in str(raised.value)


@pytest.mark.server
def test_an_unauthorised_cluster_fails_the_task_at_once_with_the_remedy(ray_conn_id: str) -> None:
    made = operator(ray_conn_id="ray_no_token", deferrable=False)
    with pytest.raises(PermanentFailure, match=r"NotAuthorised: .*password of the Airflow conn"):
        made.execute(context(TaskInstance(), StateStore()))


@pytest.mark.server
@pytest.mark.parametrize("deferrable", [False, True])
def test_a_graph_that_does_not_import_fails_the_task_by_name_in_both_modes(
    ray_conn_id: str, tmp_path: Path, deferrable: bool
) -> None:
    made = operator(
        graph="nowhere.at_all:graph",
        dataset=str(tmp_path),
        ray_conn_id=ray_conn_id,
        deferrable=deferrable,
    )
    ti = TaskInstance(run_id=f"manual__{time.time_ns()}")
    with pytest.raises(PermanentFailure, match=r"GraphNotFound: .*nowhere"):
        in_either_mode(made, context(ti, StateStore()))
    assert "/#/jobs/score-" in ti.pushed["_link_RayJobLink"]


def in_either_mode(made: RunGraphOperator, given: Any) -> Any:
    """What Airflow does: execute, and when that defers, run the trigger and resume."""
    try:
        return made.execute(given)
    except TaskDeferred as deferred:
        trigger = deferred.trigger
        assert isinstance(trigger, RayJobTrigger)

        async def event() -> Any:
            (payload,) = [one.payload async for one in trigger.run()]
            return payload

        resume = getattr(made, deferred.method_name)
        return resume(given, event=asyncio.run(event()))


@contextmanager
def killed_while_following(made: RunGraphOperator, store: StateStore) -> Iterator[None]:
    """SIGTERM reaches this process as soon as the job is recorded, as Airflow sends it."""
    before = signal.signal(signal.SIGTERM, lambda *_: made.on_kill())

    def send() -> None:
        while STATE_KEY not in store or made._followed is None:
            time.sleep(0.05)
        signal.raise_signal(signal.SIGTERM)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        sender.join()
        signal.signal(signal.SIGTERM, before)


@pytest.mark.server
def test_a_kill_in_synchronous_mode_stops_the_job_when_airflow_does_not_say_otherwise(
    ray: RayClient, ray_conn_id: str, tmp_path: Path
) -> None:
    made = operator(
        graph="graphs.examples.topics:topics",
        input=str(tmp_path / "nothing"),
        dataset=str(tmp_path),
        ray_conn_id=ray_conn_id,
        deadline=timedelta(minutes=2),
        deferrable=False,
    )
    store = StateStore()
    ti = TaskInstance(run_id=f"manual__{time.time_ns()}", max_tries=0)
    with killed_while_following(made, store), pytest.raises(TransientFailure):
        made.execute(context(ti, store))
    job = SubmittedJob.model_validate(store[STATE_KEY])
    assert ray.run(get_job(job.submission_id)).status is JobStatus.STOPPED
