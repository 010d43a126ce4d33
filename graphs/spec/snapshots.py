"""What a run leaves behind: done-records, the manifest, the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal, Self

from pydantic import Field

from graphs.spec.expectations import Expectation
from graphs.spec.inputs import Input
from graphs.spec.record import Record
from graphs.spec.sinks import ParquetSink, Sink


class DataFile(Record):
    """One immutable file of a snapshot."""

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
    errors: dict[str, dict[str, int]] = Field(
        default_factory=dict, description="rejected rows per node and error type"
    )

    @classmethod
    def of(
        cls, rows_out: int, rejected: Iterable[tuple[str, str]], filtered: Mapping[str, int]
    ) -> Self:
        """The counts of a batch.

        Args:
            rows_out: rows that are left.
            rejected: node and error type of each rejected row.
            filtered: rows dropped on purpose, per node.
        """
        errors: dict[str, dict[str, int]] = {}
        for (node, error), rows in Counter(rejected).items():
            errors.setdefault(node, {})[error] = rows
        per_node = {node: sum(rows.values()) for node, rows in errors.items()}
        return cls(
            rows_in=rows_out + sum(per_node.values()) + sum(filtered.values()),
            rows_out=rows_out,
            rejected=per_node,
            filtered=dict(filtered),
            errors=errors,
        )

    @property
    def rows_rejected(self) -> int:
        return sum(self.rejected.values())

    @property
    def rows_filtered(self) -> int:
        return sum(self.filtered.values())

    @property
    def add_up(self) -> bool:
        return self.rows_in == self.rows_out + self.rows_rejected + self.rows_filtered


class NodeUsage(Record):
    """What a node took."""

    rows: int = Field(default=0, ge=0, description="rows it was given")
    seconds: float = Field(default=0.0, ge=0, description="seconds of computing, all workers")


class StageUsage(Record):
    """What a stage's workers took."""

    busy_s: float = Field(default=0.0, ge=0, description="seconds its nodes computed, all workers")
    held_s: float = Field(
        default=0.0, ge=0, description="seconds its workers were held, first shard to last"
    )
    cpus: float = Field(default=0.0, ge=0, description="CPUs of a worker")
    gpus: float = Field(default=0.0, ge=0, description="accelerators of a worker")

    @property
    def busy_share(self) -> float:
        """Share of the time held that was spent computing, 0 to 1."""
        return min(1.0, self.busy_s / self.held_s) if self.held_s else 0.0


class Usage(Record):
    """What it took, beside rows."""

    bytes_read: int = Field(default=0, ge=0, description="bytes of input asked of the store")
    bytes_written: int = Field(default=0, ge=0, description="bytes of files put in the store")
    requests: int = Field(default=0, ge=0, description="requests to the store")
    peak_memory_bytes: int = Field(
        default=0, ge=0, description="largest resident memory of a single worker process"
    )
    retries: int = Field(default=0, ge=0, description="times a shard's work was begun again")
    nodes: dict[str, NodeUsage] = Field(default_factory=dict)
    stages: dict[str, StageUsage] = Field(default_factory=dict, description="by the stage's name")
    cost: float | None = Field(
        default=None, description="price of the workers' time, where the profile has prices"
    )


class SkippedFile(Record):
    """An input file that could not be read, and that the run's policy allowed to leave out."""

    path: str = Field(description="object path below the input's root")
    error: str
    rows: int | None = Field(default=None, description="rows left out, where they are known")


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
    seconds: dict[str, float] = Field(
        default_factory=dict, description="format of 0.1: see usage.nodes"
    )
    usage: Usage = Usage()
    skipped: tuple[SkippedFile, ...] = ()
    fragments: tuple[str, ...] = Field(
        default=(), description="what the sink's commit needs to know of this shard, as it likes it"
    )


class Replay(Record):
    """Which snapshot's rejected rows a run computed again."""

    run_key: str = Field(description="of the snapshot that was there before")
    version: str = Field(description="that made it: its rows stand beside the new ones")
    rows: int = Field(ge=0, description="rejected rows that were run again")


class Manifest(Record):
    """The commit: which files make up a partition's snapshot, and what is in them."""

    format: Literal[1] = 1
    run_key: str
    graph: str
    version: str
    key: str = Field(description="name of the key column")
    partition_key: str
    input: Input
    sink: Sink = ParquetSink()
    files: tuple[DataFile, ...] = Field(
        default=(), description="empty where files_at lists them instead"
    )
    rejected_files: tuple[DataFile, ...] = ()
    files_at: DataFile | None = Field(
        default=None,
        description="parquet object with the files' path, rows, bytes and is_rejected, where they "
        "are too many to be listed here",
    )
    counts: Counts
    statistics: dict[str, ColumnStatistics]
    usage: Usage = Usage()
    skipped: tuple[SkippedFile, ...] = ()
    replays: tuple[Replay, ...] = Field(
        default=(), description="earlier snapshots whose rows this one keeps, oldest first"
    )
    shards: int = Field(default=0, ge=0)
    committed_at: datetime

    @property
    def versions(self) -> tuple[str, ...]:
        """Every version whose rows are in the snapshot, oldest first; one unless replayed."""
        return tuple(dict.fromkeys([*(replay.version for replay in self.replays), self.version]))


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
