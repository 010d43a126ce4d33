"""Records that cross processes: what to do, what was done, and what is known about it.

Every record is data (JSON), frozen, refuses unknown keys and carries no secret. ``format`` is the
version of the wire format: a reader accepts every earlier one.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

_KEY = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._=,+-]*$")


class Record(BaseModel):
    """Base of every record: frozen, no unknown keys."""

    # Infinity and NaN are real statistics; plain JSON has no number for them.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


def partition_key_is_a_path_segment(value: str) -> str:
    """A partition key names an object in the store, so it must be one plain path segment."""
    if not _KEY.match(value):
        raise ValueError(
            f"partition key {value!r} is not a plain path segment; use letters, digits and ._=,+-"
        )
    return value


# --- expectations: judged from statistics, never from rows -------------------------------------


class RowsConserved(Record):
    """Rows in = rows out + rows rejected + rows filtered."""

    kind: Literal["rows_conserved"] = "rows_conserved"


class NoNulls(Record):
    """A column holds no null."""

    kind: Literal["no_nulls"] = "no_nulls"
    column: str = Field(description="output column")


class Between(Record):
    """Every value of a numeric column lies in [minimum, maximum]; NaN does not."""

    kind: Literal["between"] = "between"
    column: str = Field(description="output column")
    minimum: float = Field(description="smallest allowed value, inclusive")
    maximum: float = Field(description="largest allowed value, inclusive")


class LargestShare(Record):
    """No single value makes up more than a share of a column."""

    kind: Literal["largest_share"] = "largest_share"
    column: str = Field(description="output column")
    maximum: float = Field(gt=0, le=1, description="largest allowed share of rows, 0 to 1")


class RejectedShare(Record):
    """At most a share of the rows that went in was rejected."""

    kind: Literal["rejected_share"] = "rejected_share"
    maximum: float = Field(ge=0, le=1, description="largest allowed share of rows, 0 to 1")


Expectation = Annotated[
    RowsConserved | NoNulls | Between | LargestShare | RejectedShare,
    Field(discriminator="kind"),
]


# --- an offline run ----------------------------------------------------------------------------


class Input(Record):
    """A dataset of parquet files to score."""

    uri: str = Field(description="s3://bucket/prefix or a local folder")
    partition_by: str | None = Field(
        default=None,
        description="Hive column: a run reads only <uri>/<partition_by>=<partition_key>/",
    )


class ErrorBudget(Record):
    """How many rows may be rejected before a run is given up."""

    share: float = Field(default=0.01, ge=0, le=1, description="share of rows, 0 to 1")
    floor: int = Field(default=100, ge=0, description="rows seen before the share is judged")


class RunSpec(Record):
    """One offline run of a graph over one partition."""

    format: Literal[1] = 1
    graph: str = Field(description='reference "module:name" of a graph')
    input: Input
    output: str = Field(description="URI of the output dataset")
    partition_key: str = Field(description="the slice of data this run covers")
    parameters: dict[str, JsonValue] = Field(default_factory=dict, description="run parameters")
    profile: dict[str, Any] = Field(
        default_factory=dict, description="offline scaling profile; empty means the defaults"
    )
    error_budget: ErrorBudget = ErrorBudget()
    expectations: tuple[Expectation, ...] = ()

    _partition_key = field_validator("partition_key")(partition_key_is_a_path_segment)


class Piece(Record):
    """A part of an input object: all of it, or some of its row groups."""

    path: str = Field(description="object path below the input URI")
    etag: str = Field(description="the object's entity tag when the plan was made")
    rows: int = Field(ge=0)
    row_groups: tuple[int, ...] | None = Field(default=None, description="None means all")


class Shard(Record):
    """The unit of offline work, retry and commit. A shard without pieces is empty on purpose."""

    id: str = Field(description="zero-padded position in the plan")
    pieces: tuple[Piece, ...]

    @property
    def rows(self) -> int:
        return sum(piece.rows for piece in self.pieces)


class ShardPlan(Record):
    """The frozen input of a run, written before the first shard is computed."""

    format: Literal[1] = 1
    run_key: str
    graph: str
    version: str
    partition_key: str
    input: Input
    shards: tuple[Shard, ...]

    @property
    def rows(self) -> int:
        return sum(shard.rows for shard in self.shards)


class DataFile(Record):
    """One immutable parquet file of a snapshot."""

    path: str = Field(description="path below the dataset's URI")
    rows: int = Field(ge=0)
    bytes: int = Field(ge=0)


class ColumnStatistics(Record):
    """Mergeable statistics of one column."""

    type: str = Field(description="Arrow type as text")
    count: int = Field(ge=0, description="values, nulls included")
    nulls: int = Field(ge=0)
    nans: int = Field(default=0, ge=0)
    minimum: float | None = Field(default=None, description="of a numeric column, NaN left out")
    maximum: float | None = Field(default=None, description="of a numeric column, NaN left out")
    total: float | None = Field(default=None, description="sum of a numeric column, NaN left out")
    top: dict[str, int] | None = Field(
        default=None,
        description="exact count per value; None once a column has too many distinct values",
    )


class Counts(Record):
    """Where every row went. Adds up, or the run fails."""

    rows_in: int = Field(default=0, ge=0)
    rows_out: int = Field(default=0, ge=0)
    rejected: dict[str, int] = Field(default_factory=dict, description="rows per node")
    filtered: dict[str, int] = Field(default_factory=dict, description="rows per node")

    @property
    def rows_rejected(self) -> int:
        return sum(self.rejected.values())

    @property
    def rows_filtered(self) -> int:
        return sum(self.filtered.values())

    @property
    def add_up(self) -> bool:
        return self.rows_in == self.rows_out + self.rows_rejected + self.rows_filtered


class DoneRecord(Record):
    """Proof that a shard's files are complete; the first writer wins."""

    format: Literal[1] = 1
    run_key: str
    shard: str
    attempt: str = Field(description="which attempt wrote the files; part of their names")
    files: tuple[DataFile, ...]
    rejected_files: tuple[DataFile, ...] = ()
    counts: Counts
    statistics: dict[str, ColumnStatistics]
    seconds: dict[str, float] = Field(description="seconds of computing per node")


class Manifest(Record):
    """The commit: which files make up a partition's snapshot, and what is in them."""

    format: Literal[1] = 1
    run_key: str
    graph: str
    version: str
    key: str = Field(description="name of the key column")
    partition_key: str
    input: Input
    files: tuple[DataFile, ...]
    rejected_files: tuple[DataFile, ...] = ()
    counts: Counts
    statistics: dict[str, ColumnStatistics]
    committed_at: datetime


class Verdict(Record):
    """One expectation and how it came out."""

    expectation: Expectation
    passed: bool
    observed: str = Field(description="what was seen, as a reader wants it")


class Report(Record):
    """What the gate said of a snapshot."""

    format: Literal[1] = 1
    run_key: str
    graph: str
    version: str
    partition_key: str
    verdicts: tuple[Verdict, ...]
    counts: Counts
    statistics: dict[str, ColumnStatistics]
    made_at: datetime

    @property
    def passed(self) -> bool:
        return all(verdict.passed for verdict in self.verdicts)

    @property
    def failures(self) -> tuple[str, ...]:
        """One line for each failed expectation."""
        return tuple(
            f"{verdict.expectation.kind}: {verdict.observed}"
            for verdict in self.verdicts
            if not verdict.passed
        )


class RunResult(Record):
    """What an offline run came to; small enough for an XCom."""

    format: Literal[1] = 1
    kind: Literal["run"] = "run"
    graph: str
    version: str
    run_key: str
    partition_key: str
    dataset: str
    manifest: str = Field(description="URI of the manifest")
    report: str | None = Field(default=None, description="URI of the report page")
    passed: bool = Field(description="whether every expectation held")
    failures: tuple[str, ...] = Field(default=(), description="one line per failed expectation")
    counts: Counts
    shards: int = Field(ge=0)
    shards_computed: int = Field(ge=0, description="by this attempt")
    shards_resumed: int = Field(ge=0, description="found done, left by earlier attempts")
    was_committed: bool = Field(description="true when there was nothing left to do")
    seconds: float = Field(ge=0, description="of this attempt")
    rows_per_s: float = Field(ge=0, description="rows computed by this attempt a second")


# --- a promotion -------------------------------------------------------------------------------


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


# --- how a job ends ----------------------------------------------------------------------------


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
