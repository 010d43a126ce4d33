"""Where a run's rows go."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from graphs.spec.record import Record


class ParquetSink(Record):
    """Parquet files of the dataset itself: the snapshot."""

    kind: Literal["parquet"] = "parquet"
    compression: Literal["zstd", "snappy", "none"] = "zstd"
    compression_level: int = Field(default=1, ge=1, le=22, description="of zstd")
    row_group_rows: int = Field(default=131_072, ge=1, description="rows of a row group, at most")
    file_bytes: int = Field(
        default=512 * 1024 * 1024, ge=1, description="uncompressed bytes of a file, about, at most"
    )


class LanceSink(Record):
    """A Lance dataset of this dataset's own: copies of the snapshots' rows, as fragments."""

    kind: Literal["lance"] = "lance"
    uri: str = Field(description="s3://bucket/prefix or a local folder")


class IcebergSink(Record):
    """A table of this dataset's own in an Iceberg catalog: it lists the snapshots' own files."""

    kind: Literal["iceberg"] = "iceberg"
    catalog: str = Field(
        description="name of a catalog that pyiceberg finds configured where the run's driver runs "
        "(PYICEBERG_CATALOG__<NAME>__URI or ~/.pyiceberg.yaml); holds no secret"
    )
    table: str = Field(description="namespace.table; made when it is missing")


class DeltaSink(Record):
    """A Delta table of this dataset's own: copies of the snapshots' files."""

    kind: Literal["delta"] = "delta"
    uri: str = Field(description="s3://bucket/prefix or a local folder")


Sink = Annotated[
    ParquetSink | LanceSink | IcebergSink | DeltaSink,
    Field(discriminator="kind"),
]
