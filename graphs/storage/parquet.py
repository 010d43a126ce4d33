"""Tables to parquet bytes and back."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq


def encode_table(table: pa.Table, group_rows: int | None = None) -> bytes:
    """A table as one parquet file, compressed with zstd, optionally in smaller row groups."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=group_rows, compression="zstd")
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def decode_table(data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of one parquet file, all columns or some."""
    return pq.read_table(pa.BufferReader(data), columns=None if columns is None else list(columns))


def concatenated(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of several tables of one schema."""
    return pa.concat_tables(tables) if len(tables) != 1 else tables[0]
