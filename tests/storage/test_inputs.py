"""Inputs listed, named and cut into shards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from graphs.errors import CredentialsRejected, InputNotFound, SchemaMismatch
from graphs.spec import Csv, Input, LanceSink, ParquetSink
from graphs.storage.inputs import Source, list_input, plan_shards, run_key
from graphs.storage.objects import ObjectInfo, Store, requests_made
from tests.storage import servers
from tests.storage.small_inputs import SCHEMA, plan, read, rows, write


def test_small_files_are_packed_and_large_ones_split_by_row_group(root: str) -> None:
    write(root, "a.parquet", rows(0, 30))
    write(root, "b.parquet", rows(30, 70))
    write(root, "c.parquet", rows(70, 320), group_rows=50)
    shards = plan(Input(uri=root))
    assert [(p.path, p.row_groups, p.rows) for s in shards for p in s.pieces] == [
        ("a.parquet", None, 30),
        ("b.parquet", None, 40),
        ("c.parquet", (0, 1), 100),
        ("c.parquet", (2, 3), 100),
        ("c.parquet", (4,), 50),
    ]
    assert [shard.id for shard in shards] == ["00000", "00001", "00002", "00003"]


def test_the_shards_hold_every_row_once_and_in_order(root: str) -> None:
    write(root, "a.parquet", rows(0, 30))
    write(root, "b.parquet", rows(30, 330), group_rows=70)
    input = Input(uri=root)
    read_back = pa.concat_tables([read(input, shard) for shard in plan(input)])
    assert read_back.equals(rows(0, 330))


def test_bytes_limit_a_shard_too(root: str) -> None:
    write(root, "a.parquet", rows(0, 300), group_rows=100)
    assert len(plan(Input(uri=root), shard_rows=10**9, shard_bytes=1)) == 3


def test_only_the_columns_asked_for_come_back_in_the_types_asked_for(root: str) -> None:
    write(
        root, "a.parquet", rows(0, 3).cast(pa.schema([("id", pa.large_string()), ("n", "int32")]))
    )
    (shard,) = plan(Input(uri=root))
    table = Source.open(Input(uri=root)).read(shard, ["n"], SCHEMA).table
    assert table.equals(rows(0, 3).select(["n"]))


def test_a_run_reads_its_partition_and_no_other(root: str) -> None:
    write(root, "day=2026-01-01/a.parquet", rows(0, 3))
    write(root, "day=2026-01-02/a.parquet", rows(3, 5))
    input = Input(uri=root, partition_by="day")
    (shard,) = plan(input, "2026-01-02")
    assert read(input, shard).equals(rows(3, 5))


def test_what_is_hidden_or_no_parquet_is_not_data(root: str) -> None:
    write(root, "a.parquet", rows(0, 3))
    for path in ("_staging/b.parquet", ".tmp.parquet", "_SUCCESS", "notes.txt"):
        Store.open(root).put(path, b"not data")
    assert [info.path for info in list_input(Input(uri=root), "all")] == ["a.parquet"]


def test_an_empty_partition_is_one_shard_without_rows(root: str) -> None:
    write(root, "day=2026-01-01/a.parquet", rows(0, 3))
    input = Input(uri=root, partition_by="day")
    (shard,) = plan(input, "2026-01-09")
    assert shard.pieces == ()
    assert read(input, shard).equals(SCHEMA.empty_table())


def test_files_without_rows_are_one_shard_without_rows(root: str) -> None:
    write(root, "a.parquet", rows(0, 0))
    (shard,) = plan(Input(uri=root))
    assert shard.pieces == ()


def test_a_dataset_that_is_not_there_is_not_an_empty_partition(root: str) -> None:
    for input in (Input(uri=f"{root}/nowhere"), Input(uri=f"{root}/nowhere", partition_by="day")):
        with pytest.raises(InputNotFound, match=r"nowhere.*Check the URI"):
            list_input(input, "2026-01-01")


def test_a_mistyped_partition_column_is_not_an_empty_partition(root: str) -> None:
    write(root, "day=2026-01-01/a.parquet", rows(0, 3))
    with pytest.raises(InputNotFound, match="not partitioned by 'date'; it has 'day=2026-01-01'"):
        list_input(Input(uri=root, partition_by="date"), "2026-01-01")


@pytest.mark.server
def test_a_missing_bucket_is_a_missing_input(moto: str, use_s3: Callable[[str], None]) -> None:
    use_s3(moto)
    with pytest.raises(InputNotFound, match=r"no-such-lake.*Create the bucket"):
        list_input(Input(uri="s3://no-such-lake/x"), "all")


@pytest.mark.server
def test_wrong_credentials_are_not_a_missing_input(use_s3: Callable[[str], None]) -> None:
    with servers.moto(is_open=False) as closed:
        use_s3(closed)
        with pytest.raises(CredentialsRejected):
            list_input(Input(uri="s3://lake/x"), "all")


def test_every_file_is_checked_before_work_starts(root: str) -> None:
    write(root, "a.parquet", rows(0, 3))
    write(root, "b.parquet", rows(0, 3).drop_columns(["n"]))

    def check(schema: pa.Schema, where: str) -> None:
        if "n" not in schema.names:
            raise SchemaMismatch("column 'n' is missing", where)

    input = Input(uri=root)
    with pytest.raises(SchemaMismatch, match=r"b\.parquet: column 'n'"):
        plan_shards(input, list_input(input, "all"), shard_rows=9, shard_bytes=9**9, check=check)


@pytest.mark.server
def test_small_files_cost_one_request_each(lake_root: str) -> None:
    for start in range(0, 300, 3):
        write(lake_root, f"{start:03d}.parquet", rows(start, start + 3))
    input, before = Input(uri=lake_root), requests_made()
    shards = plan(input, shard_rows=50)
    assert requests_made() - before == 2  # a page of the listing, and the first file's footer
    assert shards.rows is None
    source = Source.open(input)
    tables = [source.read(shard, SCHEMA.names, SCHEMA).table for shard in shards]
    assert requests_made() - before == 102
    assert pa.concat_tables(tables).equals(rows(0, 300))
    assert 5 <= len(shards) <= 8
    assert max(table.num_rows for table in tables) <= 60


def test_files_that_are_much_larger_than_the_first_are_looked_into(root: str) -> None:
    for number in range(66):
        write(root, f"{number:02d}.parquet", rows(0, 50))
    write(root, "99.parquet", rows(0, 60_000), group_rows=20_000)
    shards = plan(Input(uri=root), shard_rows=20_000)
    known = [(p.path, p.rows, p.row_groups) for s in shards for p in s.pieces if p.rows is not None]
    assert known == [("00.parquet", 50, None), *(("99.parquet", 20_000, (n,)) for n in range(3))]


def test_the_run_key_changes_with_whatever_changes_the_rows(root: str) -> None:
    write(root, "a.parquet", rows(0, 3))
    input = Input(uri=root)
    before = list_input(input, "all")

    def key(
        version: str = "v1", partition: str = "p", objects: Any = before, **parameters: int
    ) -> str:
        return run_key(version, partition, input, objects, parameters)

    first = key()
    assert first == key(objects=list_input(input, "all"))
    write(root, "a.parquet", rows(0, 4))
    keys = {
        first,
        key(version="v2"),
        key(partition="q"),
        key(top=3),
        key(objects=list_input(input, "all")),
        run_key("v1", "p", Input(uri=f"{root}/other"), before, {}),
        run_key("v1", "p", Input(uri=root, format="parquet"), before, {}),
        run_key("v1", "p", Input(uri=root, csv=Csv(delimiter=";")), before, {}),
        run_key("v1", "p", input, before, {}, LanceSink(uri="s3://lake/a")),
        run_key("v1", "p", input, before, {}, LanceSink(uri="s3://lake/b")),
    }
    assert len(keys) == 10


def test_the_run_key_does_not_change_with_what_is_at_its_default() -> None:
    objects = [ObjectInfo("a.parquet", '"e"', 7)]
    input = Input(uri="s3://lake/in", csv=Csv(), format=None)
    # As version 0.1 made it, which knew of neither formats nor sinks
    old = "9a6549d122479497"
    assert run_key("v1", "p", input, objects, {"top": 3}) == old
    assert run_key("v1", "p", input, objects, {"top": 3}, ParquetSink(file_bytes=9)) == old
