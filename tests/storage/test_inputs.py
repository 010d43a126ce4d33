from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graphs.errors import CredentialsRejected, InputChanged, InputNotFound, SchemaMismatch
from graphs.spec import Input, Shard
from graphs.storage.inputs import Shards, Source, list_input, plan_shards, run_key
from graphs.storage.inputs.places import Place
from graphs.storage.objects import Store, requests_made
from graphs.storage.parquet import encode_table
from tests.storage import servers

SCHEMA = pa.schema([("id", pa.string()), ("n", pa.int64())])


def rows(start: int, stop: int) -> pa.Table:
    numbers = range(start, stop)
    return pa.table({"id": [f"r{n}" for n in numbers], "n": list(numbers)}, schema=SCHEMA)


def write(root: str, path: str, table: pa.Table, group_rows: int | None = None) -> None:
    Store.open(root).put(path, encode_table(table, group_rows))


BAD_FILE: tuple[Literal["fail", "skip"], ...] = ("fail", "skip")


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


def test_an_object_that_changed_after_planning_is_not_read(root: str) -> None:
    input = Input(uri=root)
    write(root, "a.parquet", rows(0, 300), group_rows=100)
    *_, last = plan(input)
    write(root, "a.parquet", rows(500, 900), group_rows=100)
    with pytest.raises(InputChanged, match=r"a\.parquet: changed since this run was planned"):
        read(input, last)


@pytest.fixture
def lake_root(moto: str, use_s3: Callable[[str], None]) -> str:
    """URI of an empty place in S3."""
    use_s3(moto)
    return f"s3://lake/{uuid.uuid4().hex}"


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


def test_every_file_is_checked_before_work_starts(root: str) -> None:
    write(root, "a.parquet", rows(0, 3))
    write(root, "b.parquet", rows(0, 3).drop_columns(["n"]))

    def check(schema: pa.Schema, where: str) -> None:
        if "n" not in schema.names:
            raise SchemaMismatch("column 'n' is missing", where)

    input = Input(uri=root)
    with pytest.raises(SchemaMismatch, match=r"b\.parquet: column 'n'"):
        plan_shards(input, list_input(input, "all"), shard_rows=9, shard_bytes=9**9, check=check)


def test_the_run_key_changes_with_whatever_changes_the_rows(root: str) -> None:
    write(root, "a.parquet", rows(0, 3))
    input = Input(uri=root)
    before = list_input(input, "all")

    def key(version: str = "v1", partition: str = "p", objects=before, **parameters: int) -> str:
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
    }
    assert len(keys) == 6
