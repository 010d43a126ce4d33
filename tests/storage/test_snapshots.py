from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from graphs.errors import CommitConflict, StorageError
from graphs.spec import (
    Counts,
    DataFile,
    DoneRecord,
    Input,
    Manifest,
    Report,
    RowsConserved,
    Shard,
    ShardPlan,
    Verdict,
)
from graphs.storage.parquet import encode_table
from graphs.storage.snapshots import Dataset, data_path
from tests.storage import servers


def manifest(run_key: str = "r1", files: tuple[DataFile, ...] = (), rows: int = 0) -> Manifest:
    return Manifest(
        run_key=run_key,
        graph="g",
        version="v1",
        key="id",
        partition_key="2026-01-01",
        input=Input(uri="in"),
        files=files,
        counts=Counts(rows_in=rows, rows_out=rows),
        statistics={},
        committed_at=datetime.now(UTC),
    )


def done(shard: str = "00000", attempt: str = "a") -> DoneRecord:
    return DoneRecord(
        run_key="r1",
        shard=shard,
        attempt=attempt,
        files=(),
        counts=Counts(),
        statistics={},
        seconds={},
    )


def test_nothing_is_committed_at_first(root: str) -> None:
    dataset = Dataset(root)
    assert dataset.read_manifest("2026-01-01") is None
    assert dataset.read_plan("r1") is None
    assert dataset.done_records("r1") == ()
    assert dataset.read_report("2026-01-01", "r1") is None


def test_the_first_plan_counts(root: str) -> None:
    dataset = Dataset(root)
    first, second = (
        ShardPlan(
            run_key="r1",
            graph="g",
            version="v1",
            partition_key="2026-01-01",
            input=Input(uri="in"),
            shards=tuple(Shard(id=f"{n:05d}", pieces=()) for n in range(count)),
        )
        for count in (1, 2)
    )
    assert dataset.write_plan(first) == first
    assert dataset.write_plan(second) == first
    assert dataset.read_plan("r1") == first


def test_of_many_attempts_at_a_shard_one_done_record_counts_for_all(root: str) -> None:
    with ThreadPoolExecutor(16) as racers:
        answers = list(
            racers.map(lambda n: Dataset(root).write_done(done(attempt=f"a{n}")), range(16))
        )
    assert len({answer.attempt for answer in answers}) == 1
    assert Dataset(root).done_records("r1") == (answers[0],)
    assert Dataset(root).read_done("r1", "00000") == answers[0]


def test_done_records_are_listed_by_shard_beyond_one_page(root: str) -> None:
    dataset = Dataset(root)
    names = [f"{number:05d}" for number in range(1005)]
    with ThreadPoolExecutor(16) as writers:
        list(writers.map(lambda name: dataset.write_done(done(name)), reversed(names)))
    assert [record.shard for record in dataset.done_records("r1")] == names


def test_a_commit_is_what_readers_see(root: str) -> None:
    dataset = Dataset(root)
    committed = dataset.commit(manifest(), replacing=None)
    assert dataset.read_manifest("2026-01-01") == (
        committed,
        dataset.read_manifest("2026-01-01")[1],
    )


def test_a_backfill_replaces_the_manifest_it_knew(root: str) -> None:
    dataset = Dataset(root)
    dataset.commit(manifest("r1"), replacing=None)
    _, etag = dataset.read_manifest("2026-01-01")
    dataset.commit(manifest("r2"), replacing=etag)
    assert dataset.read_manifest("2026-01-01")[0].run_key == "r2"


@pytest.mark.parametrize("is_first", [True, False])
def test_a_commit_never_overwrites_another_runs_manifest(root: str, is_first: bool) -> None:
    dataset = Dataset(root)
    etag = None
    if not is_first:
        dataset.commit(manifest("r0"), replacing=None)
        etag = dataset.read_manifest("2026-01-01")[1]
    dataset.commit(manifest("theirs"), replacing=etag)
    with pytest.raises(CommitConflict, match="run theirs changed the manifest while run ours"):
        dataset.commit(manifest("ours"), replacing=etag)
    assert dataset.read_manifest("2026-01-01")[0].run_key == "theirs"


def test_twins_of_one_run_both_succeed_and_one_manifest_stands(root: str) -> None:
    with ThreadPoolExecutor(8) as racers:
        answers = list(racers.map(lambda _: Dataset(root).commit(manifest(), None), range(8)))
    stands, _ = Dataset(root).read_manifest("2026-01-01")
    assert all(answer == stands for answer in answers)


@pytest.mark.server
@pytest.mark.parametrize("is_first", [True, False])
def test_a_commit_whose_every_response_is_lost_is_found_to_have_happened(
    moto: str, use_s3: Callable[[str], None], is_first: bool
) -> None:
    uri = f"s3://lake/{uuid.uuid4().hex}"
    use_s3(moto)
    etag = None
    if not is_first:
        Dataset(uri).commit(manifest("r0"), replacing=None)
        etag = Dataset(uri).read_manifest("2026-01-01")[1]
    with servers.proxy(moto, cut=lambda method, path: method == "PUT") as lossy:
        use_s3(lossy)
        ours = manifest("ours")
        assert Dataset(uri).commit(ours, replacing=etag) == ours
    use_s3(moto)
    assert Dataset(uri).read_manifest("2026-01-01")[0] == ours


@pytest.mark.server
def test_a_commit_that_never_arrived_is_not_reported_as_one(
    moto: str, use_s3: Callable[[str], None]
) -> None:
    uri = f"s3://lake/{uuid.uuid4().hex}"
    with servers.proxy(moto, block=lambda method, path: method == "PUT") as broken:
        use_s3(broken)
        with pytest.raises(StorageError):
            Dataset(uri).commit(manifest(), replacing=None)
    use_s3(moto)
    assert Dataset(uri).read_manifest("2026-01-01") is None


def test_a_snapshot_is_read_by_its_manifest_and_not_by_its_folder(root: str) -> None:
    dataset = Dataset(root)
    files = []
    for number, attempt in enumerate(["a", "b"]):
        table = pa.table({"id": [f"r{number}"], "n": [number]})
        path = data_path("2026-01-01", "r1", f"{number:05d}", attempt)
        dataset.store.put(path, encode_table(table))
        files.append(DataFile(path=path, rows=1, bytes=1))
    stray = data_path("2026-01-01", "r1", "00000", "lost-the-race")
    dataset.store.put(stray, encode_table(pa.table({"id": ["stray"], "n": [9]})))
    committed = dataset.commit(manifest(files=tuple(files), rows=2), replacing=None)
    assert dataset.read_snapshot(committed).to_pydict() == {"id": ["r0", "r1"], "n": [0, 1]}
    assert dataset.read_snapshot(committed, ["n"]).to_pydict() == {"n": [0, 1]}


def test_a_snapshot_whose_file_lacks_rows_is_not_read(root: str) -> None:
    dataset = Dataset(root)
    path = data_path("2026-01-01", "r1", "00000", "a")
    dataset.store.put(path, encode_table(pa.table({"id": ["r0"]})))
    with pytest.raises(StorageError, match="holds 1 rows, the manifest says 2"):
        dataset.read_snapshot(manifest(files=(DataFile(path=path, rows=2, bytes=1),)))


def test_a_report_is_kept_as_json_and_as_a_page(root: str) -> None:
    dataset = Dataset(root)
    report = Report(
        run_key="r1",
        graph="g",
        version="v1",
        partition_key="2026-01-01",
        verdicts=(Verdict(expectation=RowsConserved(), passed=True, observed="all"),),
        counts=Counts(),
        statistics={},
        made_at=datetime.now(UTC),
    )
    uri = dataset.write_report(report, "<p>fine</p>")
    assert dataset.read_report("2026-01-01", "r1") == report
    assert uri == f"{dataset.uri}/reports/2026-01-01/r1.html"
    assert dataset.store.read("reports/2026-01-01/r1.html") == b"<p>fine</p>"


def test_a_record_from_the_future_is_refused_by_name(root: str) -> None:
    dataset = Dataset(root)
    dataset.store.put("manifests/2026-01-01.json", b'{"format": 99, "run_key": "r"}')
    with pytest.raises(StorageError, match=r"manifests/2026-01-01\.json: is not a Manifest"):
        dataset.read_manifest("2026-01-01")
