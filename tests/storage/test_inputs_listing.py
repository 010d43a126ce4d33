"""Which files an input is: folders, files, globs, partitions; on S3, on disk, behind fsspec."""

from __future__ import annotations

import datetime as dt
import functools
import http.server
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest

from graphs.errors import InputChanged, InputError, InputNotFound, SchemaMismatch, StorageError
from graphs.ir import DEFAULT
from graphs.spec import Input
from graphs.storage.inputs import (
    Source,
    absolute,
    check_unchanged,
    list_input,
    locate,
    plan_shards,
)
from graphs.storage.objects import Store
from graphs.storage.parquet import encode_table

SCHEMA = pa.schema([("id", pa.string()), ("n", pa.int64())])
TREE = (
    "a.parquet",
    "b.csv",
    "day=1/a.parquet",
    "day=1/hour=2/b.parquet",
    "day=11/c.parquet",
    "day=2/_staging/d.parquet",
    "day=2/.e.parquet",
    "day=2/f.txt",
    "x/[odd].parquet",
    "x/y/z/g.jsonl",
)


def data(start: int, stop: int) -> bytes:
    numbers = range(start, stop)
    table = pa.table({"id": [f"r{n}" for n in numbers], "n": list(numbers)}, schema=SCHEMA)
    return encode_table(table)


@pytest.fixture
def memory() -> Iterator[str]:
    """URI of an empty place in fsspec's memory."""
    name = uuid.uuid4().hex
    yield f"memory://{name}"
    fsspec.filesystem("memory").rm(f"/{name}", recursive=True)


def paths(uri: str, **more: str) -> list[str]:
    return [info.path for info in list_input(Input.model_validate({"uri": uri, **more}), "1")]


def read(input: Input, schema: pa.Schema = SCHEMA, shard_bytes: int = 10**9) -> pa.Table:
    shards = plan_shards(
        input,
        list_input(input, "1"),
        shard_rows=10**9,
        shard_bytes=shard_bytes,
        check=lambda *_: None,
        schema=schema,
    )
    source = Source.open(input)
    return pa.concat_tables([source.read(one, schema.names, schema).table for one in shards])


@pytest.mark.parametrize(
    ("below", "found"),
    [
        ("", "a.parquet b.csv day=1/a.parquet day=1/hour=2/b.parquet day=11/c.parquet "
             "x/[odd].parquet x/y/z/g.jsonl"),
        ("/day=1", "a.parquet hour=2/b.parquet"),
        ("/day=1/", "a.parquet hour=2/b.parquet"),
        ("/a.parquet", "a.parquet"),
        ("/day=2/.e.parquet", ".e.parquet"),
        ("/*.parquet", "a.parquet"),
        ("/day=?/*.parquet", "day=1/a.parquet"),
        ("/day=*/*.parquet", "day=1/a.parquet day=11/c.parquet"),
        ("/day=1*/**/*.parquet", "day=1/a.parquet day=1/hour=2/b.parquet day=11/c.parquet"),
        ("/**/*.parquet", "a.parquet day=1/a.parquet day=1/hour=2/b.parquet day=11/c.parquet "
                          "x/[odd].parquet"),
        ("/x/**", "[odd].parquet y/z/g.jsonl"),
        ("/[ab].*", "a.parquet b.csv"),
        ("/[!a].*", "b.csv"),
        ("/day=[0-1]/a.parquet", "day=1/a.parquet"),
        ("/x/[[]odd].parquet", "[odd].parquet"),
    ],
)  # fmt: skip
def test_folders_files_and_globs_name_their_files(tree: str, below: str, found: str) -> None:
    assert paths(tree + below) == found.split()


@pytest.fixture
def tree(root: str) -> str:
    """URI of a place that holds :data:`TREE`."""
    for path in TREE:
        Store.open(root).put(path, b"x")
    return root


def test_a_format_takes_files_without_an_ending_and_leaves_those_of_others(tree: str) -> None:
    assert paths(tree, format="csv") == [f"{tree.rpartition('/')[2]}/{name}"
                                         for name in ("b.csv", "day=2/f.txt")]  # fmt: skip
    assert paths(f"{tree}/day=2/f.txt", format="csv") == ["f.txt"]
    assert paths(f"{tree}/**", format="jsonl") == ["day=2/f.txt", "x/y/z/g.jsonl"]


@pytest.mark.parametrize("below", ["/none.parquet", "/none/*.parquet", "/day=2", "/day=9/**"])
def test_what_names_no_file_is_not_found(tree: str, below: str) -> None:
    with pytest.raises(InputNotFound, match="Check the URI"):
        paths(tree + below)


def test_a_glob_is_not_partitioned_and_not_of_buckets() -> None:
    with pytest.raises(InputError, match="Write the partition into the glob"):
        locate(Input(uri="s3://lake/*", partition_by="day"))
    with pytest.raises(InputError, match="bucket"):
        locate(Input(uri="s3://la*/x"))


def test_paths_are_relative_to_the_folder_before_the_first_sign() -> None:
    for uri, root in [
        ("s3://lake/a/b-*/c/*.parquet", "s3://lake/a"),
        ("s3://lake/*.parquet", "s3://lake"),
        ("s3://lake/a/b.parquet", "s3://lake/a"),
        ("s3://lake/a/b", "s3://lake/a/b"),
        ("s3://lake", "s3://lake"),
        ("/a/b/*", "/a/b"),
        ("gs://lake/a/*", "gs://lake/a"),
    ]:
        assert locate(Input(uri=uri)).root == root


def test_an_input_is_written_in_one_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for uri in ("data/x", f"{tmp_path}/data/x/", f"file://{tmp_path}/data/x"):
        assert absolute(Input(uri=uri)).uri == f"{tmp_path}/data/x"
    assert absolute(Input(uri=f"file://{tmp_path}/a%20b/*?.csv")).uri == f"{tmp_path}/a b/*?.csv"
    assert absolute(Input(uri="s3://lake/x/")).uri == "s3://lake/x"


def test_hive_columns_of_the_path_are_columns_where_the_file_lacks_them(root: str) -> None:
    store = Store.open(root)
    store.put("day=2026-01-01/n=7/a.parquet", data(0, 2))
    store.put("day=__HIVE_DEFAULT_PARTITION__/n=7/b.csv", b"id\nx\n")
    store.put("day=2026-01-02/n=8/c.jsonl", b'{"id": "y", "n": 3}\n')
    schema = pa.schema([*SCHEMA, ("day", pa.date32())])
    assert read(Input(uri=root), schema).to_pylist() == [
        {"id": "r0", "n": 0, "day": dt.date(2026, 1, 1)},
        {"id": "r1", "n": 1, "day": dt.date(2026, 1, 1)},
        {"id": "y", "n": 8, "day": dt.date(2026, 1, 2)},
        {"id": "x", "n": 7, "day": None},
    ]
    table = read(Input(uri=root, partition_by="day"), pa.schema([("day", pa.string())]))
    assert table.num_rows == 0


def test_a_hive_column_is_checked_with_the_others(root: str) -> None:
    Store.open(root).put("day=2026-01-01/a.parquet", data(0, 2))
    input = Input(uri=root, partition_by="day")
    seen: list[pa.Schema] = []
    plan_shards(
        input,
        list_input(input, "2026-01-01"),
        shard_rows=9,
        shard_bytes=10**9,
        check=lambda schema, where: seen.append(schema),
        schema=pa.schema([("day", pa.date32())]),
    )
    assert seen == [pa.schema([*SCHEMA, ("day", pa.date32())])]


def test_a_hive_value_that_is_not_of_the_columns_type_is_named(root: str) -> None:
    Store.open(root).put("day=monday/a.parquet", data(0, 2))
    with pytest.raises(SchemaMismatch, match=r"day=monday/a\.parquet: does not fit.*monday"):
        read(Input(uri=root), pa.schema([("id", pa.string()), ("day", pa.date32())]))


def test_columns_within_a_column_are_read_as_columns(root: str) -> None:
    inner = pa.table({"id": ["a", "b"], "n": [1, None]}, schema=SCHEMA)
    rejected = pa.table({"input": inner.to_struct_array(), "error": ["E", "F"]})
    Store.open(root).put("a.parquet", encode_table(rejected))
    input = Input(uri=root, nested_in="input")
    schema = SCHEMA.append(pa.field("lang", pa.string(), metadata={DEFAULT: '"en"'}))
    assert read(input, schema).to_pylist() == [
        {"id": "a", "n": 1, "lang": "en"},
        {"id": "b", "n": None, "lang": "en"},
    ]


def test_an_input_that_stays_as_it_is_is_unchanged(root: str) -> None:
    Store.open(root).put("a.parquet", data(0, 1))
    check_unchanged(Input(uri=root), "1", list_input(Input(uri=root), "1"))


def test_what_was_added_changed_or_vanished_is_named(root: str) -> None:
    store, input = Store.open(root), Input(uri=root)
    for name in "abc":
        store.put(f"{name}.parquet", data(0, 1))
    before = list_input(input, "1")
    store.put("b.parquet", data(0, 2))
    store.delete("c.parquet")
    for number in range(7):
        store.put(f"new{number}.parquet", data(0, 1))
    with pytest.raises(InputChanged) as caught:
        check_unchanged(input, "1", before)
    assert (
        "added: new0.parquet, new1.parquet, new2.parquet, new3.parquet, new4.parquet and 2 more; "
        "changed: b.parquet; vanished: c.parquet"
    ) in str(caught.value)


def test_an_input_that_vanished_altogether_has_changed(root: str) -> None:
    Store.open(root).put("a.parquet", data(0, 1))
    before = list_input(Input(uri=root), "1")
    Store.open(root).delete("a.parquet")
    with pytest.raises(InputChanged, match=r"vanished: a\.parquet"):
        check_unchanged(Input(uri=root), "1", before)


def test_whatever_fsspec_opens_is_read(memory: str) -> None:
    files = fsspec.filesystem("memory")
    root = memory.removeprefix("memory:/")
    files.pipe(f"{root}/day=1/a.parquet", data(0, 5))
    files.pipe(f"{root}/day=1/b.csv", b"id,n\nr5,5\n")
    files.pipe(f"{root}/day=2/c.parquet", data(6, 9))
    for uri, ids in [
        (memory, range(9)),
        (f"{memory}/**/*.parquet", [0, 1, 2, 3, 4, 6, 7, 8]),
        (f"{memory}/day=2/c.parquet", range(6, 9)),
    ]:
        assert read(Input(uri=uri)).column("n").to_pylist() == list(ids)
    assert read(Input(uri=memory, partition_by="day")).column("n").to_pylist() == [*range(6)]
    with pytest.raises(InputNotFound, match="not partitioned by 'hour'; it has 'day=1'"):
        read(Input(uri=memory, partition_by="hour"))


def test_a_change_behind_fsspec_is_noticed(memory: str) -> None:
    files = fsspec.filesystem("memory")
    root = memory.removeprefix("memory:/")
    files.pipe(f"{root}/a.parquet", data(0, 5))
    input = Input(uri=memory)
    listed = list_input(input, "1")
    (shard,) = plan_shards(
        input, listed, shard_rows=9, shard_bytes=10**9, check=lambda *_: None, schema=SCHEMA
    )
    files.pipe(f"{root}/a.parquet", data(5, 10))
    with pytest.raises(InputChanged, match=r"a\.parquet: changed"):
        Source.open(input).read(shard, SCHEMA.names, SCHEMA)
    with pytest.raises(InputChanged, match=r"changed: a\.parquet"):
        check_unchanged(input, "1", listed)


class Files(http.server.SimpleHTTPRequestHandler):
    """A plain web server: it has no entity tags, and answers a range with the whole file."""

    def log_message(self, *arguments: object) -> None:
        pass


class Timeless(Files):
    """One that does not even say when a file was changed."""

    def send_header(self, keyword: str, value: str) -> None:
        if keyword != "Last-Modified":
            super().send_header(keyword, value)


@pytest.fixture(params=[Files])
def web(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a web server on a folder with two parquet files, a small and a large one."""
    Path(tmp_path, "a.parquet").write_bytes(data(0, 5))
    Path(tmp_path, "large").mkdir()
    Path(tmp_path, "large", "b.parquet").write_bytes(
        encode_table(pa.table({"id": [uuid.uuid4().hex for _ in range(300_000)]}))
    )
    handler = functools.partial(request.param, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_files_are_read_from_a_web_server(web: str, tmp_path: Path) -> None:
    assert paths(web) == ["a.parquet", "large/b.parquet"]
    assert read(Input(uri=f"{web}/a.parquet")).column("n").to_pylist() == [*range(5)]
    table = read(Input(uri=f"{web}/large/*.parquet"), pa.schema([("id", pa.string())]))
    assert len(set(table.column("id").to_pylist())) == 300_000


@pytest.mark.parametrize("web", [Timeless], indirect=True)
def test_a_place_that_tells_nothing_of_changes_is_refused(web: str) -> None:
    with pytest.raises(InputError, match=r"a\.parquet: has no entity tag.*Copy the input"):
        paths(f"{web}/a.parquet")


def test_a_scheme_that_nothing_knows_is_refused_with_the_remedy() -> None:
    with pytest.raises(StorageError, match=r"zork://x: cannot be opened.*install fsspec"):
        paths("zork://x")
