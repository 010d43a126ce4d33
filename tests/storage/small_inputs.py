"""Small inputs of two columns: written, planned and read."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

from graphs.spec import Input, Shard
from graphs.storage.inputs import Shards, Source, list_input, plan_shards
from graphs.storage.objects import Store
from graphs.storage.parquet import encode_table

SCHEMA = pa.schema([("id", pa.string()), ("n", pa.int64())])


def rows(start: int, stop: int) -> pa.Table:
    numbers = range(start, stop)
    return pa.table({"id": [f"r{n}" for n in numbers], "n": list(numbers)}, schema=SCHEMA)


def write(root: str, path: str, table: pa.Table, group_rows: int | None = None) -> None:
    Store.open(root).put(path, encode_table(table, group_rows))


def plan(
    input: Input,
    partition_key: str = "all",
    bad_file: Literal["fail", "skip"] = "fail",
    **limits: int,
) -> Shards:
    return plan_shards(
        input,
        list_input(input, partition_key),
        shard_rows=limits.get("shard_rows", 100),
        shard_bytes=limits.get("shard_bytes", 10**9),
        check=lambda schema, where: None,
        bad_file=bad_file,
    )


def read(input: Input, shard: Shard) -> pa.Table:
    return Source.open(input).read(shard, SCHEMA.names, SCHEMA).table
