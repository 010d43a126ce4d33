"""Columns of parquet objects, with as few and as large requests as each size calls for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from graphs.errors import ObjectNotFound, Superseded
from graphs.spec import Piece
from graphs.storage.foreign import mapped_errors
from graphs.storage.inputs.fetching import (
    TAIL,
    FetchedFile,
    Recent,
    chunk_spans,
    fetched,
    requests_for,
)
from graphs.storage.inputs.pinning import Unreadable, decoding
from graphs.storage.inputs.places import Place

WHOLE = 4 * 1024 * 1024
"""Objects up to this size are read with one request, whatever is wanted of them."""


class ParquetFiles:
    """Reads pieces of parquet objects.

    Its methods raise ``Superseded`` or ``ObjectNotFound`` for another version than was planned,
    and ``Unreadable`` for what is no parquet.
    """

    def __init__(self, place: Place, requests: ThreadPoolExecutor, nested_in: str | None) -> None:
        self._place, self._requests, self._nested_in = place, requests, nested_in
        # The shards of a large file come one after the other.
        self._footers: Recent[pq.FileMetaData] = Recent()

    def footer(self, path: str, etag: str, size: int) -> pq.FileMetaData:
        """An object's footer."""

        def read() -> pq.FileMetaData:
            spans = [(max(0, size - TAIL), size)] if size else []
            tail = self._fetch(path, etag, size, spans)
            return pq.ParquetFile(pa.PythonFile(tail, mode="r")).metadata

        with decoding("parquet"):
            return self._footers.get((path, etag), read)

    def read(self, piece: Piece, names: Sequence[str]) -> tuple[pa.Table, int]:
        """Those of the columns that a piece has, and how many bytes were asked for."""
        if self._place.is_local:
            return self._read_local(piece, names), piece.size
        if piece.size <= WHOLE:
            data = self._place.read_version(piece.path, piece.etag)
            with decoding("parquet"):
                file = pq.ParquetFile(pa.BufferReader(pa.py_buffer(data)))
                return self._columns(file, piece, names, use_threads=False), len(data)
        metadata = self.footer(piece.path, piece.etag, piece.size)
        groups = piece.row_groups or range(metadata.num_row_groups)
        with decoding("parquet"):
            spans = requests_for(chunk_spans(metadata, groups, self._written(names)))
            source = self._fetch(piece.path, piece.etag, piece.size, spans)
            file = pq.ParquetFile(pa.PythonFile(source, mode="r"), metadata=metadata)
            return self._columns(file, piece, names), source.fetched

    def _read_local(self, piece: Piece, names: Sequence[str]) -> pa.Table:
        """A local file is opened as it is; its etag is compared when all has been read."""
        where = self._place.uri_of(piece.path)
        try:
            with mapped_errors(where), decoding("parquet"):
                if piece.size <= WHOLE:
                    file = pq.ParquetFile(pa.BufferReader(Path(where).read_bytes()))
                    table = self._columns(file, piece, names, use_threads=False)
                else:
                    metadata = self.footer(piece.path, piece.etag, piece.size)
                    file = pq.ParquetFile(pa.OSFile(where), metadata=metadata)
                    table = self._columns(file, piece, names)
        except Unreadable:
            self._require(piece)  # it may be unreadable because it is being replaced
            raise
        self._require(piece)
        return table

    def _require(self, piece: Piece) -> None:
        """Compares a local file's etag: by its own look at the file, which costs next to nothing,
        and where that differs by what the store says.
        """
        where = self._place.uri_of(piece.path)
        if _etag_of(where) == piece.etag:
            return
        found = self._place.info(piece.path)
        if found is None:
            raise ObjectNotFound("there is no such object", where)
        if found.etag != piece.etag:
            raise Superseded("the object has changed", where)

    def _columns(
        self, file: pq.ParquetFile, piece: Piece, names: Sequence[str], use_threads: bool = True
    ) -> pa.Table:
        written = self._written(names)
        if piece.row_groups is None:
            table = file.read(written, use_threads=use_threads)
        else:
            table = file.read_row_groups(list(piece.row_groups), written, use_threads=use_threads)
        nested = self._nested_in
        if nested is None or nested not in table.column_names:
            return table
        flat = table.select([nested]).flatten()
        return flat.rename_columns([name.removeprefix(f"{nested}.") for name in flat.column_names])

    def _written(self, names: Sequence[str]) -> list[str]:
        """Names as the file has them."""
        nested = self._nested_in
        return list(names) if nested is None else [f"{nested}.{name}" for name in names]

    def _fetch(
        self, path: str, etag: str, size: int, spans: Sequence[tuple[int, int]]
    ) -> FetchedFile:
        return fetched(self._place, self._requests, path, etag, size, spans)


def _etag_of(file: str) -> str | None:
    """The etag that object_store's ``LocalFileSystem`` gives a file."""
    try:
        facts = os.stat(file)
    except OSError:
        return None
    return f'"{facts.st_ino:x}-{facts.st_mtime_ns // 1000:x}-{facts.st_size:x}"'
