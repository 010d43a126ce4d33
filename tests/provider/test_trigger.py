"""The job trigger as the triggerer runs it, against a real Ray cluster."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

import pytest
from airflow.triggers.base import BaseTrigger

from airflow_provider.client import (
    JobEnd,
    JobRequest,
    JobStatus,
    RayClient,
    SubmittedJob,
    get_job,
    stop_and_verify,
    submit,
)
from airflow_provider.triggers import RayJobTrigger

pytestmark = pytest.mark.server


def start(ray: RayClient, code: str, *, limit_s: float | None = None) -> SubmittedJob:
    now = time.time()
    job = SubmittedJob(
        identity=f"test-{uuid.uuid4().hex[:12]}",
        ordinal=0,
        outcome="",
        since=now,
        deadline=None if limit_s is None else now + limit_s,
    )
    ray.run(submit(JobRequest(job.submission_id, f'python -uc "{code}"')))
    return job


def trigger_for(job: SubmittedJob, ray_conn_id: str) -> RayJobTrigger:
    """As the triggerer makes it: from what a worker serialised."""
    made = RayJobTrigger(ray_conn_id=ray_conn_id, job=job.model_dump(mode="json"))
    path, arguments = made.serialize()
    assert path == "airflow_provider.triggers.RayJobTrigger"
    return RayJobTrigger(**arguments)


async def event_of(trigger: BaseTrigger) -> Any:
    events = [event.payload async for event in trigger.run()]
    assert len(events) == 1
    return events[0]


def test_the_event_carries_the_end_and_the_log_is_in_the_tasks_log(
    ray: RayClient, ray_conn_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    job = start(ray, "print('hello', 'from', 'the', 'driver')")
    event = asyncio.run(event_of(trigger_for(job, ray_conn_id)))
    end = JobEnd.model_validate(event)
    assert (end.job, end.cause, end.status) == (job, "ended", JobStatus.SUCCEEDED)
    assert capsys.readouterr().out.count("hello from the driver") == 1


def test_a_deadline_ends_the_job_and_yields_an_event(ray: RayClient, ray_conn_id: str) -> None:
    job = start(ray, "import time; time.sleep(600)", limit_s=2)
    event = asyncio.run(event_of(trigger_for(job, ray_conn_id)))
    assert event["cause"] == "deadline"
    assert ray.run(get_job(job.submission_id)).status is JobStatus.STOPPED


def test_on_kill_stops_its_own_job_and_no_other(ray: RayClient, ray_conn_id: str) -> None:
    mine, other = (start(ray, "import time; time.sleep(600)") for _ in range(2))
    asyncio.run(trigger_for(mine, ray_conn_id).on_kill())
    assert ray.run(get_job(mine.submission_id)).status is JobStatus.STOPPED
    assert ray.run(get_job(other.submission_id)).status.is_active
    ray.run(stop_and_verify(other.submission_id))


def test_on_kill_is_not_deterred_by_being_cancelled_again_and_again(
    ray: RayClient, ray_conn_id: str
) -> None:
    job = start(ray, "import time; time.sleep(600)")

    async def cancelled_often() -> None:
        killing = asyncio.create_task(trigger_for(job, ray_conn_id).on_kill())
        while not killing.done():
            await asyncio.sleep(0.05)
            killing.cancel()

    asyncio.run(cancelled_often())
    assert ray.run(get_job(job.submission_id)).status is JobStatus.STOPPED


def test_a_triggerer_that_shuts_down_leaves_the_job_running(
    ray: RayClient, ray_conn_id: str
) -> None:
    job = start(ray, "import time; time.sleep(600)")

    async def interrupted() -> None:
        trigger = trigger_for(job, ray_conn_id)
        running = asyncio.create_task(event_of(trigger))
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await trigger.cleanup()

    asyncio.run(interrupted())
    assert ray.run(get_job(job.submission_id)).status.is_active
    ray.run(stop_and_verify(job.submission_id))
