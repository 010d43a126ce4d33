from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from graphs.errors import CredentialsRejected, InputChanged, InputNotFound, SchemaMismatch
from graphs.spec import Input, Shard
from graphs.storage.inputs import Shards, Source, list_input, plan_shards, run_key
from graphs.storage.objects import ObjectInfo, Store
from graphs.storage.parquet import encode_table
from tests.storage import servers

SCHEMA = pa.schema([("id", pa.string()), ("n", pa.int64())])


def rows(start: int, stop: int) -> pa.Table:
    numbers = range(start, stop)
    return pa.table({"id": [f"r{n}" for n in numbers], "n": list(numbers)}, schema=SCHEMA)


def write(root: str, path: str, table: pa.Table, group_rows: int | None = None) -> None:
    Store.open(root).put(path, encode_table(table, group_rows))


def plan(input: Input, partition_key: str = "all", **limits: int) -> Shards:
    return plan_shards(
        input,
        list_input(input, partition_key),
        shard_rows=limits.get("shard_rows", 100),
        shard_bytes=limits.get("shard_bytes", 10**9),
        check=lambda schema, where: None,
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


def test_an_object_that_changes_between_two_reads_of_it_is_noticed(root: str) -> None:
    # Given a file so large that its footer and its columns are read by separate requests
    input = Input(uri=root)
    noise = pa.table({"id": [hashlib.md5(b"%d" % n).hexdigest() for n in range(400_000)]})
    write(root, "a.parquet", noise.append_column("n", pa.array(range(400_000))))
    (shard,) = plan(input, shard_rows=10**7)
    place = ChangesOnSecondRequest(Store.open(root), lambda: write(root, "a.parquet", rows(0, 5)))
    with pytest.raises(InputChanged, match=r"a\.parquet"):
        Source(input, place).read(shard, SCHEMA.names, SCHEMA)


class ChangesOnSecondRequest:
    """A place whose object is replaced while it is being read."""

    def __init__(self, store: Store, change: Callable[[], None]) -> None:
        self._store, self._change = store, change
        self._requests = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def info(self, path: str) -> ObjectInfo | None:
        self._change()  # of a local file, this is the last thing asked
        return self._store.info(path)

    def read_range(
        self, path: str, start: int | None, length: int, etag: str
    ) -> tuple[memoryview, int]:
        self._requests += 1
        if self._requests == 2:
            self._change()
        return self._store.read_range(path, start, length, etag)


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
