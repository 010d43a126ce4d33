"""Cutting an input into shards, looking into as few of its files as that takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from graphs.spec import Input, InputFormat
from graphs.storage.inputs.location import format_of, is_compressed, locate, partition_values
from graphs.storage.inputs.parquet_files import WHOLE
from graphs.storage.inputs.pinning import Unreadable, decoding
from graphs.storage.inputs.places import IN_FLIGHT, open_place
from graphs.storage.inputs.reading import Source
from graphs.storage.inputs.shards import SCHEMA, Shards
from graphs.storage.inputs.text import csv_names, csv_rows, json_rows, start_of
from graphs.storage.objects import ObjectInfo

FEW = 64
"""So many files are looked into whatever their size: it costs little and tells the rows."""

_EXPANSION = {"parquet": 4.0, "jsonl": 1.0, "csv": 1.0}
"""Bytes in memory for each stored byte, where no file has told."""

_GZIP = 5.0
"""The same of compressed text, over that of plain text."""

_SAMPLE = 256 * 1024
"""Read of the first text file, for its columns and the length of its lines."""

Check = Callable[[pa.Schema, str], None]


@dataclass(frozen=True, slots=True)
class _Unit:
    """What is not divided any further."""

    object: int
    stored: int
    """Bytes as they are stored."""
    bytes: float
    """Bytes in memory; an estimate where nobody looked."""
    about: float
    """Rows; likewise."""
    rows: int | None
    """Rows, where they are known."""
    group: int | None = None
    of: int = 0
    """Row groups of the object."""
    span: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class _Yield:
    """What stored bytes become."""

    rows: float
    """Rows of a byte, beyond the overhead."""
    bytes: float
    """Bytes in memory of a byte."""
    overhead: int = 0
    """Bytes of a file that hold no rows."""

    def of(self, size: int) -> tuple[float, float]:
        """Rows and bytes in memory of a file, about."""
        return max(1.0, (size - self.overhead) * self.rows), size * self.bytes


def plan_shards(
    input: Input,
    objects: Sequence[ObjectInfo],
    *,
    shard_rows: int,
    shard_bytes: int,
    check: Check,
    bad_file: Literal["fail", "skip"] = "fail",
    schema: pa.Schema | None = None,
) -> Shards:
    """Cuts the input into shards: small files packed together, large ones split.

    Parquet is split by row group, plain text by lines. Of many small files only the first is
    looked into; how many rows the others have is then not known before they are read.

    Args:
        input: the dataset.
        objects: what :func:`~graphs.storage.inputs.list_input` found in it.
        shard_rows: rows of a shard, at most, unless one row group has more; about, where files
            were not looked into.
        shard_bytes: uncompressed bytes of a shard, likewise.
        check: raises if a file's schema cannot feed the graph; gets the schema and the file's URI.
        bad_file: ``skip`` leaves it to the reader to skip a file that cannot be decoded.
        schema: the graph's input schema: text and paths have no types but those they are read in.

    Returns:
        At least one shard: an empty input gives one shard without pieces, so that an empty
        snapshot is made in the ordinary way.

    Raises:
        InputChanged: an object changed or vanished since it was listed.
        SchemaMismatch: an object is not in its format, or ``check`` says so.
    """
    planner = _Planner(input, shard_rows, shard_bytes, check, bad_file, schema)
    return _packed(planner.units(objects), objects, shard_rows, shard_bytes)


class _Planner:
    def __init__(
        self,
        input: Input,
        shard_rows: int,
        shard_bytes: int,
        check: Check,
        bad_file: Literal["fail", "skip"],
        schema: pa.Schema | None,
    ) -> None:
        self._input, self._check, self._bad_file, self._schema = input, check, bad_file, schema
        self._rows, self._bytes = shard_rows, shard_bytes
        self._place = open_place(locate(input).root)
        self._source = Source(input, self._place)

    def units(self, objects: Sequence[ObjectInfo]) -> Iterator[_Unit]:
        """Everything there is to read, in the order of the objects."""
        kinds = [format_of(self._input, info.path) for info in objects]
        parquet = [number for number, kind in enumerate(kinds) if kind == "parquet"]
        looked = self._row_groups(objects, parquet if len(parquet) <= FEW else parquet[:1])
        yields: dict[InputFormat, _Yield] = {"parquet": _parquet_yield(objects, looked)}
        for text in {kind for kind in kinds if kind and kind != "parquet"}:
            files = (o for o, k in zip(objects, kinds, strict=True) if k == text and o.size)
            yields[text] = self._text_yield(text, next(files, None))
        if len(parquet) > FEW:
            large = [n for n in parquet[1:] if self._is_large(objects[n], yields["parquet"])]
            looked |= self._row_groups(objects, large)
        for number, (info, kind) in enumerate(zip(objects, kinds, strict=True)):
            if number in looked:
                yield from looked[number]
            elif kind == "parquet" or (info.size and kind):  # there is no parquet of no bytes
                yield from self._by_size(number, info, kind, yields[kind])

    def _is_large(self, info: ObjectInfo, one: _Yield) -> bool:
        """Whether a parquet file is to be split, or may have to be."""
        rows, size = one.of(info.size)
        return info.size > WHOLE or rows > self._rows or size > self._bytes

    def _row_groups(
        self, objects: Sequence[ObjectInfo], numbers: Sequence[int]
    ) -> dict[int, list[_Unit]]:
        """The row groups of some parquet files that can be read, each checked; by position."""

        def look(number: int) -> list[_Unit] | None:
            footer = self._footer(objects[number])
            return None if footer is None else _units(number, footer)

        with ThreadPoolExecutor(IN_FLIGHT) as readers:
            found = zip(numbers, readers.map(look, numbers), strict=True)
            return {number: units for number, units in found if units is not None}

    def _footer(self, info: ObjectInfo) -> pq.FileMetaData | None:
        try:
            footer = self._source.footer(info.path, info.etag, info.size)
        except Unreadable as error:
            self._bad(info, error)
            return None
        schema = footer.schema.to_arrow_schema()
        nested = self._input.nested_in
        if nested is not None and nested in schema.names:
            schema = pa.schema(list(schema.field(nested).type))
        self._checked(schema, info)
        return footer

    def _bad(self, info: ObjectInfo, error: Unreadable) -> None:
        if self._bad_file == "fail":
            raise self._source.bad(info.path, error) from error

    def _checked(self, schema: pa.Schema, info: ObjectInfo) -> None:
        """Checks a schema, the Hive columns of the path among its own."""
        where = self._place.uri_of(info.path)
        lacking = [name for name in partition_values(where) if name not in schema.names]
        for name in lacking:
            schema = schema.append(pa.field(name, self._type(name, pa.string())))
        self._check(schema, where)

    def _type(self, name: str, otherwise: pa.DataType) -> pa.DataType:
        known = self._schema is not None and name in self._schema.names
        return self._schema.field(name).type if known and self._schema else otherwise

    def _text_yield(self, kind: InputFormat, info: ObjectInfo | None) -> _Yield:
        """Reads the start of a text file, and checks its columns."""
        if info is None:
            return _Yield(0.0, _EXPANSION[kind])
        data = bytes(self._source.head(info.path, info.etag, info.size, _SAMPLE))
        expansion = _EXPANSION[kind] * (_GZIP if is_compressed(info.path) else 1.0)
        try:
            with decoding(kind):
                text = start_of(data) if is_compressed(info.path) else data
                lines = text[: text.rfind(b"\n") + 1] or text
                self._checked(self._text_schema(kind, lines), info)
        except Unreadable as error:
            self._bad(info, error)
            return _Yield(0.0, expansion)
        return _Yield(lines.count(b"\n") / max(len(lines), 1) * expansion, expansion)

    def _text_schema(self, kind: InputFormat, lines: bytes) -> pa.Schema:
        if kind == "jsonl":
            found = json_rows(lines, None).schema
        else:
            names = csv_names(lines, self._input.csv)
            found = csv_rows(lines, names, names, {}, self._input.csv, has_header=True).schema
        return pa.schema([field.with_type(self._type(field.name, field.type)) for field in found])

    def _by_size(
        self, number: int, info: ObjectInfo, kind: InputFormat, one: _Yield
    ) -> Iterator[_Unit]:
        """A file that nobody looked into: whole, or in spans where text allows that."""
        rows, size = one.of(info.size)
        whole = (
            kind == "parquet"
            or is_compressed(info.path)
            or (kind == "csv" and self._input.csv.newlines_in_values)
        )
        parts = 1 if whole else int(max(rows / self._rows, size / self._bytes)) + 1
        parts = max(1, min(parts, info.size))
        cuts = [info.size * part // parts for part in range(parts + 1)]
        for start, stop in pairwise(cuts):
            span = None if parts == 1 else (start, stop)
            yield _Unit(number, stop - start, size / parts, rows / parts, None, span=span)


def _parquet_yield(objects: Sequence[ObjectInfo], looked: dict[int, list[_Unit]]) -> _Yield:
    """What stored bytes of parquet come to, by the first file that has rows."""
    number = next((number for number, units in looked.items() if units), None)
    if number is None:
        return _Yield(0.0, _EXPANSION["parquet"])
    units, size = looked[number], objects[number].size
    stored = max(1, sum(unit.stored for unit in units))
    # Encoded columns are larger once they are read, so never less than is assumed.
    expansion = max(sum(unit.bytes for unit in units) / size, _EXPANSION["parquet"])
    return _Yield(sum(unit.about for unit in units) / stored, expansion, size - stored)


def _units(number: int, footer: pq.FileMetaData) -> list[_Unit]:
    """A file's row groups, without those that are empty."""
    of, leaves = footer.num_row_groups, range(footer.num_columns)
    groups = ((index, footer.row_group(index)) for index in range(of))
    return [
        _Unit(
            object=number,
            stored=sum(group.column(leaf).total_compressed_size for leaf in leaves),
            bytes=group.total_byte_size,
            about=group.num_rows,
            rows=group.num_rows,
            group=index,
            of=of,
        )
        for index, group in groups
        if group.num_rows
    ]


def _packed(
    units: Iterator[_Unit], objects: Sequence[ObjectInfo], shard_rows: int, shard_bytes: int
) -> Shards:
    """Consecutive units in shards that stay within both limits; neighbours of a file in a piece."""
    shard, rows_left, bytes_left = -1, 0.0, 0.0
    at: list[int] = []
    shards: list[int] = []
    rows: list[int | None] = []
    stored: list[int] = []
    groups: list[list[int] | None] = []
    spans: list[tuple[int, int] | None] = []
    for unit in units:
        fits = shard >= 0 and unit.about <= rows_left and unit.bytes <= bytes_left
        if not fits:
            shard += 1
            rows_left, bytes_left = float(shard_rows), float(shard_bytes)
        rows_left -= unit.about
        bytes_left -= unit.bytes
        last = groups[-1] if fits and at[-1] == unit.object else None
        if last is not None and unit.group is not None:
            last.append(unit.group)
            if len(last) == unit.of:
                groups[-1] = None
            rows[-1] = (rows[-1] or 0) + (unit.rows or 0)
            stored[-1] += unit.stored
            continue
        at.append(unit.object)
        shards.append(shard)
        rows.append(unit.rows)
        stored.append(unit.stored)
        groups.append(None if unit.group is None or unit.of == 1 else [unit.group])
        spans.append(unit.span)
    columns = {
        "shard": shards,
        "path": [objects[number].path for number in at],
        "etag": [objects[number].etag for number in at],
        "size": [objects[number].size for number in at],
        "rows": rows,
        "bytes": stored,
        "row_groups": groups,
        "span_start": [span and span[0] for span in spans],
        "span_stop": [span and span[1] for span in spans],
    }
    return Shards(pa.table(columns, schema=SCHEMA), max(1, shard + 1))
