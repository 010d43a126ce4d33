"""One offline run: what to do, how far it has come, what it came to."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field, JsonValue, field_validator

from graphs.spec.expectations import Expectation
from graphs.spec.inputs import Input
from graphs.spec.record import Record, partition_key_is_a_path_segment
from graphs.spec.sinks import ParquetSink, Sink
from graphs.spec.snapshots import Counts, Usage


class ErrorBudget(Record):
    """How many rows may be rejected before a run is given up."""

    share: float = Field(default=0.01, ge=0, le=1, description="share of rows, 0 to 1")
    rows: int | None = Field(default=None, ge=0, description="rows, at most; None: only the share")
    floor: int = Field(default=100, ge=0, description="rows seen before the share is judged")


class Trouble(Record):
    """What becomes of input that cannot be computed: the run, or only that input."""

    bad_file: Literal["fail", "skip"] = Field(
        default="fail", description="a file that cannot be read: its name goes into the manifest"
    )
    lost_worker: Literal["fail", "reject"] = Field(
        default="fail",
        description="a shard that keeps taking its worker down (out of memory, a crash in native "
        "code) even in small batches: reject rejects its rows",
    )


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
    sink: Sink = ParquetSink()
    error_budget: ErrorBudget = ErrorBudget()
    trouble: Trouble = Trouble()
    expectations: tuple[Expectation, ...] = ()
    replay: str | None = Field(
        default=None,
        description="run key of the committed snapshot whose rejected rows are run again, in place "
        "of the input",
    )

    _partition_key = field_validator("partition_key")(partition_key_is_a_path_segment)


class RunRecord(Record):
    """What a run key stands for: enough to show it and to run it again."""

    format: Literal[1] = 1
    run_key: str
    version: str
    spec: RunSpec
    started_at: datetime = Field(description="of the first attempt")


class StageProgress(Record):
    """How far one stage has come."""

    name: str
    shards_done: int = Field(ge=0)
    shards_running: int = Field(default=0, ge=0)
    workers: int = Field(default=0, ge=0)


class Progress(Record):
    """How far a run has come; also an object that others can read while it runs."""

    format: Literal[1] = 1
    run_key: str = ""
    attempt: str = ""
    state: Literal["running", "committed", "failed"] = "running"
    shards_done: int = Field(ge=0)
    shards: int = Field(ge=0)
    rows_done: int = Field(ge=0)
    rows: int | None = Field(description="of all shards; None while some are not known")
    rejected: int = Field(ge=0)
    rows_per_s: float = Field(ge=0, description="rows computed by this attempt a second")
    eta_s: float | None = Field(default=None, description="seconds left at this rate")
    stages: tuple[StageProgress, ...] = ()
    nodes: dict[str, float] = Field(
        default_factory=dict, description="rows a second of computing, per node"
    )
    problem: str = Field(default="", description="why it failed")
    updated_at: datetime | None = None

    def __str__(self) -> str:
        rejected = f" · {self.rejected} rejected" if self.rejected else ""
        of = "" if self.rows is None else f"/{self.rows}"
        return (
            f"shard {self.shards_done}/{self.shards} done · "
            f"{self.rows_done}{of} rows{rejected} · {self.rows_per_s:.0f} rows/s"
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
    usage: Usage = Usage()
    shards: int = Field(ge=0)
    shards_computed: int = Field(ge=0, description="by this attempt")
    shards_resumed: int = Field(ge=0, description="found done, left by earlier attempts")
    was_committed: bool = Field(description="true when there was nothing left to do")
    seconds: float = Field(ge=0, description="of this attempt")
    rows_per_s: float = Field(ge=0, description="rows computed by this attempt a second")
