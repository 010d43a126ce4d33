"""Lines of text files: which of them are in a span, and what rows they are."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv
from pyarrow import json as arrow_json

from graphs.ir import DEFAULT, default_of, is_list, scalar_of
from graphs.spec import Csv

_BLOCK = 4 * 1024 * 1024
"""Bytes that are parsed at once; longer lines are parsed all at once."""

_MORE = 64 * 1024
"""Read beyond the end of a span at first, to find the end of its last line."""

Read = Callable[[int, int], bytes]
"""Gives the bytes from a start to a stop that lies within the object."""


def lines_of(read: Read, size: int, span: tuple[int, int]) -> memoryview:
    """The lines that start within a span, whole, whatever the span cuts through.

    A line belongs to the span it starts in (Hadoop's ``LineRecordReader``), so that adjacent spans
    have every line once.
    """
    start, stop = span
    low, more = max(start - 1, 0), _MORE
    data = read(low, min(stop + more, size))
    end = data.find(b"\n", stop - 1 - low)
    while end < 0 and low + len(data) < size:
        seen, more = len(data), more * 2
        data += read(low + seen, min(low + seen + more, size))
        end = data.find(b"\n", seen)
    if end < 0 or stop >= size:
        end = len(data) - 1
    # The byte before the span is there to tell whether a line starts with it.
    begin = 0 if start == 0 else data.find(b"\n") + 1
    return memoryview(data)[begin : end + 1] if start == 0 or begin else memoryview(b"")


def unpacked(data: bytes | memoryview) -> bytes:
    """What a gzip file holds."""
    try:
        return gzip.decompress(data)
    except zlib.error as error:
        raise EOFError(str(error)) from error


def start_of(data: bytes | memoryview) -> bytes:
    """What the start of a gzip file unpacks to."""
    try:
        return zlib.decompressobj(wbits=31).decompress(bytes(data))
    except zlib.error as error:
        raise EOFError(str(error)) from error


def csv_names(head: bytes | memoryview, options: Csv) -> list[str]:
    """The column names in a CSV file's first record; none in an empty file."""
    text = bytes(head).decode("utf-8-sig", errors="ignore")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=options.delimiter)
    return next(rows, [])


def csv_rows(
    data: bytes | memoryview,
    names: Sequence[str],
    columns: Sequence[str],
    types: Mapping[str, pa.DataType],
    options: Csv,
    has_header: bool,
) -> pa.Table:
    """Rows of CSV text.

    Args:
        data: whole records.
        names: every column of the file.
        columns: the ones wanted.
        types: of those whose type is known; the others are inferred.
        options: how the file is written.
        has_header: whether the first record is the names.
    """
    known = {name: _plain(types[name]) for name in columns if name in types}
    if not columns or _is_blank(data):
        return pa.table({name: pa.array([], known.get(name, pa.null())) for name in columns})

    def parse(block: int) -> pa.Table:
        return arrow_csv.read_csv(
            pa.BufferReader(pa.py_buffer(data)),
            arrow_csv.ReadOptions(column_names=None if has_header else names, block_size=block),
            arrow_csv.ParseOptions(
                delimiter=options.delimiter, newlines_in_values=options.newlines_in_values
            ),
            arrow_csv.ConvertOptions(column_types=known, include_columns=list(columns)),
        )

    return _in_blocks(parse, len(data))


def json_rows(data: bytes | memoryview, schema: pa.Schema | None) -> pa.Table:
    """Rows of JSON text, an object on each line.

    Args:
        data: whole lines.
        schema: columns and types; an optional column that an object lacks has its default there,
            one that it has as null is null. ``None``: everything in the text, types inferred.
    """
    plain = None if schema is None else pa.schema([f.with_type(_in_json(f.type)) for f in schema])
    if _is_blank(data):
        return (plain or pa.schema([])).empty_table()
    options = arrow_json.ParseOptions(
        explicit_schema=plain, unexpected_field_behavior="infer" if plain is None else "ignore"
    )

    def parse(block: int) -> pa.Table:
        reader = pa.BufferReader(pa.py_buffer(data))
        return arrow_json.read_json(reader, arrow_json.ReadOptions(block_size=block), options)

    table = _in_blocks(parse, len(data))
    return table if schema is None else _with_defaults_by_row(table, schema, data)


def _with_defaults_by_row(table: pa.Table, schema: pa.Schema, data: bytes | memoryview) -> pa.Table:
    optional = [
        field
        for field in schema
        if DEFAULT in (field.metadata or {}) and table.column(field.name).null_count
    ]
    if not optional:
        return table
    objects = [json.loads(line) for line in bytes(data).splitlines() if line.strip()]
    if len(objects) != table.num_rows:
        raise pa.ArrowInvalid("it must have one JSON object on each line")
    for field in optional:
        at = table.schema.get_field_index(field.name)
        type_ = table.schema.field(at).type
        lacking = pa.array([field.name not in one for one in objects])
        filled = pc.if_else(lacking, scalar_of(default_of(field), type_), table.column(at))
        table = table.set_column(at, field.name, filled)
    return table


def _in_blocks(parse: Callable[[int], pa.Table], size: int) -> pa.Table:
    try:
        return parse(_BLOCK)
    except pa.ArrowInvalid as error:
        if "straddling" not in str(error) or size <= _BLOCK:
            raise
    return parse(size + 1)


def _is_blank(data: bytes | memoryview) -> bool:
    return len(data) == 0 or (len(data) < _MORE and not bytes(data).strip())


def _in_json(type_: pa.DataType) -> pa.DataType:
    """A type that the JSON parser knows and that can be cast to the wanted one."""
    if is_list(type_):
        return pa.list_(_in_json(type_.value_type))
    if pa.types.is_struct(type_):
        return pa.struct([field.with_type(_in_json(field.type)) for field in type_])
    if pa.types.is_temporal(type_) and not pa.types.is_duration(type_):
        return pa.string()
    return _plain(type_)


def _plain(type_: pa.DataType) -> pa.DataType:
    """A type that the CSV parser knows and that can be cast to the wanted one."""
    if pa.types.is_dictionary(type_):
        return _plain(type_.value_type)
    if pa.types.is_float16(type_):
        return pa.float32()
    return type_
