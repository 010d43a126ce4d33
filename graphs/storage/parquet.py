"""Parquet over a store: tables to bytes, and pinned reads of parts of an object."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from graphs.storage.objects import Store

_TAIL_BYTES = 256 * 1024
"""Read at once from the end of a file: the footer of all but extreme files, all of small ones."""


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


def open_parquet(store: Store, path: str, etag: str) -> pq.ParquetFile:
    """One version of a parquet object, for reading its footer or some columns and row groups.

    Every request carries the etag, so all bytes come from that version.

    Raises:
        ObjectNotFound: there is no such object.
        Superseded: it has another etag now.
        pyarrow.ArrowInvalid: it is no parquet file.
    """
    return pq.ParquetFile(
        pa.PythonFile(_PinnedObject(store, path, etag), mode="r"), pre_buffer=True
    )


class _PinnedObject(io.RawIOBase):
    """Random access to one version of an object, its tail held in memory."""

    def __init__(self, store: Store, path: str, etag: str) -> None:
        self._store, self._path, self._etag = store, path, etag
        self._tail, self._size = store.read_range(path, None, _TAIL_BYTES, etag)
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = start + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        rest = max(0, self._size - self._position)
        length = rest if size is None or size < 0 else min(size, rest)
        if length == 0:
            return b""
        start, tail_start = self._position, self._size - len(self._tail)
        self._position += length
        if start >= tail_start:
            return self._tail[start - tail_start : start - tail_start + length]
        return self._store.read_range(self._path, start, length, self._etag)[0]
