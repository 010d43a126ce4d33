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
    Piece,
    Progress,
    Report,
    RowsConserved,
    RunRecord,
    RunSpec,
    Shard,
    ShardPlan,
    Verdict,
)
from graphs.storage.inputs import Shards
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


def shards(count: int) -> Shards:
    return Shards.of(
        Shard(id=f"{n:05d}", pieces=(Piece(path=f"{n}.parquet", etag="e", size=9, rows=1),))
        for n in range(count)
    )


def plan(count: int) -> ShardPlan:
    return ShardPlan(
        run_key="r1",
        graph="g",
        version="v1",
        partition_key="2026-01-01",
        input=Input(uri="in"),
        shards=count,
        rows=count,
        bytes=9 * count,
        shards_at="",
    )


def paths(dataset: Dataset, folder: str) -> list[str]:
    return [info.path for info in dataset.store.list(folder)]


def test_nothing_is_committed_at_first(root: str) -> None:
    dataset = Dataset(root)
    assert dataset.read_manifest("2026-01-01") is None
    assert dataset.read_plan("r1") is None
    assert list(dataset.done_records("r1")) == []
    assert dataset.read_run("r1") is None
    assert dataset.read_progress("r1") is None
    assert dataset.read_report("2026-01-01", "r1") is None
    assert dataset.partition_keys() == dataset.run_keys() == ()


def test_the_first_plan_counts_and_only_its_shards_are_kept(root: str) -> None:
    dataset = Dataset(root)
    first, its_shards = dataset.write_plan(plan(1), shards(1))
    assert dataset.write_plan(plan(2), shards(2)) == (first, shards(1))
    assert dataset.read_plan("r1") == (first, its_shards)
    assert paths(dataset, "runs/r1") == ["runs/r1/plan.json", first.shards_at]


def test_of_racing_planners_all_get_one_plan(root: str) -> None:
    with ThreadPoolExecutor(8) as racers:
        answers = list(
            racers.map(lambda n: Dataset(root).write_plan(plan(n), shards(n)), range(1, 9))
        )
    assert all(answer == answers[0] for answer in answers)
    assert paths(Dataset(root), "runs/r1") == ["runs/r1/plan.json", answers[0][0].shards_at]


@pytest.mark.server
def test_a_plan_whose_every_response_is_lost_is_found_to_be_frozen(
    moto: str, use_s3: Callable[[str], None]
) -> None:
    uri = f"s3://lake/{uuid.uuid4().hex}"
    with servers.proxy(
        moto, cut=lambda method, path: method == "PUT" and path.endswith("plan.json")
    ) as lossy:
        use_s3(lossy)
        written = Dataset(uri).write_plan(plan(3), shards(3))
    use_s3(moto)
    assert Dataset(uri).read_plan("r1") == written


def test_a_plan_without_all_of_its_shards_is_not_read(root: str) -> None:
    dataset = Dataset(root)
    written, _ = dataset.write_plan(plan(3), shards(3))
    dataset.store.put(written.shards_at, shards(2).to_parquet())
    with pytest.raises(StorageError, match="lists 2 shards, the plan has 3"):
        dataset.read_plan("r1")


def test_a_plan_of_the_first_format_is_still_read(root: str) -> None:
    dataset = Dataset(root)
    dataset.store.put(
        "runs/r1/plan.json",
        b"""{
 "format": 1, "run_key": "r1", "graph": "g", "version": "v1", "partition_key": "2026-01-01",
 "input": {"uri": "s3://lake/in", "partition_by": "day"},
 "shards": [
  {"id": "00000", "pieces": [{"path": "a.parquet", "etag": "e", "rows": 3, "row_groups": [0, 2]}]},
  {"id": "00001", "pieces": [{"path": "b.parquet", "etag": "f", "rows": 4, "row_groups": null}]}
 ]}""",
    )
    read, its_shards = dataset.read_plan("r1")
    assert (read.run_key, read.shards, read.rows) == ("r1", 2, 7)
    assert read.input == Input(uri="s3://lake/in", partition_by="day")
    assert list(its_shards) == [
        Shard(id="00000", pieces=(Piece(path="a.parquet", etag="e", rows=3, row_groups=(0, 2)),)),
        Shard(id="00001", pieces=(Piece(path="b.parquet", etag="f", rows=4),)),
    ]
    # And whoever wants to freeze another plan gets that one
    assert dataset.write_plan(plan(5), shards(5)) == (read, its_shards)


@pytest.mark.parametrize("content", [b"no json", b'{"format": 3, "run_key": "r1"}'])
def test_a_plan_from_the_future_is_refused_by_name(root: str, content: bytes) -> None:
    dataset = Dataset(root)
    dataset.store.put("runs/r1/plan.json", content)
    with pytest.raises(StorageError, match=r"runs/r1/plan\.json: is not a"):
        dataset.read_plan("r1")


def test_what_a_run_key_stands_for_is_said_once(root: str) -> None:
    dataset = Dataset(root)
    spec = RunSpec(graph="m:g", input=Input(uri="in"), output=root, partition_key="2026-01-01")
    first, second = (
        RunRecord(run_key="r1", version=version, spec=spec, started_at=datetime.now(UTC))
        for version in ("v1", "v2")
    )
    assert dataset.write_run(first) == dataset.write_run(second) == first
    assert dataset.read_run("r1") == first
    assert dataset.run_keys() == ("r1",)


def test_progress_is_what_was_said_last(root: str) -> None:
    dataset = Dataset(root)
    for done_so_far in range(3):
        progress = Progress(
            run_key="r1",
            shards_done=done_so_far,
            shards=2,
            rows_done=done_so_far,
            rows=None,
            rejected=0,
            rows_per_s=1.0,
        )
        dataset.write_progress(progress)
    assert dataset.read_progress("r1") == progress


def test_partitions_are_those_with_a_manifest(root: str) -> None:
    dataset = Dataset(root)
    for key in ("2026-01-02", "a=b,c.json"):
        dataset.commit(manifest().model_copy(update={"partition_key": key}), replacing=None)
    dataset.write_done(done())
    assert dataset.partition_keys() == ("2026-01-02", "a=b,c.json")


def test_of_many_attempts_at_a_shard_one_done_record_counts_for_all(root: str) -> None:
    with ThreadPoolExecutor(16) as racers:
        answers = list(
            racers.map(lambda n: Dataset(root).write_done(done(attempt=f"a{n}")), range(16))
        )
    assert len({answer.attempt for answer in answers}) == 1
    assert list(Dataset(root).done_records("r1")) == [answers[0]]
    assert Dataset(root).read_done("r1", "00000") == answers[0]


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


@pytest.mark.parametrize("is_first", [True, False])
def test_of_racing_runs_one_commits_and_every_other_is_told(root: str, is_first: bool) -> None:
    # Given eight runs of a partition that all saw the same manifest, or none
    etag = None
    if not is_first:
        Dataset(root).commit(manifest("r0"), replacing=None)
        etag = Dataset(root).read_manifest("2026-01-01")[1]

    def commit(number: int) -> str | None:
        try:
            return Dataset(root).commit(manifest(f"run{number}"), replacing=etag).run_key
        except CommitConflict:
            return None

    # When they commit at once
    with ThreadPoolExecutor(8) as racers:
        answers = list(racers.map(commit, range(8)))
    # Then one did, and it is the one that stands
    (winner,) = [answer for answer in answers if answer is not None]
    assert Dataset(root).read_manifest("2026-01-01")[0].run_key == winner


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
