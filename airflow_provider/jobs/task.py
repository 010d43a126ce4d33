"""What an operator or a sensor inherits to have its work done by a Ray job."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowTaskTimeout

from airflow_provider.client import JobEnd, RayClient, SubmittedJob, follow, stop_and_verify
from airflow_provider.hooks import RayHook
from airflow_provider.jobs.failures import TransientFailure, of_end, of_failure, typed
from airflow_provider.jobs.identity import Work
from airflow_provider.jobs.submission import Submission
from airflow_provider.links import RayJobLink, ReportLink, job_url
from airflow_provider.triggers import RayJobTrigger, task_state
from graphs.spec import Failure, ReleaseResult, RunResult
from graphs.storage.outcomes import read_outcome

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

_TAKEN_OVER_LATER = frozenset({"running", "deferred", "queued", "scheduled", "up_for_retry"})
"""States of a task instance in which a later attempt will follow the same job."""

_KILL_GRACE_S = 4.0
"""Airflow sends SIGKILL five seconds after SIGTERM."""


class RunsRayJob(BaseOperator):
    """Submits or re-attaches, follows (in the triggerer or in the worker), and reads the outcome.

    Both modes give the same guarantees.

    Args:
        ray_conn_id: Airflow connection of type ``ray``.
        deadline: how long a job may take before it is stopped; ``None`` means no limit.
        deferrable: whether to wait in the triggerer rather than in a worker.
    """

    operator_extra_links = (RayJobLink(), ReportLink())

    _followed: tuple[RuntimeTaskInstanceProtocol, SubmittedJob] | None = None

    def __init__(
        self,
        *,
        ray_conn_id: str = RayHook.default_conn_name,
        deadline: timedelta | None = None,
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.ray_conn_id = ray_conn_id
        self.deadline = deadline
        self.deferrable = deferrable

    def run_job(self, context: Context, work: Work, *, then: str) -> RunResult | ReleaseResult:
        """Has the work done, and returns what the job left as its result.

        Args:
            context: Airflow's.
            work: what the job is to do.
            then: method that is called with the trigger's event; it calls :meth:`result_of`.

        Raises:
            PermanentFailure, TransientFailure: see :mod:`airflow_provider.jobs.failures`.
        """
        hook = RayHook(self.ray_conn_id)
        with typed():
            settings = hook.settings()
            limit_s = self.deadline.total_seconds() if self.deadline is not None else None
            with RayClient(settings.cluster, say=hook.lines) as ray:
                submission = Submission(work, settings.runtime_env, limit_s)
                job, is_active = submission.start(ray, context)
                ti = context["ti"]
                RayJobLink().push(ti, job_url(settings.cluster.address, job.submission_id))
                if is_active and self.deferrable:
                    trigger = RayJobTrigger(ray_conn_id=self.ray_conn_id, job=job.model_dump())
                    self.defer(trigger=trigger, method_name=then)
                self._followed = (ti, job)
                end = self._follow(ray, job)
                self._followed = None
        return self.result_of(end)

    def result_of(self, event: JobEnd | dict[str, Any]) -> RunResult | ReleaseResult:
        """The result that a job left, however following it ended.

        Raises:
            PermanentFailure, TransientFailure: it failed, or left none.
        """
        end = JobEnd.model_validate(event)
        with typed():
            outcome = read_outcome(end.job.outcome)
        if outcome is None:
            raise of_end(end)
        if isinstance(outcome.outcome, Failure):
            raise of_failure(outcome.outcome)
        return outcome.outcome

    def _follow(self, ray: RayClient, job: SubmittedJob) -> JobEnd:
        try:
            return ray.run(follow(job))
        except AirflowTaskTimeout:
            # ``execution_timeout`` is this task's own end, so it is the job's, too.
            self._followed = None
            ray.run(stop_and_verify(job.submission_id))
            raise

    def on_kill(self) -> None:
        """Stops the job, unless a later attempt of this task will take it over.

        Airflow calls this (in synchronous mode only) when a user ends the task, and also when the
        worker is shut down; then the job goes on and the next attempt attaches to it.
        """
        if self._followed is None:
            return
        ti, job = self._followed
        has_retry = ti.max_tries > 0 and ti.try_number <= ti.max_tries
        if has_retry and _state_of(ti) in _TAKEN_OVER_LATER:
            raise TransientFailure(
                "WorkerStopped", f"job {job.submission_id} goes on; the next attempt attaches to it"
            )
        with RayHook(self.ray_conn_id).get_conn() as ray:
            last = ray.run(stop_and_verify(job.submission_id, patience_s=_KILL_GRACE_S))
        state = last.status if last is not None else "unknown to the cluster"
        self.log.info("Job %s was told to stop and is %s", job.submission_id, state)


def _state_of(ti: RuntimeTaskInstanceProtocol) -> str | None:
    """The state of a task instance now; ``None`` when Airflow does not say within a second.

    Asked from a thread: the signal may have interrupted a request to the supervisor that holds
    the lock which this one needs.
    """
    answer: list[str | None] = []
    asking = threading.Thread(target=lambda: answer.append(task_state(ti)), daemon=True)
    asking.start()
    asking.join(1.0)
    return answer[0] if answer else None
