"""What the client speaks in: steps of a call, and what Ray says of a job."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypeAlias, TypeVar

from pydantic import Field

from graphs.spec import Record

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """A step: send this to the dashboard and answer with its response."""

    method: str
    path: str
    body: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Response:
    """What the dashboard said. ``body`` is the parsed JSON, ``None`` when it was none."""

    status: int
    body: Any = None
    text: str = ""


@dataclass(frozen=True)
class Pause:
    """A step: let this many seconds pass."""

    seconds: float


@dataclass(frozen=True)
class Say:
    """A step: tell the reader of the task's log."""

    text: str


Step: TypeAlias = Request | Pause | Say
Call: TypeAlias = Generator[Step, Response | None, T]
"""Yields steps and is sent the response of each request; ``Unreachable`` is thrown in."""


class JobStatus(StrEnum):
    """Ray's states of a job (``ray.job_submission.JobStatus``)."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"

    @property
    def is_terminal(self) -> bool:
        return self in (JobStatus.STOPPED, JobStatus.SUCCEEDED, JobStatus.FAILED)

    @property
    def is_successful(self) -> bool:
        return self is JobStatus.SUCCEEDED

    @property
    def is_active(self) -> bool:
        return not self.is_terminal


@dataclass(frozen=True)
class JobDetails:
    """What Ray knows of a job; the part of ``JobDetails`` that is used here."""

    submission_id: str
    status: JobStatus
    message: str = ""
    exit_code: int | None = None


@dataclass(frozen=True)
class JobRequest:
    """What to submit. ``metadata`` is shown in Ray's dashboard: never a secret."""

    submission_id: str
    entrypoint: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    runtime_env: Mapping[str, Any] = field(default_factory=dict, repr=False)


class SubmittedJob(Record):
    """A job that a task follows; kept in the task's state store and in a trigger's arguments."""

    format: Literal[1] = 1
    identity: str = Field(description="names the work of one task instance in one generation")
    ordinal: int = Field(ge=0, description="counts the jobs of one identity")
    outcome: str = Field(description="URI where the job leaves how it ended")
    since: float = Field(description="epoch seconds when the intent to submit was recorded")
    deadline: float | None = Field(default=None, description="epoch seconds when it is stopped")

    @property
    def submission_id(self) -> str:
        return f"{self.identity}-{self.ordinal}"


Cause: TypeAlias = Literal["ended", "deadline", "lost", "out_of_reach"]


class JobEnd(Record):
    """How following a job came to its end; a trigger's event, so a wire format."""

    format: Literal[1] = 1
    job: SubmittedJob
    cause: Cause = Field(
        description="the job ended; it was stopped at its deadline; the cluster forgot it; "
        "nothing answered for too long"
    )
    status: JobStatus | None = Field(description="last seen; None when it was never seen")
    message: str = Field(default="", description="what Ray said of it")
    log_tail: str = Field(default="", description="last lines of the driver's log")
