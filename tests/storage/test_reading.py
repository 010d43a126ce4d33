from __future__ import annotations

import threading

import duckdb
import polars
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

import graphs
from graphs.errors import BucketNotFound, ObjectNotFound, StorageError
from graphs.spec import Replay
from graphs.storage.reading import file_uris
from graphs.storage.snapshots import Dataset, data_path
from tests.storage.worlds import DAY, begin, commit, do_shard, put_file, refused_rows, rows_of


@pytest.fixture
def dataset(root: str) -> Dataset:
    return Dataset(f"{root}/out")


def a_snapshot(dataset: Dataset, key: str, shards: int = 2) -> list[str]:
    begin(dataset, key)
    done = [
        do_shard(dataset, key, f"{n}", rows_of(f"{n}a", f"{n}b", run=key)) for n in range(shards)
    ]
    commit(dataset, key, done)
    return [file.path for record in done for file in record.files]


def test_a_snapshot_is_read_by_its_manifest_and_nothing_else(dataset):
    named = a_snapshot(dataset, "aaaa")
    put_file(dataset, data_path(DAY, "aaaa", "0", "lost"), rows_of("0a", "0b"))
    put_file(dataset, data_path(DAY, "bbbb", "0", "one"), rows_of("x"))

    snapshot = graphs.read((dataset.uri, DAY))

    assert snapshot.to_table().column("id").to_pylist() == ["0a", "0b", "1a", "1b"]
    assert [path.removeprefix("lake/") for path in snapshot.files] == [
        dataset.store.uri_of(path).removeprefix("s3://lake/") for path in named
    ]
    assert file_uris((dataset.uri, DAY)) == [dataset.store.uri_of(path) for path in named]


def test_a_manifest_uri_names_a_snapshot(dataset):
    a_snapshot(dataset, "aaaa")

    by_manifest = graphs.read(dataset.manifest_uri(DAY))

    assert by_manifest.count_rows() == 4
    assert by_manifest.to_table().equals(graphs.read((dataset.uri, DAY)).to_table())


def test_columns_and_filters_reach_the_files(dataset):
    a_snapshot(dataset, "aaaa")

    snapshot = graphs.read((dataset.uri, DAY))
    table = snapshot.to_table(columns=["id"], filter=ds.field("id") > "0b")

    assert table.to_pydict() == {"id": ["1a", "1b"]}


def test_a_snapshot_stays_what_it_was_while_another_takes_its_place(dataset):
    a_snapshot(dataset, "aaaa")
    before = graphs.read((dataset.uri, DAY))
    a_snapshot(dataset, "bbbb")

    assert set(before.to_table().column("run").to_pylist()) == {"aaaa"}
    assert set(graphs.read((dataset.uri, DAY)).to_table().column("run").to_pylist()) == {"bbbb"}


def test_files_that_are_listed_beside_the_manifest_are_read(dataset):
    begin(dataset, "aaaa")
    done = do_shard(dataset, "aaaa", "0", rows_of("a"), rejected=refused_rows("z"))
    manifest = commit(dataset, "aaaa", [done])
    at = dataset.write_files(DAY, "aaaa", dataset.files(manifest), dataset.rejected_files(manifest))
    _, etag = dataset.read_manifest(DAY)
    short = manifest.model_copy(update={"files": (), "rejected_files": (), "files_at": at})
    dataset.commit(short.model_copy(update={"run_key": "bbbb"}), etag)

    assert graphs.read((dataset.uri, DAY)).to_table().column("id").to_pylist() == ["a"]


def test_a_replay_may_have_added_columns(dataset):
    begin(dataset, "base")
    kept = do_shard(dataset, "base", "0", pa.table({"id": ["a"]}))
    added = do_shard(dataset, "again", "0", pa.table({"id": ["b"], "score": [0.5]}))
    replay = Replay(run_key="base", version="v1", rows=1)
    commit(dataset, "again", [added], replays=[replay], keeps=kept.files)

    assert graphs.read((dataset.uri, DAY)).to_table().to_pylist() == [
        {"id": "a", "score": None},
        {"id": "b", "score": 0.5},
    ]


def test_a_replay_that_gave_a_column_another_type_is_told_apart(dataset):
    begin(dataset, "base")
    kept = do_shard(dataset, "base", "0", pa.table({"id": ["a"]}))
    added = do_shard(dataset, "again", "0", pa.table({"id": [1]}))
    replay = Replay(run_key="base", version="v1", rows=1)
    commit(dataset, "again", [added], replays=[replay], keeps=kept.files)

    with pytest.raises(StorageError, match=r"again, base gave a column different types.*id"):
        graphs.read((dataset.uri, DAY))


def test_a_partition_without_a_commit_says_so(dataset):
    with pytest.raises(ObjectNotFound, match="nothing was committed for partition '2026-01-01'"):
        graphs.read((dataset.uri, DAY))


@pytest.mark.server
def test_a_bucket_that_is_missing_is_named(moto, use_s3):
    use_s3(moto)

    with pytest.raises(BucketNotFound, match="no-such-lake"):
        graphs.read(("s3://no-such-lake/out", DAY))


@pytest.mark.parametrize("uri", ["out", "s3://lake/out/manifests", "/out/manifests/a.parquet"])
def test_what_is_no_manifest_is_refused(uri):
    with pytest.raises(StorageError, match="is no manifest's URI"):
        graphs.read(uri)


# --- while a backfill replaces the partition in a loop -----------------------------------------


def _ids(uri: str) -> list[list[str]]:
    """The runs whose rows each engine sees."""
    files = file_uris((uri, DAY))
    return [
        graphs.read((uri, DAY)).to_table().column("run").to_pylist(),
        [
            row[0]
            for row in duckdb.connect().sql(f"SELECT run FROM read_parquet({files})").fetchall()
        ],
        polars.scan_parquet(files).collect()["run"].to_list(),
    ]


def test_engines_see_all_of_one_run_while_a_backfill_replaces_it_in_a_loop(tmp_path):
    dataset = Dataset(str(tmp_path))
    a_snapshot(dataset, "run-0", shards=1)
    enough, seen = threading.Event(), set()

    def backfill() -> None:
        number = 0
        while not enough.is_set():
            number += 1
            a_snapshot(dataset, f"run-{number}", shards=1 + number % 4)

    writer = threading.Thread(target=backfill)
    writer.start()
    try:
        while len(seen) < 20:
            for runs in _ids(dataset.uri):
                (run,) = set(runs)
                assert len(runs) == 2 * (1 + int(run.removeprefix("run-")) % 4)
                seen.add(run)
    finally:
        enough.set()
        writer.join()
