"""What a run reads, and how it is cut."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from graphs.spec.record import Record

InputFormat = Literal["parquet", "jsonl", "csv"]


class Csv(Record):
    """How CSV files are written. The first line names the columns."""

    delimiter: str = Field(default=",", min_length=1, max_length=1)
    newlines_in_values: bool = Field(
        default=False, description="quoted values may hold line ends: files are then never split"
    )


class Input(Record):
    """A dataset of files to score."""

    uri: str = Field(
        description="a folder, a file or a glob (*, ?, [], **) as s3://bucket/…, a local path, or "
        "any fsspec URL"
    )
    format: InputFormat | None = Field(
        default=None,
        description="None: by the names' endings (.parquet, .jsonl, .ndjson, .csv; text also .gz)",
    )
    partition_by: str | None = Field(
        default=None,
        description="Hive column: a run reads only <uri>/<partition_by>=<partition_key>/",
    )
    csv: Csv = Csv()
    nested_in: str | None = Field(
        default=None, description="struct column that holds the columns; rejected rows have one"
    )


class Piece(Record):
    """A part of an input object: all of it, some row groups, or the lines that start in a span."""

    path: str = Field(description="object path below the input's root")
    etag: str = Field(description="the object's entity tag when the plan was made")
    size: int = Field(default=0, ge=0, description="bytes of the whole object")
    rows: int | None = Field(
        default=None, ge=0, description="None where planning did not look into the object"
    )
    row_groups: tuple[int, ...] | None = Field(default=None, description="of parquet; None: all")
    span: tuple[int, int] | None = Field(
        default=None, description="of text: the lines that start in these bytes; None: all"
    )


class Shard(Record):
    """The unit of offline work, retry and commit. A shard without pieces is empty on purpose."""

    id: str = Field(description="zero-padded position in the plan")
    pieces: tuple[Piece, ...]

    @property
    def rows(self) -> int | None:
        """How many rows it has; ``None`` while nobody knows."""
        rows = [piece.rows for piece in self.pieces]
        return None if any(one is None for one in rows) else sum(one or 0 for one in rows)


class ShardPlan(Record):
    """The frozen input of a run, written before the first shard is computed.

    The shards themselves are columns of a parquet object, so that a million of them are cheap.
    """

    format: Literal[2] = 2
    run_key: str
    graph: str
    version: str
    partition_key: str
    input: Input
    shards: int = Field(ge=1)
    rows: int | None = Field(description="rows of all shards; None where some are not known yet")
    bytes: int = Field(ge=0, description="bytes of the input objects' parts, as they are stored")
    shards_at: str = Field(description="path of the parquet object that lists the shards")
