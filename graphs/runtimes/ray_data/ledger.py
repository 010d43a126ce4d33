"""The account of a run: which shards are done, where every row went, what it cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from graphs.errors import CountsDoNotAddUp, ErrorBudgetSpent
from graphs.spec import Counts, DataFile, DoneRecord, ErrorBudget, Manifest, Shard, ShardPlan
from graphs.validation.statistics import merge_all


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come."""

    shards_done: int
    shards: int
    rows_done: int
    rows: int
    rejected: int
    rows_per_s: float
    """Rows computed by this attempt a second."""

    def __str__(self) -> str:
        rejected = f" · {self.rejected} rejected" if self.rejected else ""
        return (
            f"shard {self.shards_done}/{self.shards} done · "
            f"{self.rows_done}/{self.rows} rows{rejected} · {self.rows_per_s:.0f} rows/s"
        )


class Ledger:
    """Gathers the done-records of one run and refuses what does not add up."""

    def __init__(self, plan: ShardPlan, budget: ErrorBudget) -> None:
        self.plan = plan
        self._budget = budget
        self._records: dict[str, DoneRecord] = {}
        self._rejected = 0
        self.rows_done = 0

    def add(self, record: DoneRecord) -> None:
        """Enters a shard's done-record.

        Raises:
            CountsDoNotAddUp: the record does not account for exactly the shard's rows.
            ErrorBudgetSpent: with it, more rows are rejected than the run allows.
        """
        shard = self._shard(record.shard)
        if not record.counts.add_up or record.counts.rows_in != shard.rows:
            raise CountsDoNotAddUp(
                f"{shard.rows} rows planned, {record.counts.rows_in} in, "
                f"{record.counts.rows_out} out, {record.counts.rows_rejected} rejected, "
                f"{record.counts.rows_filtered} filtered",
                f"run {self.plan.run_key}, shard {record.shard}",
            )
        self._records[record.shard] = record
        self.rows_done += record.counts.rows_in
        self._rejected += record.counts.rows_rejected
        self._judge_budget()

    def _shard(self, id: str) -> Shard:
        for shard in self.plan.shards:
            if shard.id == id:
                return shard
        raise CountsDoNotAddUp(f"shard {id!r} is not in the plan", f"run {self.plan.run_key}")

    def _judge_budget(self) -> None:
        # Against all rows of the plan, not those seen: the verdict must not depend on the order
        # in which shards finish, and rows that are rejected stay rejected.
        allowed = self._budget.share * self.plan.rows
        if self.rows_done < self._budget.floor or self._rejected <= allowed:
            return
        nodes = Counter[str]()
        for record in self._records.values():
            nodes.update(record.counts.rejected)
        node, rows = nodes.most_common(1)[0]
        raise ErrorBudgetSpent(
            f"{self._rejected} of {self.rows_done} rows so far were rejected, {rows} by node "
            f"{node!r}; the budget is {self._budget.share:.4g} of {self.plan.rows} rows",
            f"run {self.plan.run_key}, partition {self.plan.partition_key}",
            f"Look at the rows in runs/{self.plan.run_key}/rejected, then mend the node or the "
            "input, or raise error_budget",
        )

    @property
    def pending(self) -> tuple[Shard, ...]:
        """The shards that still lack a done-record."""
        return tuple(shard for shard in self.plan.shards if shard.id not in self._records)

    @property
    def records(self) -> tuple[DoneRecord, ...]:
        """The done-records so far, by shard."""
        return tuple(self._records[id] for id in sorted(self._records))

    def progress(self, rows_per_s: float) -> Progress:
        """How far the run has come."""
        return Progress(
            shards_done=len(self._records),
            shards=len(self.plan.shards),
            rows_done=self.rows_done,
            rows=self.plan.rows,
            rejected=self._rejected,
            rows_per_s=rows_per_s,
        )

    def manifest(self, key: str) -> Manifest:
        """The commit of a run that is complete.

        Args:
            key: name of the key column.

        Raises:
            CountsDoNotAddUp: shards are missing, or rows are.
        """
        records = self.records
        counts = add_counts(record.counts for record in records)
        if self.pending or not counts.add_up or counts.rows_in != self.plan.rows:
            raise CountsDoNotAddUp(
                f"{self.plan.rows} rows planned, {counts.rows_in} in, {counts.rows_out} out, "
                f"{counts.rows_rejected} rejected, {counts.rows_filtered} filtered, "
                f"{len(self.pending)} shards missing",
                f"run {self.plan.run_key}",
            )
        return Manifest(
            run_key=self.plan.run_key,
            graph=self.plan.graph,
            version=self.plan.version,
            key=key,
            partition_key=self.plan.partition_key,
            input=self.plan.input,
            files=_files(record.files for record in records),
            rejected_files=_files(record.rejected_files for record in records),
            counts=counts,
            statistics=merge_all([record.statistics for record in records]),
            committed_at=datetime.now(UTC),
        )


def add_counts(parts: Iterable[Counts]) -> Counts:
    """The counts of several shards together."""
    rows_in = rows_out = 0
    rejected, filtered = Counter[str](), Counter[str]()
    for part in parts:
        rows_in += part.rows_in
        rows_out += part.rows_out
        rejected.update(part.rejected)
        filtered.update(part.filtered)
    return Counts(
        rows_in=rows_in, rows_out=rows_out, rejected=dict(rejected), filtered=dict(filtered)
    )


def _files(parts: Iterable[tuple[DataFile, ...]]) -> tuple[DataFile, ...]:
    return tuple(file for files in parts for file in files)
