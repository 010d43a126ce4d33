"""How a job ends."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from graphs.spec.promotions import ReleaseResult
from graphs.spec.record import Record
from graphs.spec.runs import RunResult


class Failure(Record):
    """A typed error, carried from the cluster to whoever asked."""

    kind: Literal["failure"] = "failure"
    error: str = Field(description="class name in graphs.errors, or the foreign one's")
    message: str
    is_retryable: bool


class Outcome(Record):
    """Written by a Ray job as its last act, read by the Airflow task that submitted it."""

    format: Literal[1] = 1
    outcome: Annotated[RunResult | ReleaseResult | Failure, Field(discriminator="kind")]
