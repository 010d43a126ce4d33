from __future__ import annotations

import io
import time
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graphs.spec import ParquetSink
from graphs.storage.objects import Store
from graphs.storage.sinks import Written, open_sink
from tests.storage.sinks import many_rows, of_many_types, rows, write


def stored(root: str, written: Written) -> list[pq.ParquetFile]:
    store = Store.open(root)
    return [pq.ParquetFile(pa.BufferReader(store.read(file.path))) for file in written.files]


def one_shard(root: str, table: pa.Table, sink: ParquetSink | None = None) -> Written:
    (written,) = write(open_sink(sink or ParquetSink(), root), [table], "run")
    return written


def test_a_shard_is_a_file_at_its_attempts_path_with_its_rows_and_bytes(root: str) -> None:
    written = one_shard(root, rows("a", 10))

    (file,) = written.files
    assert file.path == "snapshots/p/run/000000-a1.parquet"
    assert file.rows == 10
    assert file.bytes == len(Store.open(root).read(file.path))
    assert stored(root, written)[0].read().equals(rows("a", 10))


def test_a_shard_without_rows_is_a_file_that_keeps_the_columns(root: str) -> None:
    written = one_shard(root, of_many_types().slice(0, 0))

    assert [file.rows for file in written.files] == [0]
    assert stored(root, written)[0].schema_arrow == of_many_types().schema


def test_types_come_back_as_they_were(root: str) -> None:
    table = of_many_types()
    repeated = pa.chunked_array([pa.array(["x", "y", "x"]).dictionary_encode()])
    table = (
        table.append_column("color", repeated)
        .append_column("long", table["key"].cast(pa.large_string()))
        .append_column("longs", table["words"].cast(pa.large_list(pa.large_string())))
        .append_column("wide", pa.array([Decimal(10) ** 37, None, 0], pa.decimal128(38, 0)))
        .append_column("ns", pa.array([1, None, 3], pa.timestamp("ns")))
        .append_column("pair", pa.array([[1.0, 2.0]] * 3, pa.list_(pa.float32(), 2)))
    )
    table = table.replace_schema_metadata({"note": "kept"})

    read = stored(root, one_shard(root, table))[0].read()

    assert read.schema.metadata == table.schema.metadata
    assert read.equals(table)


def test_row_groups_have_the_rows_that_were_asked_for(root: str) -> None:
    (file,) = stored(root, one_shard(root, many_rows(2500), ParquetSink(row_group_rows=1000)))

    groups = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
    assert groups == [1000, 1000, 500]


def test_a_table_larger_than_a_file_may_be_becomes_several_in_order(root: str) -> None:
    table = many_rows(10_000)
    bound = table.nbytes // 4
    sink = ParquetSink(row_group_rows=500, file_bytes=bound)

    written = one_shard(root, table, sink)

    tables = [file.read() for file in stored(root, written)]
    assert len(tables) >= 4
    assert all(part.nbytes <= bound * 1.05 for part in tables)
    assert [part.num_rows for part in tables] == [file.rows for file in written.files]
    assert pa.concat_tables(tables).equals(table)
    assert len({file.path for file in written.files}) == len(written.files)


def test_a_row_group_is_never_larger_than_a_file_may_be(root: str) -> None:
    wide = pa.table({"text": ["x" * 10_000] * 100})

    written = one_shard(root, wide, ParquetSink(row_group_rows=100, file_bytes=100_000))

    assert {file.rows for file in written.files} == {9}.union({1})  # 11 files of 9, one of 1
    assert sum(file.rows for file in written.files) == 100


def test_a_single_row_larger_than_a_file_may_be_is_a_file(root: str) -> None:
    written = one_shard(root, pa.table({"text": ["x" * 1000] * 3}), ParquetSink(file_bytes=1))

    assert [file.rows for file in written.files] == [1, 1, 1]


@pytest.mark.parametrize(
    ("asked", "found"), [("zstd", "ZSTD"), ("snappy", "SNAPPY"), ("none", "UNCOMPRESSED")]
)
def test_files_are_compressed_as_asked(tmp_path: object, asked: str, found: str) -> None:
    sink = ParquetSink.model_validate({"compression": asked})

    (file,) = stored(str(tmp_path), one_shard(str(tmp_path), many_rows(100), sink))

    group = file.metadata.row_group(0)
    assert {group.column(n).compression for n in range(group.num_columns)} == {found}


def test_columns_that_repeat_have_a_dictionary_and_others_none(tmp_path: object) -> None:
    (file,) = stored(str(tmp_path), one_shard(str(tmp_path), many_rows(5000)))

    group = file.metadata.row_group(0)
    columns = [group.column(n) for n in range(group.num_columns)]
    encoded = {column.path_in_schema.split(".")[0]: column.encodings for column in columns}
    with_dictionary = {name for name, found in encoded.items() if "RLE_DICTIONARY" in found}
    assert with_dictionary == {"few"}


def test_chunks_with_dictionaries_of_their_own_become_one_column(tmp_path: object) -> None:
    parts = [
        pa.table({"c": pa.array([a, b]).dictionary_encode()})
        for a, b in [("a", "b"), ("c", "b"), ("d", "d")]
    ]

    (file,) = stored(str(tmp_path), one_shard(str(tmp_path), pa.concat_tables(parts)))

    assert file.read()["c"].to_pylist() == ["a", "b", "c", "b", "d", "d"]
    assert pa.types.is_dictionary(file.schema_arrow.field("c").type)


def test_a_table_of_many_small_chunks_has_row_groups_as_any_other(tmp_path: object) -> None:
    table = many_rows(30_000)
    chunked = pa.concat_tables([table.slice(start, 7) for start in range(0, 30_000, 7)])

    written = one_shard(str(tmp_path), chunked, ParquetSink(row_group_rows=10_000))

    (file,) = stored(str(tmp_path), written)
    assert file.num_row_groups == 3
    assert file.read().equals(table)


def test_writing_takes_no_longer_than_pyarrows_own(tmp_path: object) -> None:
    table = many_rows(300_000)
    sink = open_sink(ParquetSink(), str(tmp_path))

    def ours(number: int) -> None:
        sink.write(table, partition_key="p", run_key="r", name=f"{number:06d}-a")

    def theirs(number: int) -> None:
        stream = io.BytesIO()
        pq.write_table(table, stream, compression="zstd", row_group_size=131_072)
        (Store.open(str(tmp_path))).put(f"theirs-{number}", stream.getvalue())

    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for number in range(5):
        for name, action in (("ours", ours), ("theirs", theirs)):
            started = time.process_time()
            action(number)
            seconds[name].append(time.process_time() - started)

    assert min(seconds["ours"]) <= min(seconds["theirs"]) * 1.05


def test_a_losers_files_are_deleted_and_no_others(root: str) -> None:
    sink = open_sink(ParquetSink(row_group_rows=10, file_bytes=200), root)
    table = rows("a", 100)
    kept = sink.write(table, partition_key="p", run_key="run", name="000000-winner")
    lost = sink.write(table, partition_key="p", run_key="run", name="000000-loser")
    assert len(lost.files) > 1

    sink.discard(lost)

    left = {info.path for info in Store.open(root).list("snapshots")}
    assert left == {file.path for file in kept.files}
