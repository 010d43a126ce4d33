"""The account of a run, without a cluster."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from graphs.errors import CountsDoNotAddUp, ErrorBudgetSpent
from graphs.runtimes.ray_data import ledger as ledgers
from graphs.runtimes.ray_data.ledger import Ledger
from graphs.runtimes.ray_data.sums import add_counts, add_usage
from graphs.spec import (
    ColumnStatistics,
    Counts,
    DataFile,
    DoneRecord,
    ErrorBudget,
    Input,
    Manifest,
    NodeUsage,
    ParquetSink,
    Piece,
    Shard,
    ShardPlan,
    SkippedFile,
    StageUsage,
    Usage,
)
from graphs.storage.file_lists import records
from graphs.storage.inputs import Shards
from graphs.storage.snapshots import Dataset


def book(
    *rows: int | None,
    budget: ErrorBudget | None = None,
    sizes: Sequence[int] = (),
    budget_rows: int | None = None,
) -> Ledger:
    """The ledger of a run whose shards have that many rows, ``None`` where nobody knows."""
    shards = Shards.of(
        Shard(
            id=f"{i:05d}",
            pieces=(Piece(path=f"{i}.parquet", etag="e", rows=n, size=sizes[i] if sizes else 10),),
        )
        for i, n in enumerate(rows)
    )
    plan = ShardPlan(
        run_key="run",
        graph="g",
        version="v",
        partition_key="p",
        input=Input(uri="in"),
        shards=len(shards),
        rows=shards.rows,
        bytes=shards.bytes,
        shards_at="",
    )
    return Ledger(plan, shards, budget or ErrorBudget(share=1), budget_rows)


def done(shard: int, rows_in: int, rows_out: int, **rejected: int) -> DoneRecord:
    return DoneRecord(
        run_key="run",
        shard=f"{shard:05d}",
        attempt="a",
        files=(file(shard, rows_out),),
        counts=Counts(rows_in=rows_in, rows_out=rows_out, rejected=rejected),
        statistics={"n": ColumnStatistics(type="int64", count=rows_out, nulls=0)},
    )


def file(shard: int, rows: int, run_key: str = "run") -> DataFile:
    return DataFile(path=f"snapshots/p/{run_key}/{shard:05d}-a.parquet", rows=rows, bytes=rows)


def changed(record: DoneRecord, **update: object) -> DoneRecord:
    return record.model_copy(update=update)


def skipped(rows: int | None) -> tuple[SkippedFile, ...]:
    return (SkippedFile(path="bad.parquet", error="poisoned", rows=rows),)


def commit(ledger: Ledger, place: Path, replay_base: Manifest | None = None) -> Manifest:
    return ledger.manifest(Dataset(str(place)), "id", ParquetSink(), replay_base)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(done(0, 10, 9), id="lost"),
        pytest.param(done(0, 10, 11), id="doubled"),
        pytest.param(done(0, 9, 9), id="short shard"),
        pytest.param(done(7, 10, 10), id="unknown shard"),
        pytest.param(changed(done(0, 10, 10), run_key="other"), id="another run's"),
        pytest.param(changed(done(0, 10, 10), files=(file(0, 9),)), id="short file"),
        pytest.param(
            changed(done(0, 10, 10), files=(file(0, 10), file(0, 10))), id="file listed twice"
        ),
        pytest.param(
            changed(done(0, 10, 9, parse=1), rejected_files=(file(0, 2),)), id="rejected file"
        ),
        pytest.param(
            changed(
                done(0, 10, 9),
                counts=Counts(
                    rows_in=10,
                    rows_out=9,
                    rejected={"parse": 1},
                    errors={"parse": {"ValueError": 1, "KeyError": 1}},
                ),
            ),
            id="errors",
        ),
        pytest.param(changed(done(0, 8, 8), skipped=skipped(1)), id="skipped too few"),
        pytest.param(changed(done(0, 11, 11), skipped=skipped(None)), id="skipped and too many"),
    ],
)
def test_a_done_record_that_does_not_account_for_its_shard_is_refused(wrong: DoneRecord) -> None:
    ledger = book(10, 10)
    with pytest.raises(CountsDoNotAddUp):
        ledger.add(wrong)
    assert ledger.pending.tolist() == [0, 1]


@pytest.mark.parametrize(
    "right",
    [
        changed(done(0, 8, 8), skipped=skipped(2)),
        changed(done(0, 8, 8), skipped=skipped(None)),
        changed(done(0, 10, 10), files=()),
    ],
    ids=["skipped", "skipped, nobody knows how many", "a sink without files"],
)
def test_rows_of_a_file_that_could_not_be_read_count_as_left_out(
    right: DoneRecord, tmp_path: Path
) -> None:
    ledger = book(10)
    ledger.add(right)
    committed = commit(ledger, tmp_path)
    assert committed.skipped == right.skipped
    assert committed.counts.rows_in == right.counts.rows_in


def test_where_planning_did_not_count_the_rows_any_number_is_right(tmp_path: Path) -> None:
    ledger = book(10, None)
    ledger.add(done(1, 123, 123))
    ledger.add(done(0, 10, 10))
    assert commit(ledger, tmp_path).counts.rows_in == 133


def test_a_run_with_a_shard_missing_has_no_manifest(tmp_path: Path) -> None:
    ledger = book(10, 10)
    ledger.add(done(1, 10, 10))
    assert ledger.pending.tolist() == [0]
    assert (ledger.is_done(0), ledger.is_done(1)) == (False, True)
    with pytest.raises(CountsDoNotAddUp, match="1 shards missing"):
        commit(ledger, tmp_path)


def test_a_shard_entered_twice_counts_once(tmp_path: Path) -> None:
    ledger = book(10, 10)
    for shard in (0, 1, 0, 1, 1):
        ledger.add(done(shard, 10, 9, parse=1))
    committed = commit(ledger, tmp_path)
    assert committed.counts == Counts(rows_in=20, rows_out=18, rejected={"parse": 2})
    assert committed.files == (file(0, 9), file(1, 9))


def test_the_order_in_which_shards_finish_decides_nothing(tmp_path: Path) -> None:
    # Given shards that differ in everything a record says
    parts = [
        changed(
            done(n, 10 + n, 9 + n, **{f"node{n % 2}": 1}),
            fragments=(f"fragment {n}",),
            skipped=(SkippedFile(path=f"{n}.parquet", error="poisoned"),),
            rejected_files=(DataFile(path=f"rejected/{n}", rows=1, bytes=1),),
            usage=Usage(bytes_read=n, retries=1, nodes={"score": NodeUsage(rows=n, seconds=1)}),
        )
        for n in range(20)
    ]
    manifests, fragments = [], []
    for seed in range(3):
        ledger = book(*[None] * 20)
        random.Random(seed).shuffle(parts)
        for part in parts:
            ledger.add(part)
        manifests.append(commit(ledger, tmp_path).model_dump(exclude={"committed_at"}))
        fragments.append(ledger.fragments)
    assert manifests[0] == manifests[1] == manifests[2]
    assert fragments == [tuple(f"fragment {n}" for n in range(20))] * 3
    assert [one["path"] for one in manifests[0]["files"]] == [
        f"snapshots/p/run/{n:05d}-a.parquet" for n in range(20)
    ]


def test_the_manifest_adds_the_shards_up(tmp_path: Path) -> None:
    ledger = book(10, 10)
    ledger.add(done(1, 10, 7, parse=3))
    ledger.add(done(0, 10, 9, parse=1))
    committed = commit(ledger, tmp_path)
    assert committed.counts == Counts(rows_in=20, rows_out=16, rejected={"parse": 4})
    assert committed.statistics["n"].count == 16
    assert committed.shards == 2


def test_only_files_of_done_records_are_committed_whatever_lies_beside_them(
    tmp_path: Path,
) -> None:
    # Given the file of an attempt that lost, complete, and beside the winner's
    dataset = Dataset(str(tmp_path))
    for attempt in ("a", "lost-the-race"):
        dataset.store.put(f"snapshots/p/run/00000-{attempt}.parquet", b"rows")
    # When the winner's record is committed
    ledger = book(10)
    ledger.add(dataset.write_done(done(0, 10, 10)))
    ledger.add(dataset.write_done(changed(done(0, 10, 10), attempt="lost-the-race")))
    # Then it is the only one
    assert commit(ledger, tmp_path).files == (file(0, 10),)


def test_a_long_list_of_files_stands_in_an_object_beside_the_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "INLINE_FILES", 3)
    dataset, manifests = Dataset(str(tmp_path)), []
    for shards in (3, 4):
        ledger = book(*[10] * shards)
        for shard in reversed(range(shards)):
            ledger.add(done(shard, 10, 10))
        manifests.append(commit(ledger, tmp_path))
    short, long = manifests
    assert (len(short.files), short.files_at) == (3, None)
    assert (long.files, long.rejected_files) == ((), ())
    assert records(dataset.files(long)) == tuple(file(shard, 10) for shard in range(4))


# --- the error budget ---


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_order_in_which_shards_finish_does_not_decide_the_budget(
    order: tuple[int, ...], tmp_path: Path
) -> None:
    # Given two rejected rows, all in one shard, and a budget of two in two hundred
    parts = (done(0, 100, 98, parse=2), done(1, 100, 100))
    ledger = book(100, 100, budget=ErrorBudget(share=0.01, floor=100))
    for shard in order:
        ledger.add(parts[shard])
    assert commit(ledger, tmp_path).counts.rows_rejected == 2


def test_a_spent_budget_names_the_node_and_where_the_rows_are() -> None:
    ledger = book(100, 100, budget=ErrorBudget(share=0.01))
    with pytest.raises(ErrorBudgetSpent, match=r"2 by node 'parse'.*runs/run/rejected"):
        ledger.add(done(0, 100, 97, parse=2, tidy=1))


def test_a_budget_is_not_judged_before_its_floor(tmp_path: Path) -> None:
    ledger = book(50, budget=ErrorBudget(share=0.01, floor=100))
    ledger.add(done(0, 50, 25, parse=25))
    assert commit(ledger, tmp_path).counts.rows_rejected == 25


def test_a_budget_in_rows_is_judged_at_once() -> None:
    ledger = book(50, 1000, budget=ErrorBudget(share=1, rows=4, floor=100))
    ledger.add(done(0, 50, 46, parse=4))
    with pytest.raises(ErrorBudgetSpent, match="the budget is 4 rows"):
        ledger.add(done(1, 1000, 999, parse=1))


def test_a_hopeless_run_of_unknown_length_is_stopped_early() -> None:
    # Given 20 shards of unknown length and a budget of 1 in 100
    ledger = book(*[None] * 20, budget=ErrorBudget(share=0.01))
    # When the very first shard rejects half of its rows
    with pytest.raises(ErrorBudgetSpent):
        ledger.add(done(0, 1000, 500, parse=500))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_wrong_guess_at_the_length_stops_no_run_that_ends_within_its_budget(
    order: tuple[int, ...], tmp_path: Path
) -> None:
    # Given a first shard that has a quarter of the rows in nearly half of the bytes, and all of
    # the rejected ones: 1 in 100
    ledger = book(None, None, budget=ErrorBudget(share=0.01), sizes=(40, 60))
    parts = (done(0, 500, 480, parse=20), done(1, 1500, 1500))
    for shard in order:
        ledger.add(parts[shard])
    assert commit(ledger, tmp_path).counts.rows_rejected == 20


def test_at_the_end_the_budget_is_judged_by_the_rows_there_were(tmp_path: Path) -> None:
    ledger = book(None, None, budget=ErrorBudget(share=0.01))
    ledger.add(done(0, 1000, 985, parse=15))
    ledger.add(done(1, 100, 100))
    with pytest.raises(ErrorBudgetSpent, match=r"0\.01 of 1100 rows"):
        commit(ledger, tmp_path)


# --- replay ---


def base() -> Manifest:
    ledger = book(10, 10)
    ledger.add(changed(done(0, 10, 7, parse=3), usage=Usage(retries=5)))
    ledger.add(
        changed(
            done(1, 10, 8),
            counts=Counts(
                rows_in=10,
                rows_out=8,
                rejected={"parse": 1},
                filtered={"keep": 1},
                errors={"parse": {"ValueError": 1}},
            ),
            rejected_files=(DataFile(path="rejected/1", rows=1, bytes=1),),
        )
    )
    committed = commit(ledger, Path("/nowhere"))
    return committed.model_copy(update={"run_key": "before", "version": "v0"})


def test_a_replay_moves_rejected_rows_to_where_they_ended(tmp_path: Path) -> None:
    # Given a snapshot with four rejected rows, and their replay: two out, one filtered, one not
    ledger = book(4)
    left = DataFile(path="rejected/again", rows=1, bytes=1)
    counts = Counts(
        rows_in=4,
        rows_out=2,
        rejected={"tidy": 1},
        filtered={"keep": 1},
        errors={"tidy": {"KeyError": 1}},
    )
    ledger.add(changed(done(0, 4, 2), counts=counts, rejected_files=(left,)))
    # When it is committed over the snapshot
    before = base()
    after = commit(ledger, tmp_path, before)
    # Then every row of the input is where it ended, and both runs' files are there
    assert after.counts == Counts(
        rows_in=20,
        rows_out=17,
        rejected={"tidy": 1},
        filtered={"keep": 2},
        errors={"tidy": {"KeyError": 1}},
    )
    assert after.counts.add_up
    assert after.files == (*before.files, file(0, 2))
    assert after.rejected_files == (left,)
    assert after.statistics["n"].count == 15 + 2
    assert [(one.run_key, one.version, one.rows) for one in after.replays] == [("before", "v0", 4)]
    assert after.versions == ("v0", "v")


def test_the_budget_of_a_replay_is_that_of_the_whole_snapshot() -> None:
    # Given 4 of 400 rows rejected, a budget of 1 in 100, and a fix that mends one of them
    half_mended = done(0, 4, 1, parse=3)
    budget = ErrorBudget(share=0.01, floor=0)
    # Then that is no reason to refuse the new snapshot
    ledger = book(4, budget=budget, budget_rows=400)
    ledger.add(half_mended)
    assert ledger.pending.size == 0
    # But of the four rows alone it would be
    with pytest.raises(ErrorBudgetSpent):
        book(4, budget=budget).add(half_mended)


def test_a_replay_of_a_replay_names_both_snapshots(tmp_path: Path) -> None:
    ledger = book(4)
    ledger.add(done(0, 4, 2, parse=2))
    second = commit(ledger, tmp_path, base()).model_copy(update={"run_key": "second"})
    ledger = book(2)
    ledger.add(done(0, 2, 2))
    third = commit(ledger, tmp_path, second)
    assert [one.run_key for one in third.replays] == ["before", "second"]
    assert third.counts == Counts(rows_in=20, rows_out=19, filtered={"keep": 1})
    assert len(third.files) == 4


@pytest.mark.parametrize("rows", [3, 5])
def test_a_replay_of_other_rows_than_were_rejected_is_refused(rows: int, tmp_path: Path) -> None:
    ledger = book(rows)
    ledger.add(done(0, rows, rows))
    with pytest.raises(CountsDoNotAddUp, match="4 rows planned"):
        commit(ledger, tmp_path, base())


def test_a_replay_keeps_files_that_stand_in_a_list_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "INLINE_FILES", 2)
    dataset = Dataset(str(tmp_path))
    first = book(10, 10, 10)
    for shard in range(3):
        first.add(done(shard, 10, 9, parse=1))
    before = commit(first, tmp_path)
    second = book(3)
    second.add(changed(done(0, 3, 3), files=(file(0, 3, "again"),)))
    after = commit(second, tmp_path, before)
    assert before.files == ()
    assert records(dataset.files(after)) == (*(file(n, 9) for n in range(3)), file(0, 3, "again"))


# --- usage and progress ---


def test_usage_adds_up_but_for_peaks() -> None:
    stage = StageUsage(busy_s=1, held_s=2, cpus=1, gpus=0.5)
    one = Usage(
        bytes_read=1,
        bytes_written=2,
        requests=3,
        retries=4,
        peak_memory_bytes=100,
        nodes={"score": NodeUsage(rows=10, seconds=0.5)},
        stages={"models": stage},
        cost=0.25,
    )
    other = Usage(requests=1, peak_memory_bytes=50, nodes={"score": NodeUsage(rows=5, seconds=1)})
    assert add_usage([one, other, one]) == Usage(
        bytes_read=2,
        bytes_written=4,
        requests=7,
        retries=8,
        peak_memory_bytes=100,
        nodes={"score": NodeUsage(rows=25, seconds=2.0)},
        stages={"models": StageUsage(busy_s=2, held_s=4, cpus=1, gpus=0.5)},
        cost=0.5,
    )
    assert add_usage([]) == Usage()


def test_counts_of_several_parts_keep_their_error_types() -> None:
    one = Counts(rows_in=2, rows_out=1, rejected={"parse": 1}, errors={"parse": {"ValueError": 1}})
    assert add_counts([one, one]) == Counts(
        rows_in=4, rows_out=2, rejected={"parse": 2}, errors={"parse": {"ValueError": 2}}
    )


def test_the_manifest_says_what_the_shards_took_unless_told(tmp_path: Path) -> None:
    ledger = book(10)
    ledger.add(changed(done(0, 10, 10), usage=Usage(requests=3)))
    assert commit(ledger, tmp_path).usage == Usage(requests=3)
    told = ledger.manifest(Dataset(str(tmp_path)), "id", ParquetSink(), None, Usage(requests=9))
    assert told.usage == Usage(requests=9)


def test_progress_tells_what_is_left() -> None:
    ledger = book(100, 300)
    usage = Usage(nodes={"score": NodeUsage(rows=100, seconds=0.5)})
    ledger.add(changed(done(0, 100, 99, parse=1), usage=usage))
    progress = ledger.progress(10.0)
    assert (progress.run_key, progress.shards_done, progress.shards) == ("run", 1, 2)
    assert (progress.rows_done, progress.rows, progress.rejected) == (100, 400, 1)
    assert progress.eta_s == 30.0
    assert progress.nodes == {"score": 200.0}


def test_progress_guesses_the_rest_by_bytes_where_rows_are_unknown() -> None:
    ledger = book(None, None, sizes=(10, 40))
    ledger.add(done(0, 100, 100))
    progress = ledger.progress(10.0)
    assert progress.rows is None
    assert progress.eta_s == 40.0
