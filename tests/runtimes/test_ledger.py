"""The account of a run, without a cluster."""

from __future__ import annotations

import pytest

from graphs.errors import CountsDoNotAddUp, ErrorBudgetSpent
from graphs.runtimes.ray_data.ledger import Ledger
from graphs.spec import Counts, DoneRecord, ErrorBudget, Input, Piece, Shard, ShardPlan


def plan(*rows: int) -> ShardPlan:
    return ShardPlan(
        run_key="run",
        graph="g",
        version="v",
        partition_key="p",
        input=Input(uri="in"),
        shards=tuple(
            Shard(id=f"{i:05d}", pieces=(Piece(path=f"{i}.parquet", etag="e", rows=n),))
            for i, n in enumerate(rows)
        ),
    )


def done(shard: int, rows_in: int, rows_out: int, **rejected: int) -> DoneRecord:
    return DoneRecord(
        run_key="run",
        shard=f"{shard:05d}",
        attempt="a",
        files=(),
        counts=Counts(rows_in=rows_in, rows_out=rows_out, rejected=rejected),
        statistics={},
        seconds={},
    )


@pytest.mark.parametrize(
    "wrong",
    [done(0, 10, 9), done(0, 10, 11), done(0, 9, 9), done(7, 10, 10)],
    ids=["lost", "doubled", "short shard", "unknown shard"],
)
def test_a_done_record_that_does_not_account_for_its_shard_is_refused(wrong: DoneRecord) -> None:
    with pytest.raises(CountsDoNotAddUp):
        Ledger(plan(10, 10), ErrorBudget()).add(wrong)


def test_a_run_with_a_shard_missing_has_no_manifest() -> None:
    ledger = Ledger(plan(10, 10), ErrorBudget())
    ledger.add(done(1, 10, 10))
    assert [shard.id for shard in ledger.pending] == ["00000"]
    with pytest.raises(CountsDoNotAddUp, match="1 shards missing"):
        ledger.manifest("id")


def test_the_manifest_adds_the_shards_up() -> None:
    ledger = Ledger(plan(10, 10), ErrorBudget(share=1))
    ledger.add(done(1, 10, 7, parse=3))
    ledger.add(done(0, 10, 9, parse=1))
    assert ledger.manifest("id").counts == Counts(rows_in=20, rows_out=16, rejected={"parse": 4})


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_order_in_which_shards_finish_does_not_decide_the_budget(
    order: tuple[int, ...],
) -> None:
    # Given two rejected rows, all in one shard, and a budget of two in two hundred
    records = (done(0, 100, 98, parse=2), done(1, 100, 100))
    ledger = Ledger(plan(100, 100), ErrorBudget(share=0.01, floor=100))
    for shard in order:
        ledger.add(records[shard])
    assert ledger.manifest("id").counts.rows_rejected == 2


def test_a_spent_budget_names_the_node_and_where_the_rows_are() -> None:
    ledger = Ledger(plan(100, 100), ErrorBudget(share=0.01))
    with pytest.raises(ErrorBudgetSpent, match=r"2 by node 'parse'.*runs/run/rejected"):
        ledger.add(done(0, 100, 97, parse=2, tidy=1))


def test_a_budget_is_not_judged_before_its_floor() -> None:
    ledger = Ledger(plan(50), ErrorBudget(share=0.01, floor=100))
    ledger.add(done(0, 50, 25, parse=25))
    assert ledger.manifest("id").counts.rows_rejected == 25
