"""Scaling configuration per target. Changing it never changes a graph's version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from graphs.errors import ProfileError


class Profile(BaseModel):
    """Base of the profiles: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class InlineProfile(Profile):
    """How a graph runs in this process."""

    batch_rows: int = Field(default=1024, ge=1, description="rows a node gets at once")


class OfflineProfile(Profile):
    """How a run spreads over a Ray cluster. The defaults suit a laptop."""

    workers_min: int = Field(default=1, ge=1, description="workers of a stage, at least")
    workers_max: int = Field(default=2, ge=1, description="workers of a stage, at most")
    shard_rows: int = Field(default=100_000, ge=1, description="rows of a shard, at most")
    shard_bytes: int = Field(
        default=128 * 1024 * 1024, ge=1, description="bytes of input of a shard, about"
    )
    batch_rows: int = Field(default=1024, ge=1, description="rows a node gets at once")

    @model_validator(mode="after")
    def workers_are_ordered(self) -> Self:
        if self.workers_min > self.workers_max:
            raise ValueError(f"workers_min={self.workers_min} > workers_max={self.workers_max}")
        return self


class OnlineProfile(Profile):
    """How a graph is served. The defaults suit a laptop."""

    replicas: int = Field(default=1, ge=1, description="copies of each deployment")
    max_batch_requests: int = Field(default=16, ge=1, description="requests computed at once")
    batch_wait_s: float = Field(default=0.002, ge=0, description="longest wait to fill a batch, s")
    max_ongoing_requests: int = Field(default=64, ge=1, description="requests in a replica")


P = TypeVar("P", bound=Profile)


def profile_of(kind: type[P], given: P | Mapping[str, Any] | None) -> P:
    """A profile from what a caller has: one already, a mapping, or nothing (the defaults).

    Raises:
        ProfileError: a key is unknown or a value out of range; names each.
    """
    if isinstance(given, kind):
        return given
    try:
        return kind.model_validate(dict(given or {}))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'profile'}: {e['msg']}" for e in error.errors()
        )
        known = ", ".join(kind.model_fields)
        raise ProfileError(problems, kind.__name__, f"Known keys are {known}") from error
