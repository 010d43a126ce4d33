"""What a task raises to Airflow.

AirflowException
├── TransientFailure        trying again can help: Airflow retries
│   ├── JobDied             the job ended without leaving an outcome
│   ├── DeadlinePassed      the job was stopped at its deadline
│   └── ClusterLost         the cluster forgot the job, or stayed away too long
└── AirflowFailException
    └── PermanentFailure    trying again unchanged cannot help: Airflow does not retry
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_provider.client import JobEnd
from graphs.errors import GraphsError
from graphs.spec import Failure


class TransientFailure(AirflowException):
    """Trying again can help. ``error`` names the class that the job or the client raised.

    Args:
        error: class name.
        message: what was wrong, where, and what to do next.
    """

    def __init__(self, error: str, message: str) -> None:
        super().__init__(error, message)
        self.error = error
        self.message = message

    def __str__(self) -> str:
        # Airflow prints the class before it.
        is_named = self.error == type(self).__name__
        return self.message if is_named else f"{self.error}: {self.message}"


class JobDied(TransientFailure):
    """The job ended without leaving an outcome: killed, out of memory, or it never started."""


class DeadlinePassed(TransientFailure):
    """The job was stopped at its deadline."""


class ClusterLost(TransientFailure):
    """The cluster forgot the job (a head without fault tolerance restarted), or stayed away."""


class PermanentFailure(AirflowFailException):
    """Trying again unchanged cannot help. ``error`` names the class that the job raised.

    Args:
        error: class name.
        message: what was wrong, where, and what to do next.
    """

    def __init__(self, error: str, message: str) -> None:
        super().__init__(error, message)
        self.error = error
        self.message = message

    def __str__(self) -> str:
        return f"{self.error}: {self.message}"


def of_failure(failure: Failure) -> TransientFailure | PermanentFailure:
    """The job's own error, as Airflow wants it."""
    kind = TransientFailure if failure.is_retryable else PermanentFailure
    return kind(failure.error, failure.message)


def of_end(end: JobEnd) -> TransientFailure:
    """For a job that left no outcome: what is known, and the last lines of its driver's log."""
    what = f"job {end.job.submission_id} "
    tail = f"\nLast lines of its log:\n{end.log_tail}" if end.log_tail else ""
    if end.cause == "deadline":
        verified = end.status is not None and end.status.is_terminal
        done = "was stopped" if verified else "was told to stop, which could not be verified"
        return DeadlinePassed("DeadlinePassed", f"{what}{done} at its deadline{tail}")
    if end.cause == "lost":
        return ClusterLost("JobLost", f"{what}is unknown to the cluster: {end.message}{tail}")
    if end.cause == "out_of_reach":
        return ClusterLost("OutOfReach", f"{what}could not be followed: {end.message}{tail}")
    # Ray's own message repeats the log; its start says how the driver ended.
    reason = end.message.partition("\n")[0].partition(", last available logs")[0][:500]
    return JobDied("JobDied", f"{what}ended {end.status} without an outcome. {reason}{tail}")


@contextmanager
def typed() -> Iterator[None]:
    """Raises errors that no retry can heal in the form that makes Airflow stop retrying."""
    try:
        yield
    except GraphsError as error:
        kind = TransientFailure if error.is_retryable else PermanentFailure
        raise kind(type(error).__name__, str(error)) from error
