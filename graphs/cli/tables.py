"""Rows in and out of files: parquet and JSON, on this machine or in S3."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from graphs.compiler import compile
from graphs.errors import InputError, InputNotFound, ObjectNotFound
from graphs.ir import Graph
from graphs.runtimes.kernel import check_input
from graphs.runtimes.ray_serve.wire import Wire, rows_of, write_answers
from graphs.spec import Input
from graphs.storage.inputs import Source, list_input, plan_shards
from graphs.storage.objects import Store
from graphs.storage.parquet import concatenated, decode_table, encode_table

JSON, JSON_LINES, PARQUET = ".json", ".jsonl", ".parquet"
_SHARD_ROWS, _SHARD_BYTES = 1_000_000, 256 * 1024 * 1024
"""Read at once; all of it ends up in memory anyway."""

WRITABLE = (PARQUET, JSON, JSON_LINES)


def read_bytes(uri: str) -> bytes:
    """A file's bytes.

    Raises:
        InputNotFound: there is none. StorageError: the store refuses.
    """
    store, name = _placed(uri)
    try:
        return store.read(name)
    except ObjectNotFound as error:
        raise InputNotFound("there is no such file", uri) from error


def write_bytes(uri: str, content: bytes) -> None:
    """A file, in place of any that is there."""
    store, name = _placed(uri)
    store.put(name, content)


def _placed(uri: str) -> tuple[Store, str]:
    folder, _, name = uri.rpartition("/")
    return Store.open(folder or ("/" if uri.startswith("/") else ".")), name


def read_table(graph: Graph, input: Input, partition_key: str) -> pa.Table:
    """The rows of a graph's input.

    Args:
        graph: for the columns it reads, and their types.
        input: a parquet file, a JSON file (one object, a list of them, or one a line), or anything
            that a run on Ray reads: a folder, a glob, CSV.
        partition_key: of a folder that is partitioned.

    Raises:
        InputError: nothing is there, or the rows do not fit; names each.
        CheckFailed: the file is JSON, which cannot carry a column's type.
    """
    uri = input.uri
    if any(sign in uri for sign in "*?["):
        return _from_shards(graph, input, partition_key)
    if uri.endswith((JSON, JSON_LINES)):
        return _from_json(graph, uri, read_bytes(uri))
    if uri.endswith(PARQUET):
        return _from_parquet(graph, uri, read_bytes(uri))
    return _from_shards(graph, input, partition_key)


def _from_shards(graph: Graph, input: Input, partition_key: str) -> pa.Table:
    """As a run reads it: folders, globs, other text formats, whatever the store."""
    schema = graph.input_schema
    objects = list_input(input, partition_key)
    shards = plan_shards(
        input,
        objects,
        shard_rows=_SHARD_ROWS,
        shard_bytes=_SHARD_BYTES,
        check=partial(check_input, graph),
        schema=schema,
    )
    source = Source.open(input)
    return concatenated(
        [source.read(shards[i], schema.names, schema).table for i in range(len(shards))]
    )


def _from_parquet(graph: Graph, where: str, content: bytes) -> pa.Table:
    try:
        table = decode_table(content)
    except pa.ArrowInvalid as error:
        raise InputError(f"is no parquet file: {error}", where) from error
    check_input(graph, table.schema, where)
    return table.select([p.name for p in graph.inputs if p.name in table.column_names])


def _from_json(graph: Graph, uri: str, content: bytes) -> pa.Table:
    compile(graph, "online")  # whose checks know what JSON can carry
    try:
        is_lines = uri.endswith(JSON_LINES)
        rows: Any = (
            [json.loads(line) for line in content.splitlines() if line.strip()]
            if is_lines
            else json.loads(content)
        )
        if isinstance(rows, dict):
            rows = [rows]
        names = {port.name for port in graph.inputs}
        read = [{k: v for k, v in row.items() if k in names} for row in rows]
        return Wire(graph).read_rows(json.dumps(read).encode())[0]
    except ValidationError as error:
        problems = [
            f"row {'.'.join(map(str, problem['loc']))}: {problem['msg']}"
            for problem in error.errors()[:10]
        ]
        more = error.error_count() - len(problems)
        text = "; ".join(problems) + (f"; and {more} more" if more > 0 else "")
        raise InputError(text, uri, "Rows are counted from 0") from error
    except (ValueError, AttributeError, TypeError, pa.ArrowException) as error:
        raise InputError(f"does not hold rows as JSON objects: {error}", uri) from error


def write_table(uri: str, table: pa.Table) -> None:
    """A table as one file; its format is the one of its name, one of ``WRITABLE``."""
    if uri.endswith(PARQUET):
        content = encode_table(table)
    elif uri.endswith(JSON_LINES):
        content = b"".join(write_answers(row) + b"\n" for row in rows_of(table))
    else:
        content = write_answers(rows_of(table)) + b"\n"
    write_bytes(uri, content)


def as_json(table: pa.Table) -> Any:
    """A table's rows as JSON values."""
    return json.loads(write_answers(rows_of(table)))
