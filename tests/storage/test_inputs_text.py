"""JSON lines and CSV: cut into spans of lines, read in the graph's types."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as some

from graphs.errors import InputError, SchemaMismatch
from graphs.ir import DEFAULT
from graphs.spec import Csv, Input
from graphs.storage.inputs import Shards, Source, list_input, plan_shards, text
from graphs.storage.objects import Store

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("n", pa.int64()),
        pa.field("lang", pa.string(), metadata={DEFAULT: '"en"'}),
        pa.field("day", pa.date32()),
        pa.field("vector", pa.list_(pa.float32(), 2), metadata={DEFAULT: "[0.5, 1.0]"}),
    ]
)
DAY = dt.date(2026, 1, 2)


def plan(input: Input, **limits: int) -> Shards:
    return plan_shards(
        input,
        list_input(input, "all"),
        shard_rows=limits.get("shard_rows", 10**9),
        shard_bytes=limits.get("shard_bytes", 10**9),
        check=lambda schema, where: None,
        schema=SCHEMA,
    )


def rows(input: Input, *names: str, **limits: int) -> list[dict[str, object]]:
    source = Source.open(input)
    names = names or tuple(SCHEMA.names)
    return [
        row
        for shard in plan(input, **limits)
        for row in source.read(shard, names, SCHEMA).table.to_pylist()
    ]


def as_json(numbers: range) -> bytes:
    lines = [json.dumps({"id": f"r{n}", "n": n, "extra": {"deep": [n]}}) for n in numbers]
    return "".join(f"{line}\n" for line in lines).encode()


def as_csv(numbers: range, end: str = "\n") -> bytes:
    return f"id,n,extra{end}".encode() + "".join(f"r{n},{n},x{end}" for n in numbers).encode()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jsonl", as_json(range(1000))),
        ("a.ndjson", as_json(range(1000)).removesuffix(b"\n")),
        ("a.csv", as_csv(range(1000))),
        ("a.csv", as_csv(range(1000), "\r\n")),
        ("a.csv", b"\xef\xbb\xbf" + as_csv(range(1000)).removesuffix(b"\n")),
    ],
)
def test_a_file_cut_into_spans_has_every_row_once_and_in_order(
    root: str, name: str, data: bytes
) -> None:
    Store.open(root).put(name, data)
    input = Input(uri=root)
    shards = plan(input, shard_rows=100)
    assert len(shards) > 8
    assert shards.rows is None
    assert shards.bytes == len(data)
    expected = [{"id": f"r{n}", "n": n} for n in range(1000)]
    assert rows(input, "id", "n", shard_rows=100) == expected
    assert rows(input, "id", "n") == expected


@given(
    lines=some.lists(some.binary(max_size=12).map(lambda line: line.replace(b"\n", b""))),
    ends=some.booleans(),
    cuts=some.lists(some.integers(0, 200)),
)
def test_adjacent_spans_have_every_line_once(
    lines: list[bytes], ends: bool, cuts: list[int]
) -> None:
    data = b"\n".join(lines) + (b"\n" if ends else b"")
    bounds = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})

    def read(start: int, stop: int) -> bytes:
        assert 0 <= start <= stop <= len(data)
        return data[start:stop]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "_MORE", 2)  # so that ends of lines lie beyond the first look
        found = [bytes(text.lines_of(read, len(data), span)) for span in pairwise(bounds)]
    assert b"".join(found) == data
    starts = [sum(map(len, found[:position])) for position in range(len(found))]
    assert all(
        start == 0 or data[start - 1 : start] == b"\n"
        for start, lines in zip(starts, found, strict=True)
        if lines
    )


def test_compressed_files_are_read_whole(root: str) -> None:
    Store.open(root).put("a.jsonl.gz", gzip.compress(as_json(range(500))))
    Store.open(root).put("b.csv.gz", gzip.compress(as_csv(range(500, 1000))))
    input = Input(uri=root)
    assert [piece.span for shard in plan(input, shard_rows=10) for piece in shard.pieces] == [
        None,
        None,
    ]
    assert [row["n"] for row in rows(input, "id", "n")] == list(range(1000))


def test_values_that_hold_line_ends_are_read_where_the_input_says_so(root: str) -> None:
    text = 'id;n\n"two\nlines";1\nr2;2\n'
    Store.open(root).put("a.csv", text.encode())
    input = Input(uri=root, csv=Csv(delimiter=";", newlines_in_values=True))
    assert len(plan(input, shard_rows=1)) == 1
    assert rows(input, "id", "n") == [{"id": "two\nlines", "n": 1}, {"id": "r2", "n": 2}]


def test_json_comes_in_the_types_asked_for_and_what_a_row_lacks_at_its_default(root: str) -> None:
    lines = [
        {"id": "a", "n": 1, "lang": "de", "day": "2026-01-02", "vector": [1, 2.5]},
        {"id": "b", "lang": None},
        {"n": 3, "day": None},
    ]
    Store.open(root).put("a.jsonl", "\n\n".join(json.dumps(line) for line in lines).encode())
    assert rows(Input(uri=root)) == [
        {"id": "a", "n": 1, "lang": "de", "day": DAY, "vector": [1.0, 2.5]},
        {"id": "b", "n": None, "lang": None, "day": None, "vector": [0.5, 1.0]},
        {"id": None, "n": 3, "lang": "en", "day": None, "vector": [0.5, 1.0]},
    ]


def test_csv_comes_in_the_types_asked_for_whatever_its_values_look_like(root: str) -> None:
    Store.open(root).put("a.csv", b"n,id,day\n1,0012,2026-01-02\n,,\n")
    assert rows(Input(uri=root)) == [
        {"id": "0012", "n": 1, "lang": "en", "day": DAY, "vector": [0.5, 1.0]},
        {"id": "", "n": None, "lang": "en", "day": None, "vector": [0.5, 1.0]},
    ]


def test_a_line_longer_than_a_block_is_read(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "_BLOCK", 1000)
    long = "x" * 5000
    Store.open(root).put(
        "a.jsonl", json.dumps({"id": long, "n": 1}).encode() + b"\n" + as_json(range(9))
    )
    assert next(row["id"] for row in rows(Input(uri=root), "id", "n")) == long
    Store.open(root).put("a.jsonl", b"")
    Store.open(root).put("b.csv", f"id,n\nr1,1\n{long},2\n".encode())
    assert [row["id"] for row in rows(Input(uri=root), "id", "n")] == ["r1", long]


def test_empty_files_have_no_rows(root: str) -> None:
    Store.open(root).put("a.jsonl", b"")
    Store.open(root).put("b.csv", b"id,n\n")
    Store.open(root).put("c.jsonl", b"\n\n")
    input = Input(uri=root)
    assert rows(input, "id", "n") == []


def test_the_columns_of_text_are_checked_in_the_types_the_graph_reads(root: str) -> None:
    Store.open(root).put("a.csv", b"id,n,other\n1,2,3\n")
    seen: list[pa.Schema] = []
    input = Input(uri=root)
    plan_shards(
        input,
        list_input(input, "all"),
        shard_rows=9,
        shard_bytes=10**9,
        check=lambda schema, where: seen.append(schema),
        schema=SCHEMA,
    )
    assert seen == [pa.schema([("id", "string"), ("n", "int64"), ("other", "int64")])]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", b"id,n\nr1,one\n"),
        ("a.csv", b"id,n\nr1\n"),
        ("a.jsonl", b'{"id": "r1", "n": 1}\n{"id": \n'),
        ("a.jsonl", b'{"id": "r1", "n": "one"}\n'),
        ("a.csv.gz", gzip.compress(as_csv(range(1000)))[:-20]),
        ("a.jsonl.gz", b"this is not gzip"),
    ],
)
def test_text_that_cannot_be_read_is_named_or_skipped(root: str, name: str, data: bytes) -> None:
    Store.open(root).put(name, data)
    input = Input(uri=root)
    (shard,) = plan_shards(
        input,
        list_input(input, "all"),
        shard_rows=10**9,
        shard_bytes=10**9,
        check=lambda *_: None,
        bad_file="skip",
        schema=SCHEMA,
    )
    source = Source.open(input)
    with pytest.raises(
        SchemaMismatch, match=r"a\.(csv|jsonl).* is not a readable (csv|jsonl) file"
    ):
        source.read(shard, ["id", "n"], SCHEMA)
    answer = source.read(shard, ["id", "n"], SCHEMA, "skip")
    assert answer.table.num_rows == 0
    assert [(one.path, one.rows) for one in answer.skipped] == [(name, None)]


def test_text_has_no_columns_within_columns(root: str) -> None:
    Store.open(root).put("a.csv", b"id,n\n1,2\n")
    input = Input(uri=root, nested_in="input")
    (shard,) = plan(input)
    with pytest.raises(InputError, match="nested_in='input' is for parquet"):
        Source.open(input).read(shard, ["id"], SCHEMA)
