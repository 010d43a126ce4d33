"""Rows and manifests for the tests of the sinks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa

from graphs.spec import Counts, DataFile, Input, Manifest, ParquetSink, Sink
from graphs.storage.sinks import SinkWriter, Written


def rows(run: str, count: int, start: int = 0) -> pa.Table:
    """``count`` rows of two columns that say which run made them."""
    keys = [f"key-{number:05d}" for number in range(start, start + count)]
    run_column = pa.array([run] * count, pa.string())
    return pa.table({"key": pa.array(keys, pa.string()), "run": run_column})


def of_many_types() -> pa.Table:
    """Rows of every kind of column that all sinks must keep."""
    at = pa.array([0, 1_700_000_000_123_456, None], pa.timestamp("us"))
    return pa.table(
        {
            "key": ["a", "b", "c"],
            "small": pa.array([1, None, -3], pa.int32()),
            "number": pa.array([1, 2**60, None], pa.int64()),
            "single": pa.array([0.5, None, -1.5], pa.float32()),
            "double": pa.array([0.1, float("inf"), None], pa.float64()),
            "flag": pa.array([True, None, False]),
            "at": at,
            "at_utc": at.cast(pa.timestamp("us", tz="UTC")),
            "day": pa.array([0, 20_000, None], pa.date32()),
            "price": pa.array([Decimal("1.50"), None, Decimal("-99.99")], pa.decimal128(12, 2)),
            "blob": pa.array([b"\x00\xff", b"", None], pa.binary()),
            "words": pa.array([["x", None], [], None], pa.list_(pa.string())),
            "vector": pa.array([[1.0, 2.0], [3.0, 4.0], None], pa.list_(pa.float32())),
            "point": pa.array(
                [{"x": 1.0, "tag": "t"}, {"x": None, "tag": None}, None],
                pa.struct([("x", pa.float64()), ("tag", pa.string())]),
            ),
        }
    )


def many_rows(count: int) -> pa.Table:
    """Rows with columns that repeat and columns that don't."""
    random = np.random.default_rng(1)
    return pa.table(
        {
            "key": [f"key-{number:08d}" for number in range(count)],
            "few": pa.array(random.choice(["red", "green", "blue"], count)),
            "score": random.random(count),
            "vector": pa.FixedSizeListArray.from_arrays(
                pa.array(random.random(count * 4).astype(np.float32)), 4
            ),
        }
    )


def write(
    sink: SinkWriter, tables: Sequence[pa.Table], run_key: str, partition_key: str = "p"
) -> tuple[Written, ...]:
    """Each table as one shard of a run."""
    return tuple(
        sink.write(table, partition_key=partition_key, run_key=run_key, name=f"{number:06d}-a1")
        for number, table in enumerate(tables)
    )


def manifest(
    written: Sequence[Written],
    run_key: str,
    sink: Sink | None = None,
    partition_key: str = "p",
) -> Manifest:
    files: tuple[DataFile, ...] = tuple(file for one in written for file in one.files)
    count = sum(file.rows for file in files)
    return Manifest(
        run_key=run_key,
        graph="g",
        version="v",
        key="key",
        partition_key=partition_key,
        input=Input(uri="s3://in"),
        sink=sink or ParquetSink(),
        files=files,
        counts=Counts(rows_in=count, rows_out=count),
        statistics={},
        committed_at=datetime.now(UTC),
    )


def fragments(written: Sequence[Written]) -> tuple[str, ...]:
    return tuple(fragment for one in written for fragment in one.fragments)
