"""Rows of shards: every byte of the version that was planned, or an error that says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from graphs.errors import InputError, SchemaMismatch
from graphs.ir import default_of, repeated, scalar_of
from graphs.spec import Input, Piece, Shard, SkippedFile
from graphs.storage.inputs.location import format_of, locate, partition_values
from graphs.storage.inputs.parquet_files import ParquetFiles
from graphs.storage.inputs.pinning import Unreadable, pinned
from graphs.storage.inputs.places import IN_FLIGHT, Place, open_place
from graphs.storage.inputs.text_files import TextFiles

_LOCAL_READERS = 2
"""Threads that read local files; more only fight over the interpreter."""

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
    piece_rows: tuple[int, ...] = ()
    """Rows of each piece, in order; none of one that was skipped."""


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
        requests = ThreadPoolExecutor(IN_FLIGHT, "requests")
        self._parquet = ParquetFiles(place, requests, input.nested_in)
        self._text = TextFiles(place, requests, input.csv)

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
                return _ReadPiece(*self._read(piece, wanted))
            except Unreadable as error:
                if bad_file == "fail":
                    raise self.bad(piece.path, error) from error
                at = f" (bytes {piece.span[0]} to {piece.span[1]})" if piece.span else ""
                skipped = SkippedFile(path=piece.path, error=f"{error}{at}", rows=piece.rows)
                return _ReadPiece(None, 0, skipped)

        read_pieces = self._each(read, shard.pieces)
        return ReadShard(
            self._joined(shard.pieces, read_pieces, wanted),
            tuple(one.skipped for one in read_pieces if one.skipped),
            sum(one.bytes for one in read_pieces),
            tuple(one.table.num_rows if one.table is not None else 0 for one in read_pieces),
        )

    def footer(self, path: str, etag: str, size: int) -> pq.FileMetaData:
        """A parquet object's footer.

        Raises:
            InputChanged: it has another etag now, or is gone.
            Unreadable: it is no parquet file.
        """
        with pinned(self._place, path):
            return self._parquet.footer(path, etag, size)

    def head(self, path: str, etag: str, size: int, length: int) -> memoryview:
        """The first bytes of an object.

        Raises:
            InputChanged: it has another etag now, or is gone.
        """
        with pinned(self._place, path):
            return self._place.read_range(path, 0, min(length, size), etag)[0]

    def bad(self, path: str, error: Unreadable) -> SchemaMismatch:
        """What to raise for a file that cannot be decoded."""
        return SchemaMismatch(
            str(error),
            self._place.uri_of(path),
            "Repair or remove it, or let the run skip bad files",
        )

    def _read(self, piece: Piece, wanted: pa.Schema) -> tuple[pa.Table, int]:
        kind = format_of(self._input, piece.path)
        with pinned(self._place, piece.path):
            if kind == "parquet":
                return self._parquet.read(piece, wanted.names)
            where = self._place.uri_of(piece.path)
            if self._input.nested_in is not None:
                raise InputError(f"nested_in={self._input.nested_in!r} is for parquet", where)
            if kind == "csv":
                return self._text.read_csv(piece, wanted)
            # JSON text is asked for every column, and would have nulls for those of the path.
            values = partition_values(where)
            own = pa.schema([field for field in wanted if field.name not in values])
            return self._text.read_json(piece, own)

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

    def _joined(
        self, pieces: Sequence[Piece], read: Sequence[_ReadPiece], wanted: pa.Schema
    ) -> pa.Table:
        """All pieces' rows in the wanted types; pieces alike are cast together."""
        tables = []
        run: list[tuple[Piece, pa.Table]] = []
        for piece, one in zip(pieces, read, strict=True):
            if one.table is None:
                continue
            table = one.table.replace_schema_metadata()
            if run and not _alike(run[-1], (piece, table)):
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


def _alike(one: tuple[Piece, pa.Table], other: tuple[Piece, pa.Table]) -> bool:
    """Whether two pieces have the same columns, those of their paths included."""
    folders = [piece.path.rpartition("/")[0] for piece, _ in (one, other)]
    return folders[0] == folders[1] and bool(one[1].schema.equals(other[1].schema))


def _column(
    table: pa.Table, field: pa.Field, values: Mapping[str, str | None]
) -> pa.ChunkedArray | pa.Array:
    if field.name in table.column_names:
        return table.column(field.name)
    if field.name in values:
        return repeated(pa.scalar(values[field.name], pa.string()).cast(field.type), len(table))
    try:
        default = default_of(field)
    except KeyError:
        raise KeyError(field.name) from None
    return repeated(scalar_of(default, field.type), len(table))
