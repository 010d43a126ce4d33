"""The trigger that follows a Ray job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider.client import SubmittedJob, follow, stop_and_verify
from airflow_provider.hooks import RayHook
from airflow_provider.triggers.state import task_state

_STOPPING: set[asyncio.Task[None]] = set()
"""Keeps the tasks alive: an event loop holds its tasks weakly."""


class RayJobTrigger(BaseTrigger):
    """Follows a job to its end and copies its log into the task's.

    The one event is a :class:`~airflow_provider.client.JobEnd` as JSON. The deadline is kept here,
    since Airflow's own deferral timeout would leave the job running. After a restart of the
    triggerer the log is told from its start again: Airflow keeps no state for a task's trigger.

    Args:
        ray_conn_id: which Airflow connection.
        job: a :class:`~airflow_provider.client.SubmittedJob` as JSON.
    """

    def __init__(self, *, ray_conn_id: str, job: dict[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ray_conn_id = ray_conn_id
        self.job = SubmittedJob.model_validate(job)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments: a wire format."""
        return (
            "airflow_provider.triggers.RayJobTrigger",
            {"ray_conn_id": self.ray_conn_id, "job": self.job.model_dump(mode="json")},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yields once, when the job has ended or following it makes no sense any more."""
        hook = RayHook(self.ray_conn_id)
        async with await hook.aget_conn(say=hook.lines) as ray:
            end = await ray.run(follow(self.job))
        yield TriggerEvent(end.model_dump(mode="json"))  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """Stops the job when a user ended the task.

        Airflow 3.3.2 cancels this call anew with every sync, about once a second, until the
        trigger is gone; so the stopping is a task of its own, which no cancellation reaches.
        """
        stopping = asyncio.create_task(self._stop_unless_deferred())
        _STOPPING.add(stopping)
        stopping.add_done_callback(_STOPPING.discard)
        while not stopping.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(stopping)
        stopping.result()

    async def _stop_unless_deferred(self) -> None:
        """Airflow also "kills" a trigger that moves to another triggerer after a lapse
        (airflow#73454): the task is still deferred then, and the job must go on. A clear makes
        another job, which sees to it that this one stops, so this never hits its successor.
        """
        ti = self.task_instance
        if ti is not None and await asyncio.to_thread(task_state, ti) == "deferred":
            self.log.info("The task is still deferred: job %s goes on", self.job.submission_id)
            return
        hook = RayHook(self.ray_conn_id)
        async with await hook.aget_conn(say=hook.lines) as ray:
            last = await ray.run(stop_and_verify(self.job.submission_id))
        state = last.status if last is not None else "unknown to the cluster"
        self.log.info("Job %s was told to stop and is %s", self.job.submission_id, state)
