"""One job per task instance and generation, against a real Ray cluster: retries, crashes, clears.

The entry point's interpreter is stood in for by a shell script, so a job does what a test needs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from airflow_provider.client import (
    JobStatus,
    RayClient,
    SubmittedJob,
    find_job,
    follow,
    get_job,
    stop_and_verify,
)
from airflow_provider.jobs.identity import Work, identity_of
from airflow_provider.jobs.submission import STATE_KEY, Submission
from graphs.spec import Failure, Input, Outcome, RunSpec
from graphs.storage.outcomes import write_outcome
from tests.provider.airflow_context import StateStore, TaskInstance, context


@dataclass(frozen=True)
class ShellWork(Work):
    """Work whose job runs a shell command."""

    command: str = "sleep 600"

    def entrypoint_of(self, submission_id: str) -> str:
        return self.command


@dataclass
class Task:
    """A task instance over its tries."""

    lake: Path
    command: str = "sleep 600"
    ti: TaskInstance = field(default_factory=TaskInstance)
    store: StateStore = field(default_factory=StateStore)

    def work(self) -> ShellWork:
        spec = RunSpec(
            graph="g:g", input=Input(uri="/in"), output=str(self.lake), partition_key="2026-01-01"
        )
        return ShellWork(spec, self.command)

    def start(self, ray: RayClient, *, limit_s: float | None = None) -> tuple[SubmittedJob, bool]:
        submission = Submission(self.work(), {}, limit_s)
        return submission.start(ray, context(self.ti, self.store))

    def retry(self) -> None:
        self.ti = replace(self.ti, try_number=self.ti.try_number + 1)

    def clear(self) -> None:
        """As ``clear_task_instances`` does: room for all retries beyond the tries made so far."""
        self.ti = replace(
            self.ti, try_number=self.ti.try_number + 1, max_tries=self.ti.try_number + 2
        )


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return Task(tmp_path, ti=TaskInstance(run_id=f"manual__{time.time_ns()}"))


def test_the_identity_is_stable_over_retries_and_differs_in_everything_else(tmp_path: Path) -> None:
    task = Task(tmp_path)
    first = identity_of(task.ti, task.work())
    task.retry()
    assert identity_of(task.ti, task.work()) == first
    others = [
        replace(task.ti, run_id="another"),
        replace(task.ti, task_id="another"),
        replace(task.ti, dag_id="another"),
        replace(task.ti, map_index=3),
        replace(task.ti, max_tries=4),
    ]
    assert len({first, *(identity_of(ti, task.work()) for ti in others)}) == 6
    other_work = Work(task.work().spec.model_copy(update={"partition_key": "2026-01-02"}))
    assert identity_of(task.ti, other_work) != first


def test_an_identity_is_fit_for_a_url_and_a_path() -> None:
    spec = RunSpec(graph="g:g", input=Input(uri="/in"), output="/out/", partition_key="p")
    identity = identity_of(TaskInstance(task_id="group.Ünicode/and more " * 9), Work(spec))
    assert identity.replace("-", "").isalnum()
    assert identity.isascii()
    assert len(identity) < 64
    assert Work(spec).outcome_of(f"{identity}-0") == f"/out/jobs/{identity}-0.json"


@pytest.mark.server
def test_the_intent_is_recorded_and_a_retry_attaches_to_the_running_job(
    ray: RayClient, task: Task
) -> None:
    job, is_active = task.start(ray, limit_s=60)
    assert is_active
    assert SubmittedJob.model_validate(task.store[STATE_KEY]) == job
    assert job.deadline == job.since + 60
    task.retry()
    assert task.start(ray, limit_s=60) == (job, True), "the deadline goes on counting, too"
    ray.run(stop_and_verify(job.submission_id))


@pytest.mark.server
def test_a_worker_that_died_before_recording_anything_finds_the_job_by_its_id(
    ray: RayClient, task: Task
) -> None:
    job, _ = task.start(ray)
    task.store.clear()
    task.retry()
    again, is_active = task.start(ray)
    assert (again.submission_id, is_active) == (job.submission_id, True)
    ray.run(stop_and_verify(job.submission_id))


@pytest.mark.server
def test_a_retry_after_a_failed_job_starts_the_next_one(ray: RayClient, task: Task) -> None:
    task.command = "false"
    job, _ = task.start(ray)
    assert ray.run(follow(job)).status is JobStatus.FAILED
    task.retry()
    task.command = "true"
    again, _ = task.start(ray)
    assert (again.identity, again.ordinal) == (job.identity, 1)
    assert ray.run(follow(again)).status is JobStatus.SUCCEEDED


@pytest.mark.server
def test_a_retry_after_a_job_that_succeeded_starts_nothing(ray: RayClient, task: Task) -> None:
    task.command = "true"
    job, _ = task.start(ray)
    ray.run(follow(job))
    task.retry()
    assert task.start(ray) == (job, False)


@pytest.mark.server
def test_a_clear_stops_the_running_job_and_starts_another(ray: RayClient, task: Task) -> None:
    job, _ = task.start(ray)
    task.clear()
    again, is_active = task.start(ray)
    assert is_active
    assert again.identity != job.identity
    assert ray.run(get_job(job.submission_id)).status is JobStatus.STOPPED
    ray.run(stop_and_verify(again.submission_id))


@pytest.mark.server
def test_a_clear_of_a_finished_task_runs_it_again(ray: RayClient, task: Task) -> None:
    task.command = "true"
    job, _ = task.start(ray)
    ray.run(follow(job))
    task.clear()
    again, _ = task.start(ray)
    assert again.identity != job.identity
    assert ray.run(follow(again)).status is JobStatus.SUCCEEDED


@pytest.mark.server
def test_a_job_that_the_cluster_forgot_is_known_by_the_word_it_left(
    ray: RayClient, task: Task
) -> None:
    """The head restarted without its table: the outcome says that this attempt had failed."""
    identity = identity_of(task.ti, task.work())
    outcome = task.work().outcome_of(f"{identity}-4")
    lost = SubmittedJob(identity=identity, ordinal=4, outcome=outcome, since=time.time())
    failed = Failure(error="RunFailed", message="x", is_retryable=True)
    write_outcome(lost.outcome, Outcome(outcome=failed))
    task.store.set(STATE_KEY, lost.model_dump())
    job, _ = task.start(ray)
    assert job.ordinal == 5
    assert ray.run(find_job(lost.submission_id)) is None
    ray.run(stop_and_verify(job.submission_id))
