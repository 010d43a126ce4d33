"""Shards as columns."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graphs.errors import StorageError
from graphs.spec import Input, Piece, Shard
from graphs.storage.inputs import Shards, list_input, plan_shards
from graphs.storage.objects import ObjectInfo

WHOLE = Piece(path="a.parquet", etag='"1"', size=70, rows=7)
GROUPS = Piece(path="b.parquet", etag='"2"', size=900, rows=20, row_groups=(0, 2))
UNKNOWN = Piece(path="c.parquet", etag='"3"', size=30)
LINES = Piece(path="d.csv", etag='"4"', size=50, span=(0, 25))


def shards(*pieces: tuple[Piece, ...]) -> tuple[Shard, ...]:
    return tuple(Shard(id=f"{number:05d}", pieces=one) for number, one in enumerate(pieces))


def test_what_goes_in_comes_out_again() -> None:
    given = shards((WHOLE, GROUPS), (UNKNOWN,), (LINES, WHOLE))
    columns = Shards.of(given)
    assert tuple(columns) == given
    assert [columns[0], columns[-1]] == [given[0], given[2]]
    assert len(columns) == 3
    with pytest.raises(IndexError, match="shard 3 of 3"):
        columns[3]


def test_they_survive_a_parquet_file() -> None:
    for given in (shards((WHOLE, GROUPS), (UNKNOWN,), (LINES,)), shards(())):
        columns = Shards.of(given)
        back = Shards.from_parquet(columns.to_parquet(), "x")
        assert back == columns
        assert tuple(back) == given


def test_different_shards_are_not_equal() -> None:
    assert Shards.of(shards((WHOLE,))) != Shards.of(shards((GROUPS,)))
    assert Shards.of(shards((WHOLE, GROUPS))) != Shards.of(shards((WHOLE,), (GROUPS,)))
    assert Shards.of(shards(())) != Shards.of(shards((), ()))


def test_rows_are_known_where_those_of_all_pieces_are() -> None:
    columns = Shards.of(shards((WHOLE, GROUPS), (WHOLE, UNKNOWN), ()))
    assert [columns.rows_of(index) for index in range(3)] == [27, None, 0]
    assert columns.rows is None
    assert Shards.of(shards((WHOLE,), (GROUPS,))).rows == 27


def test_bytes_are_those_of_the_pieces() -> None:
    columns = Shards.of(shards((WHOLE,), (LINES, UNKNOWN)))
    assert [columns.bytes_of(index) for index in range(2)] == [70, 55]
    assert columns.bytes == 125


def test_an_id_is_a_zero_padded_position() -> None:
    columns = Shards.of(shards(*[(WHOLE,)] * 3))
    assert [columns.index_of(shard.id) for shard in columns] == [0, 1, 2]
    for wrong in ("00003", "2", "-0001", "000002", "", "abcde", "٠٠٠٠١"):
        with pytest.raises(KeyError):
            columns.index_of(wrong)


def test_many_shards_have_longer_ids() -> None:
    columns = Shards.of(Shard(id="", pieces=(WHOLE,)) for _ in range(100_001))
    assert columns[100_000].id == "100000"
    assert columns.index_of("000007") == 7


@pytest.mark.parametrize("data", [b"", b"PAR1 but not really PAR1", pytest.param(None, id="other")])
def test_another_file_is_refused_with_its_name(data: bytes | None) -> None:
    if data is None:
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"shard": [1]}), sink)
        data = sink.getvalue().to_pybytes()
    with pytest.raises(StorageError, match=r"runs/x/shards\.parquet: is no readable list"):
        Shards.from_parquet(data, "runs/x/shards.parquet")


def test_a_hundred_thousand_files_are_planned_without_looking_into_them(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a"] * 50}), tmp_path / "0.parquet")
    size = (tmp_path / "0.parquet").stat().st_size
    input = Input(uri=str(tmp_path))
    # Given that only the first of them is there at all
    listed = list_input(input, "all")
    others = [ObjectInfo(f"1/{number:06d}.parquet", '"e"', size) for number in range(99_999)]
    columns = plan_shards(
        input, [*listed, *others], shard_rows=50, shard_bytes=1 << 40, check=lambda *_: None
    )
    assert len(columns) == 100_000
    assert columns.rows_of(0) == 50
    assert columns.rows_of(99_999) is None
    assert columns.bytes > 99_999 * size
    assert Shards.from_parquet(columns.to_parquet(), "x") == columns
