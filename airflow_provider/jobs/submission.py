"""Submitting the job of a task instance, or finding the one that an earlier attempt left."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider.client import (
    JobRequest,
    JobStatus,
    RayClient,
    SubmittedJob,
    find_job,
    stop_and_verify,
    submit,
)
from airflow_provider.errors import RayApiError
from airflow_provider.jobs.identity import Work, identity_of
from graphs.spec import Failure
from graphs.storage.outcomes import read_outcome

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

log = logging.getLogger(__name__)

STATE_KEY = "ray_job"
"""Where the intent is kept in the task's state store, which outlives workers and clears."""


@dataclass(frozen=True)
class Submission:
    """What is to be submitted for a task instance.

    Args:
        work: what the job is to do.
        runtime_env: Ray runtime environment, empty for that of the cluster.
        limit_s: seconds from submission to the job's deadline; ``None`` means no deadline.
    """

    work: Work
    runtime_env: Mapping[str, Any]
    limit_s: float | None

    def start(self, ray: RayClient, context: Context) -> tuple[SubmittedJob, bool]:
        """Starts the job, or attaches to the one that is already there.

        At most one job of a task instance is active: one of an earlier generation (the task was
        cleared, or its work changed) is stopped first.

        Returns:
            The job, and whether it is still active.
        """
        store = context["task_state_store"]
        identity = identity_of(context["ti"], self.work)
        stored = store.get(STATE_KEY)
        known = SubmittedJob.model_validate(stored) if stored else None
        if known is not None and known.identity != identity:
            _stop_predecessor(ray, known)
            known = None
        job = known or self._next(identity, 0)
        while True:
            found = ray.run(find_job(job.submission_id))
            if found is None and not (known and _has_failed(job)):
                # The intent first: whoever comes after a crash between the two finds the id.
                store.set(STATE_KEY, job.model_dump(mode="json"))
                details = ray.run(submit(self._request(job, context)))
                log.info("Job %s is submitted", job.submission_id)
                return job, details.status.is_active
            if found is not None and found.status not in (JobStatus.FAILED, JobStatus.STOPPED):
                store.set(STATE_KEY, job.model_dump(mode="json"))
                log.info("Attached to job %s, which is %s", job.submission_id, found.status)
                return job, found.status.is_active
            log.info("Job %s has ended without success; starting another", job.submission_id)
            job = self._next(identity, job.ordinal + 1)

    def _next(self, identity: str, ordinal: int) -> SubmittedJob:
        now = time.time()
        return SubmittedJob(
            identity=identity,
            ordinal=ordinal,
            outcome=self.work.outcome_of(f"{identity}-{ordinal}"),
            since=now,
            deadline=None if self.limit_s is None else now + self.limit_s,
        )

    def _request(self, job: SubmittedJob, context: Context) -> JobRequest:
        ti = context["ti"]
        return JobRequest(
            submission_id=job.submission_id,
            entrypoint=self.work.entrypoint_of(job.submission_id),
            runtime_env=self.runtime_env,
            metadata={
                "airflow_dag_id": ti.dag_id,
                "airflow_run_id": ti.run_id,
                "airflow_task_id": ti.task_id,
                "airflow_map_index": str(-1 if ti.map_index is None else ti.map_index),
                "airflow_try_number": str(ti.try_number),
            },
        )


def _has_failed(job: SubmittedJob) -> bool:
    """Whether a job that the cluster has forgotten left word that it failed."""
    outcome = read_outcome(job.outcome)
    return outcome is not None and isinstance(outcome.outcome, Failure)


def _stop_predecessor(ray: RayClient, job: SubmittedJob) -> None:
    found = ray.run(find_job(job.submission_id))
    if found is None or found.status.is_terminal:
        return
    log.info("Stopping job %s of an earlier generation of this task", job.submission_id)
    last = ray.run(stop_and_verify(job.submission_id))
    if last is not None and last.status.is_active:
        raise RayApiError(
            f"it was told to stop and is still {last.status}",
            where=f"job {job.submission_id!r}",
            remedy="Two jobs must not do the same work at once: stop it in Ray's dashboard",
        )
