"""Rows of shards: every byte of the version that was planned, or an error that says so."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from graphs.errors import InputError, ObjectNotFound, SchemaMismatch, Superseded
from graphs.ir import default_of, repeated, scalar_of
from graphs.spec import Input, Piece, Shard, SkippedFile
from graphs.storage.foreign import mapped_errors
from graphs.storage.inputs.location import format_of, is_compressed, locate, partition_values
from graphs.storage.inputs.parquet import TAIL, FetchedFile, chunk_spans, requests_for
from graphs.storage.inputs.pinning import Unreadable, decoding, pinned
from graphs.storage.inputs.places import IN_FLIGHT, Place, open_place
from graphs.storage.inputs.text import csv_names, csv_rows, json_rows, lines_of, unpacked

V = TypeVar("V")

WHOLE = 4 * 1024 * 1024
"""Objects up to this size are read with one request, whatever is wanted of them."""

_HEAD = 64 * 1024
"""Read of a large CSV file for its names."""

_LOCAL_READERS = 2
"""Threads that read local files; more only fight over the interpreter."""

_FOOTERS = 16
"""Footers kept: the shards of a large file come one after the other."""

_CHUNK_ROWS = 8192
"""Tables in smaller chunks than this, on average, are made whole: each costs a step later on."""


@dataclass(frozen=True, slots=True)
class ReadShard:
    """What a shard holds."""

    table: pa.Table
    """The columns asked for, in the types asked for, all nullable."""
    skipped: tuple[SkippedFile, ...]
    bytes_read: int
    """Bytes asked of the store."""


@dataclass(frozen=True, slots=True)
class _ReadPiece:
    table: pa.Table | None
    bytes: int
    skipped: SkippedFile | None = None


class Source:
    """Reads shards of one input; keeps connections, threads and the last footers."""

    def __init__(self, input: Input, place: Place) -> None:
        self._input, self._place = input, place
        # Two pools: pieces wait for requests, so they must not take each other's threads.
        self._pieces = ThreadPoolExecutor(IN_FLIGHT, "pieces")
        self._requests = ThreadPoolExecutor(IN_FLIGHT, "requests")
        self._footers: OrderedDict[tuple[str, str], pq.FileMetaData] = OrderedDict()
        self._names: OrderedDict[tuple[str, str], list[str]] = OrderedDict()

    @staticmethod
    def open(input: Input) -> Source:
        """The source of an input; nothing is read yet."""
        return Source(input, open_place(locate(input).root))

    def read(
        self,
        shard: Shard,
        columns: Sequence[str],
        schema: pa.Schema,
        bad_file: Literal["fail", "skip"] = "fail",
    ) -> ReadShard:
        """The rows of a shard, in the order of its pieces: the same rows at the same positions,
        however often it is read.

        Args:
            shard: which rows.
            columns: which columns; each is in ``schema``.
            schema: the graph's input schema; the columns come out in its types, an optional one
                that a file lacks with its default, a Hive column out of the path.
            bad_file: whether a file that cannot be decoded is left out, and named, or fails.

        Raises:
            InputChanged: an object changed or vanished since the plan was made.
            SchemaMismatch: a file lacks a column, or has it in a type that cannot be cast; or,
                unless those are skipped, it cannot be decoded.
        """
        # Nulls where none may be are for the graph to reject, row by row.
        wanted = pa.schema([schema.field(name).with_nullable(True) for name in columns])

        def read(piece: Piece) -> _ReadPiece:
            try:
                return self._read(piece, wanted)
            except Unreadable as error:
                if bad_file == "skip":
                    text = str(error)
                    return _ReadPiece(
                        None, 0, SkippedFile(path=piece.path, error=text, rows=piece.rows)
                    )
                raise SchemaMismatch(
                    str(error),
                    self._place.uri_of(piece.path),
                    "Repair or remove it, or let the run skip bad files",
                ) from error

        read_pieces = self._each(read, shard.pieces)
        return ReadShard(
            self._joined(shard.pieces, read_pieces, wanted),
            tuple(one.skipped for one in read_pieces if one.skipped),
            sum(one.bytes for one in read_pieces),
        )

    def _each(
        self, read: Callable[[Piece], _ReadPiece], pieces: Sequence[Piece]
    ) -> list[_ReadPiece]:
        """Reads pieces side by side: a store keeps one waiting, a disk hardly does."""
        if not self._place.is_local:
            return list(self._pieces.map(read, pieces))
        cuts = [len(pieces) * n // _LOCAL_READERS for n in range(_LOCAL_READERS + 1)]
        stripes = (pieces[start:stop] for start, stop in pairwise(cuts))
        done = self._pieces.map(lambda stripe: [read(piece) for piece in stripe], stripes)
        return [one for stripe in done for one in stripe]

    def footer(self, path: str, etag: str, size: int) -> pq.FileMetaData:
        """A parquet object's footer.

        Raises:
            InputChanged: it has another etag now, or is gone.
            Unreadable: it is no parquet file.
        """
        found = self._footers.get((path, etag))
        if found is None:
            with pinned(self._place, path), decoding("parquet"):
                tail = self._fetched(path, etag, size, [(max(0, size - TAIL), size)])
                found = pq.ParquetFile(pa.PythonFile(tail, mode="r")).metadata
            _keep(self._footers, (path, etag), found)
        return found

    def head(self, path: str, etag: str, size: int, length: int) -> memoryview:
        """The first bytes of an object.

        Raises:
            InputChanged: it has another etag now, or is gone.
        """
        with pinned(self._place, path):
            return self._place.read_range(path, 0, min(length, size), etag)[0]

    def _read(self, piece: Piece, wanted: pa.Schema) -> _ReadPiece:
        kind = format_of(self._input, piece.path)
        if kind == "parquet":
            return self._read_parquet(piece, wanted)
        if self._input.nested_in is not None:
            raise InputError(
                f"nested_in={self._input.nested_in!r} is for parquet",
                self._place.uri_of(piece.path),
            )
        with pinned(self._place, piece.path):
            data, count = self._text(piece)
        with decoding(str(kind)):
            if is_compressed(piece.path):
                data = unpacked(data)
            if kind == "jsonl":
                return _ReadPiece(json_rows(data, self._lacking_none(piece, wanted)), count)
            names = self._csv_names(piece, data)
            here = [name for name in wanted.names if name in names] or names[:1]
            types = {field.name: field.type for field in wanted if field.name in here}
            has_header = piece.span is None or piece.span[0] == 0
            table = csv_rows(data, names, here, types, self._input.csv, has_header)
            return _ReadPiece(table, count)

    # --- parquet ---

    def _read_parquet(self, piece: Piece, wanted: pa.Schema) -> _ReadPiece:
        if self._place.is_local:
            return self._read_local(piece, wanted)
        if piece.size <= WHOLE:
            with pinned(self._place, piece.path):
                data = self._place.read_version(piece.path, piece.etag)
            with decoding("parquet"):
                file = pq.ParquetFile(pa.BufferReader(pa.py_buffer(data)))
                return _ReadPiece(self._columns(file, piece, wanted, use_threads=False), len(data))
        metadata = self.footer(piece.path, piece.etag, piece.size)
        groups = piece.row_groups or range(metadata.num_row_groups)
        with pinned(self._place, piece.path), decoding("parquet"):
            names = self._physical(wanted.names)
            spans = requests_for(chunk_spans(metadata, groups, names))
            fetched = self._fetched(piece.path, piece.etag, piece.size, spans)
            file = pq.ParquetFile(pa.PythonFile(fetched, mode="r"), metadata=metadata)
            return _ReadPiece(self._columns(file, piece, wanted), fetched.fetched)

    def _read_local(self, piece: Piece, wanted: pa.Schema) -> _ReadPiece:
        """A local file is opened as it is; its etag is compared when all has been read."""
        is_small = piece.size <= WHOLE
        where = self._place.uri_of(piece.path)
        try:
            with pinned(self._place, piece.path), mapped_errors(where), decoding("parquet"):
                source = pa.BufferReader(Path(where).read_bytes()) if is_small else pa.OSFile(where)
                file = pq.ParquetFile(source)
                table = self._columns(file, piece, wanted, use_threads=not is_small)
        except Unreadable:
            self._require(piece)  # it may be unreadable because it is being replaced
            raise
        self._require(piece)
        return _ReadPiece(table, piece.size)

    def _require(self, piece: Piece) -> None:
        """Compares a local file's etag: by its own look at the file, which costs next to nothing,
        and where that differs by what the store says.
        """
        if _etag_of(self._place.uri_of(piece.path)) == piece.etag:
            return
        with pinned(self._place, piece.path):
            found = self._place.info(piece.path)
            if found is None:
                raise ObjectNotFound("there is no such object", self._place.uri_of(piece.path))
            if found.etag != piece.etag:
                raise Superseded("the object has changed", self._place.uri_of(piece.path))

    def _columns(
        self, file: pq.ParquetFile, piece: Piece, wanted: pa.Schema, use_threads: bool = True
    ) -> pa.Table:
        names = self._physical(wanted.names)
        if piece.row_groups is None:
            table = file.read(names, use_threads=use_threads)
        else:
            table = file.read_row_groups(list(piece.row_groups), names, use_threads=use_threads)
        nested = self._input.nested_in
        if nested is None or nested not in table.column_names:
            return table
        flat = table.select([nested]).flatten()
        return flat.rename_columns([name.removeprefix(f"{nested}.") for name in flat.column_names])

    def _physical(self, names: Sequence[str]) -> list[str]:
        nested = self._input.nested_in
        return list(names) if nested is None else [f"{nested}.{name}" for name in names]

    def _fetched(
        self, path: str, etag: str, size: int, spans: Sequence[tuple[int, int]]
    ) -> FetchedFile:
        def read(start: int, stop: int) -> memoryview:
            return self._place.read_range(path, start, stop - start, etag)[0]

        return FetchedFile(size, lambda *span: self._requests.submit(read, *span), spans)

    # --- text ---

    def _text(self, piece: Piece) -> tuple[bytes | memoryview, int]:
        """A piece's bytes, and how many were asked for."""
        if piece.span is None and piece.size <= WHOLE:
            data = self._place.read_version(piece.path, piece.etag)
            return data, len(data)
        asked = 0

        def read(start: int, stop: int) -> bytes:
            nonlocal asked
            asked += stop - start
            spans = requests_for([(start, stop)])
            file = self._fetched(piece.path, piece.etag, piece.size, spans)
            file.seek(start)
            return bytes(file.read(stop - start))

        if piece.span is None:
            return read(0, piece.size), asked
        return lines_of(read, piece.size, piece.span), asked

    def _csv_names(self, piece: Piece, data: bytes | memoryview) -> list[str]:
        if piece.span is None or piece.span[0] == 0:
            return csv_names(data[:_HEAD], self._input.csv)
        key = (piece.path, piece.etag)
        if key not in self._names:
            head = self.head(*key, piece.size, _HEAD)
            _keep(self._names, key, csv_names(head, self._input.csv))
        return self._names[key]

    def _lacking_none(self, piece: Piece, wanted: pa.Schema) -> pa.Schema:
        """Without the Hive columns: JSON text is asked for every column, and would have nulls."""
        values = partition_values(self._place.uri_of(piece.path))
        return pa.schema([field for field in wanted if field.name not in values])

    # --- one table ---

    def _joined(
        self, pieces: Sequence[Piece], read: Sequence[_ReadPiece], wanted: pa.Schema
    ) -> pa.Table:
        """All pieces' rows in the wanted types; pieces alike are cast together."""
        kept = [(piece, one.table) for piece, one in zip(pieces, read, strict=True)]
        tables = []
        run: list[tuple[Piece, pa.Table]] = []
        for piece, table in [(p, t.replace_schema_metadata()) for p, t in kept if t is not None]:
            if run and not self._alike(run[-1], (piece, table)):
                tables.append(self._conformed(run, wanted))
                run = []
            run.append((piece, table))
        if run:
            tables.append(self._conformed(run, wanted))
        whole = pa.concat_tables(tables) if tables else wanted.empty_table()
        chunks = max((column.num_chunks for column in whole.columns), default=1)
        if chunks > 1 and whole.num_rows < chunks * _CHUNK_ROWS:
            return whole.combine_chunks()
        return whole

    def _alike(self, one: tuple[Piece, pa.Table], other: tuple[Piece, pa.Table]) -> bool:
        folders = [piece.path.rpartition("/")[0] for piece, _ in (one, other)]
        return folders[0] == folders[1] and bool(one[1].schema.equals(other[1].schema))

    def _conformed(self, run: Sequence[tuple[Piece, pa.Table]], wanted: pa.Schema) -> pa.Table:
        where = self._place.uri_of(run[0][0].path)
        values = partition_values(where)
        table = pa.concat_tables([table for _, table in run])
        try:
            columns = {field.name: _column(table, field, values) for field in wanted}
            return pa.table(columns).cast(wanted) if columns else table.select([])
        except KeyError as error:
            raise SchemaMismatch(f"column {error} is missing", where) from error
        except (pa.ArrowException, ValueError) as error:
            files = f"{where} and {len(run) - 1} files after it" if len(run) > 1 else where
            raise SchemaMismatch(f"does not fit the graph's input ({error})", files) from error


def _etag_of(file: str) -> str | None:
    """The etag that object_store's ``LocalFileSystem`` gives a file."""
    try:
        facts = os.stat(file)
    except OSError:
        return None
    return f'"{facts.st_ino:x}-{facts.st_mtime_ns // 1000:x}-{facts.st_size:x}"'


def _column(table: pa.Table, field: pa.Field, values: Mapping[str, str | None]) -> pa.ChunkedArray:
    if field.name in table.column_names:
        return table.column(field.name)
    if field.name in values:
        return repeated(pa.scalar(values[field.name], pa.string()).cast(field.type), len(table))
    try:
        default = default_of(field)
    except KeyError:
        raise KeyError(field.name) from None
    return repeated(scalar_of(default, field.type), len(table))


def _keep(kept: OrderedDict[tuple[str, str], V], key: tuple[str, str], value: V) -> None:
    kept[key] = value
    while len(kept) > _FOOTERS:
        kept.popitem(last=False)
