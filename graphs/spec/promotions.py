"""Bringing a version online, and what is known about it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from graphs.spec.record import Record, partition_key_is_a_path_segment


class PromotionSpec(Record):
    """Bring the version that made a snapshot online, if its report passed."""

    format: Literal[1] = 1
    graph: str = Field(description='reference "module:name" of a graph')
    dataset: str = Field(description="URI of the dataset that holds the snapshot")
    partition_key: str
    registry: str = Field(description="URI where aliases and releases are kept")
    serve_address: str = Field(description="HTTP address of Ray Serve's proxy")
    route: str | None = Field(default=None, description='public route; None means "/<graph name>"')
    alias: str = "champion"
    sample: int = Field(default=100, ge=1, description="keys to compare at parity")
    tolerance: dict[str, float] = Field(
        default_factory=dict,
        description="largest allowed absolute difference per float column; 1e-3 when not named",
    )
    profile: dict[str, Any] = Field(
        default_factory=dict, description="online scaling profile; empty means the defaults"
    )

    _partition_key = field_validator("partition_key")(partition_key_is_a_path_segment)

    @model_validator(mode="after")
    def route_starts_with_a_slash(self) -> Self:
        if self.route is not None and (not self.route.startswith("/") or self.route == "/"):
            raise ValueError(f"route {self.route!r} must start with a slash and name something")
        return self


class Alias(Record):
    """A mutable name for a version."""

    format: Literal[1] = 1
    name: str
    graph: str
    version: str
    release: str = Field(description="id of the release that moved it here")
    route: str
    moved_at: datetime
    ref: str = Field(
        default="", description='reference "module:name" of the graph; empty when unknown'
    )


class Parity(Record):
    """Agreement of online answers with offline rows for the same inputs."""

    sampled: int = Field(ge=0, description="keys asked")
    agreed: int = Field(ge=0, description="keys whose every column agreed within tolerance")
    largest_difference: dict[str, float] = Field(description="per float column, absolute")
    disagreements: tuple[str, ...] = Field(
        default=(), description="the first few: key, column, offline and online value"
    )

    @property
    def share(self) -> float:
        return self.agreed / self.sampled if self.sampled else 1.0


ReleaseState = Literal["requested", "deploying", "parity", "flipping", "live", "rolled_back"]


class Release(Record):
    """The record of one rollout, advanced by compare-and-swap."""

    format: Literal[1] = 1
    id: str
    graph: str
    version: str
    previous: str | None = Field(description="version the alias named before, if any")
    dataset: str
    partition_key: str
    run_key: str
    route: str
    alias: str = Field(default="champion", description="the alias it moves when it goes live")
    state: ReleaseState
    owner: str = Field(description="the job that is advancing it")
    updated_at: datetime
    parity: Parity | None = None
    reason: str = Field(default="", description="why it was rolled back")

    @property
    def is_terminal(self) -> bool:
        return self.state in ("live", "rolled_back")


class ReleaseResult(Record):
    """What a promotion came to; small enough for an XCom."""

    format: Literal[1] = 1
    kind: Literal["release"] = "release"
    release: str
    graph: str
    version: str
    previous: str | None
    route: str
    parity: Parity
    was_live: bool = Field(description="true when the version was live before, so nothing moved")
    seconds: float = Field(ge=0, description="of this attempt")
