"""Rows of text objects: all of their lines, or those that start in a span."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from graphs.spec import Csv, Piece
from graphs.storage.inputs.fetching import Recent, fetched, requests_for
from graphs.storage.inputs.location import is_compressed
from graphs.storage.inputs.parquet_files import WHOLE
from graphs.storage.inputs.pinning import decoding
from graphs.storage.inputs.places import Place
from graphs.storage.inputs.text import csv_names, csv_rows, json_rows, lines_of, unpacked

_HEAD = 64 * 1024
"""Read of a large CSV file for its names."""


class TextFiles:
    """Reads pieces of text objects.

    Its methods raise ``Superseded`` or ``ObjectNotFound`` for another version than was planned,
    and ``Unreadable`` for what is not in its format.
    """

    def __init__(self, place: Place, requests: ThreadPoolExecutor, csv: Csv) -> None:
        self._place, self._requests, self._csv = place, requests, csv
        self._names: Recent[list[str]] = Recent()

    def read_json(self, piece: Piece, wanted: pa.Schema) -> tuple[pa.Table, int]:
        """All the columns, and how many bytes were asked for."""
        data, count = self._data(piece)
        with decoding("jsonl"):
            return json_rows(_plain(piece, data), wanted), count

    def read_csv(self, piece: Piece, wanted: pa.Schema) -> tuple[pa.Table, int]:
        """Those of the columns that the file has, and how many bytes were asked for."""
        data, count = self._data(piece)
        has_header = piece.span is None or piece.span[0] == 0
        with decoding("csv"):
            plain = _plain(piece, data)
            names = csv_names(plain[:_HEAD], self._csv) if has_header else self._header(piece)
            # Without any column, nothing would tell how many rows there are.
            here = [name for name in wanted.names if name in names] or names[:1]
            types = {field.name: field.type for field in wanted if field.name in here}
            return csv_rows(plain, names, here, types, self._csv, has_header), count

    def _header(self, piece: Piece) -> list[str]:
        def read() -> list[str]:
            length = min(_HEAD, piece.size)
            head = self._place.read_range(piece.path, 0, length, piece.etag)[0]
            return csv_names(head, self._csv)

        return self._names.get((piece.path, piece.etag), read)

    def _data(self, piece: Piece) -> tuple[bytes | memoryview, int]:
        """A piece's bytes, and how many were asked for."""
        if piece.span is None and piece.size <= WHOLE:
            data = self._place.read_version(piece.path, piece.etag)
            return data, len(data)
        asked = 0

        def read(start: int, stop: int) -> bytes:
            nonlocal asked
            asked += stop - start
            spans = requests_for([(start, stop)])
            at = (piece.path, piece.etag, piece.size)
            file = fetched(self._place, self._requests, *at, spans)
            file.seek(start)
            return bytes(file.read(stop - start))

        if piece.span is None:
            return read(0, piece.size), asked
        return lines_of(read, piece.size, piece.span), asked


def _plain(piece: Piece, data: bytes | memoryview) -> bytes | memoryview:
    return unpacked(data) if is_compressed(piece.path) else data
