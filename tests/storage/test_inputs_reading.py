"""Shards read: of the version that was planned, and bad files fatal or left out."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graphs.errors import InputChanged, SchemaMismatch
from graphs.spec import Input
from graphs.storage.inputs import Source
from graphs.storage.inputs.places import Place
from graphs.storage.objects import Store
from graphs.storage.parquet import encode_table
from tests.storage.small_inputs import SCHEMA, plan, read, rows, write

BAD_FILE: tuple[Literal["fail", "skip"], ...] = ("fail", "skip")


def test_an_object_that_changed_after_planning_is_not_read(root: str) -> None:
    input = Input(uri=root)
    write(root, "a.parquet", rows(0, 300), group_rows=100)
    *_, last = plan(input)
    write(root, "a.parquet", rows(500, 900), group_rows=100)
    with pytest.raises(InputChanged, match=r"a\.parquet: changed since this run was planned"):
        read(input, last)


def noise(count: int) -> pa.Table:
    """Rows that do not compress."""
    ids = [hashlib.md5(b"%d" % n).hexdigest() for n in range(count)]
    return pa.table({"id": ids, "n": list(range(count))}, schema=SCHEMA)


@pytest.mark.server
def test_an_object_that_changes_between_two_requests_is_noticed(lake_root: str) -> None:
    # Given a file so large that its footer and its columns are read by separate requests
    input = Input(uri=lake_root)
    write(lake_root, "a.parquet", noise(400_000))
    (shard,) = plan(input, shard_rows=10**7)

    class Changing:
        """A place whose object is replaced after the first request."""

        def __init__(self) -> None:
            self._store, self._requests = Store.open(lake_root), 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        def read_range(self, *arguments: Any) -> tuple[memoryview, int]:
            self._requests += 1
            if self._requests == 2:
                write(lake_root, "a.parquet", rows(0, 5))
            return self._store.read_range(*arguments)

    with pytest.raises(InputChanged, match=r"a\.parquet: changed"):
        Source(input, cast(Place, Changing())).read(shard, SCHEMA.names, SCHEMA)


def test_a_local_file_that_changes_while_it_is_read_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = str(tmp_path / "place")
    write(root, "a.parquet", rows(0, 5))
    (shard,) = plan(Input(uri=root))
    reads = pq.ParquetFile.read

    def changing(file: pq.ParquetFile, *arguments: Any, **more: Any) -> pa.Table:
        table = reads(file, *arguments, **more)
        write(root, "a.parquet", rows(5, 10))
        return table

    monkeypatch.setattr(pq.ParquetFile, "read", changing)
    with pytest.raises(InputChanged, match=r"a\.parquet: changed"):
        read(Input(uri=root), shard)


def test_a_file_that_was_replaced_by_what_is_no_parquet_has_changed(root: str) -> None:
    write(root, "a.parquet", rows(0, 5))
    (shard,) = plan(Input(uri=root))
    Store.open(root).put("a.parquet", b"not parquet")
    for bad_file in BAD_FILE:
        with pytest.raises(InputChanged, match=r"a\.parquet: changed"):
            Source.open(Input(uri=root)).read(shard, SCHEMA.names, SCHEMA, bad_file)


def test_a_large_object_is_read_in_parts_and_comes_out_the_same(root: str) -> None:
    table = noise(1_000_000)
    write(root, "a.parquet", table, group_rows=300_000)
    input = Input(uri=root)
    source = Source.open(input)
    shards = plan(input, shard_rows=300_000)
    assert [shard.rows for shard in shards] == [300_000, 300_000, 300_000, 100_000]
    answers = [source.read(shard, SCHEMA.names, SCHEMA) for shard in shards]
    assert pa.concat_tables([answer.table for answer in answers]).equals(table)
    numbers = source.read(shards[1], ["n"], SCHEMA)
    assert numbers.table.equals(table.select(["n"]).slice(300_000, 300_000))


@pytest.mark.server
def test_only_the_bytes_of_the_columns_asked_for_are_fetched(lake_root: str) -> None:
    write(lake_root, "a.parquet", noise(1_000_000), group_rows=300_000)
    source = Source.open(Input(uri=lake_root))
    shards = plan(Input(uri=lake_root), shard_rows=10**7)
    whole = source.read(shards[0], SCHEMA.names, SCHEMA).bytes_read
    assert whole == pytest.approx(shards.bytes, rel=0.01)
    assert source.read(shards[0], ["n"], SCHEMA).bytes_read < whole / 4


def test_an_object_that_vanished_after_planning_is_named(root: str) -> None:
    input = Input(uri=root)
    write(root, "a.parquet", rows(0, 3))
    (shard,) = plan(input)
    Store.open(root).delete("a.parquet")
    with pytest.raises(InputChanged, match=r"a\.parquet: vanished"):
        read(input, shard)


def test_a_file_that_is_no_parquet_is_named(root: str) -> None:
    Store.open(root).put("a.parquet", b"these are not the bytes you are looking for")
    with pytest.raises(SchemaMismatch, match=r"a\.parquet: is not a readable parquet file"):
        plan(Input(uri=root))


def poisoned() -> bytes:
    """A parquet file whose footer is sound and whose pages are not."""
    data = bytearray(encode_table(rows(0, 1000)))
    data[4:1000] = bytes(996)
    return bytes(data)


@pytest.mark.parametrize("data", [b"", b"PAR1 no more PAR1", poisoned()])
def test_a_poisoned_file_is_fatal_or_left_out_with_its_name(root: str, data: bytes) -> None:
    write(root, "a.parquet", rows(0, 3))
    Store.open(root).put("b.parquet", data)
    write(root, "c.parquet", rows(3, 5))
    input = Input(uri=root)
    (shard,) = plan(input, bad_file="skip", shard_rows=10**4)
    source = Source.open(input)
    with pytest.raises(SchemaMismatch, match=r"b\.parquet: is not a readable parquet.*skip bad"):
        source.read(shard, SCHEMA.names, SCHEMA)
    answer = source.read(shard, SCHEMA.names, SCHEMA, "skip")
    assert answer.table.equals(rows(0, 5))
    ((path, count),) = [(skipped.path, skipped.rows) for skipped in answer.skipped]
    assert (path, count) == ("b.parquet", 1000 if len(data) > 1000 else None)


def test_a_file_that_lacks_a_column_is_never_left_out(root: str) -> None:
    write(root, "a.parquet", rows(0, 3))
    write(root, "b.parquet", rows(3, 5).drop_columns(["n"]))
    (shard,) = plan(Input(uri=root))
    with pytest.raises(SchemaMismatch, match=r"b\.parquet: column 'n' is missing"):
        Source.open(Input(uri=root)).read(shard, SCHEMA.names, SCHEMA, "skip")


def test_a_file_whose_values_do_not_fit_is_named(root: str) -> None:
    write(root, "a.parquet", rows(0, 3))
    write(root, "b.parquet", pa.table({"id": ["x"], "n": ["many"]}))
    (shard,) = plan(Input(uri=root))
    with pytest.raises(SchemaMismatch, match=r"b\.parquet: does not fit the graph's input"):
        read(Input(uri=root), shard)


def test_files_of_other_layouts_come_out_as_one_table(root: str) -> None:
    write(root, "a.parquet", rows(0, 3))
    write(root, "b.parquet", rows(3, 6).select(["n", "id"]))
    write(root, "c.parquet", rows(6, 9).cast(pa.schema([("id", pa.large_string()), ("n", "int8")])))
    write(root, "d.parquet", rows(9, 12).append_column("more", pa.array([1, 2, 3])))
    input = Input(uri=root)
    (shard,) = plan(input)
    assert read(input, shard).equals(rows(0, 12))
