"""The account of a run: which shards are done, where every row went, what it cost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from graphs.errors import CountsDoNotAddUp, ErrorBudgetSpent
from graphs.runtimes.ray_data.adding_up import after_replay, what_is_missing, what_is_wrong
from graphs.runtimes.ray_data.sums import CountsSum, FilesByShard, UsageSum
from graphs.spec import (
    Counts,
    DoneRecord,
    ErrorBudget,
    Manifest,
    Progress,
    Replay,
    ShardPlan,
    Sink,
    SkippedFile,
    Usage,
)
from graphs.storage.file_lists import records
from graphs.storage.inputs import Shards
from graphs.storage.snapshots import INLINE_FILES, Dataset
from graphs.validation.statistics import Merger

T = TypeVar("T")

_ESTIMATE_SLACK = 2.0
"""While the plan's rows are a guess, the budget is judged against this many times the guess: a run
that would end within its budget must not be stopped by a wrong guess."""


class Ledger:
    """Adds up the done-records of one run and refuses what does not add up.

    Keeps columns, not records: about 200 bytes a shard.

    Args:
        plan, shards: what the run is to do.
        budget: rows that may be rejected.
        budget_rows: rows that the budget's share is of; ``None``: those of the plan. A replay's is
            of the whole snapshot, or a fix that mends only some rows would fail for the others.
    """

    def __init__(
        self,
        plan: ShardPlan,
        shards: Shards,
        budget: ErrorBudget,
        budget_rows: int | None = None,
    ) -> None:
        self.plan = plan
        self.shards = shards
        self._budget = budget
        self._budget_rows = plan.rows if budget_rows is None else budget_rows
        self._is_done = np.zeros(len(shards), np.bool_)
        self._shards_done = 0
        self._bytes_done = 0
        self._counts = CountsSum()
        self._usage = UsageSum()
        self._statistics = Merger()
        self._files = FilesByShard()
        self._rejected_files = FilesByShard()
        self._skipped: list[tuple[int, tuple[SkippedFile, ...]]] = []
        self._fragments: list[tuple[int, tuple[str, ...]]] = []

    def add(self, record: DoneRecord) -> None:
        """Enters a shard's done-record; one that is entered already changes nothing.

        Args:
            record: as the dataset gave it: the record that counts for its shard.

        Raises:
            CountsDoNotAddUp: the record does not account for exactly the shard's rows.
            ErrorBudgetSpent: with it, more rows are rejected than the run allows.
        """
        shard = self._shard(record)
        if self._is_done[shard]:
            return
        if problem := what_is_wrong(record, self.shards.rows_of(shard)):
            raise CountsDoNotAddUp(problem, f"run {self.plan.run_key}, shard {record.shard}")
        self._is_done[shard] = True
        self._shards_done += 1
        self._bytes_done += self.shards.bytes_of(shard)
        self._counts.add(record.counts)
        self._usage.add(record.usage)
        self._statistics.add(record.statistics)
        self._files.add(shard, record.files)
        self._rejected_files.add(shard, record.rejected_files)
        if record.skipped:
            self._skipped.append((shard, record.skipped))
        if record.fragments:
            self._fragments.append((shard, record.fragments))
        self._judge_budget(self._rows_to_judge_by())

    def _shard(self, record: DoneRecord) -> int:
        if record.run_key == self.plan.run_key:
            try:
                return self.shards.index_of(record.shard)
            except KeyError:
                pass
        raise CountsDoNotAddUp(
            f"shard {record.shard!r} of run {record.run_key} is not in the plan",
            f"run {self.plan.run_key}",
        )

    # --- the error budget ---

    def _rows_expected(self) -> float:
        """Rows of the plan; where nobody knows, as many a byte as in the shards that are done."""
        if self.plan.rows is not None:
            return self.plan.rows
        return self._counts.rows_in * self.plan.bytes / max(self._bytes_done, 1)

    def _rows_to_judge_by(self) -> float:
        # All rows there will be, not those seen: the verdict must not depend on the order in which
        # shards finish, and rows that are rejected stay rejected.
        if self._budget_rows is not None:
            return self._budget_rows
        return self._rows_expected() * _ESTIMATE_SLACK

    def _judge_budget(self, rows: float) -> None:
        budget, rejected = self._budget, self._counts.rows_rejected
        if budget.rows is not None and rejected > budget.rows:
            raise self._spent(f"{budget.rows} rows")
        if self._counts.rows_in >= budget.floor and rejected > budget.share * rows:
            raise self._spent(f"{budget.share:.4g} of {rows:.0f} rows")

    def _spent(self, allowed: str) -> ErrorBudgetSpent:
        node, rows = self._counts.rejected.most_common(1)[0]
        return ErrorBudgetSpent(
            f"{self._counts.rows_rejected} of {self._counts.rows_in} rows so far were rejected, "
            f"{rows} by node {node!r}; the budget is {allowed}",
            f"run {self.plan.run_key}, partition {self.plan.partition_key}",
            f"Look at the rows in runs/{self.plan.run_key}/rejected, then mend the node or the "
            "input, or raise error_budget",
        )

    # --- how far it has come ---

    @property
    def pending(self) -> npt.NDArray[np.int64]:
        """Positions in the plan of the shards that still lack a done-record, ascending."""
        return np.flatnonzero(~self._is_done)

    def is_done(self, shard: int) -> bool:
        """Whether the shard at that position of the plan has a done-record."""
        return bool(self._is_done[shard])

    @property
    def shards_done(self) -> int:
        """Shards that have a done-record."""
        return self._shards_done

    @property
    def counts(self) -> Counts:
        """Where the rows of the shards that are done went."""
        return self._counts.result()

    @property
    def usage(self) -> Usage:
        """What the shards that are done took, whichever attempt computed them."""
        return self._usage.result()

    @property
    def files(self) -> pa.Table:
        """The data files so far, in the order of their shards."""
        return self._files.result()

    @property
    def rejected_files(self) -> pa.Table:
        """The files of rejected rows so far, in the order of their shards."""
        return self._rejected_files.result()

    @property
    def skipped(self) -> tuple[SkippedFile, ...]:
        """Input files that were left out, in the order of the shards."""
        return tuple(_in_order(self._skipped))

    @property
    def fragments(self) -> tuple[str, ...]:
        """What the sink's commit needs to know of the shards, in the order of the shards."""
        return tuple(_in_order(self._fragments))

    def progress(self, rows_per_s: float) -> Progress:
        """How far the run has come.

        Args:
            rows_per_s: rows computed by this attempt a second.
        """
        left = max(0.0, self._rows_expected() - self._counts.rows_in)
        return Progress(
            run_key=self.plan.run_key,
            shards_done=self._shards_done,
            shards=len(self.shards),
            rows_done=self._counts.rows_in,
            rows=self.plan.rows,
            rejected=self._counts.rows_rejected,
            rows_per_s=rows_per_s,
            eta_s=left / rows_per_s if rows_per_s else None,
            nodes={
                name: rows / seconds
                for name, (rows, seconds) in self._usage.nodes.items()
                if seconds
            },
        )

    # --- the commit ---

    def manifest(
        self,
        dataset: Dataset,
        key: str,
        sink: Sink,
        replay_base: Manifest | None = None,
        usage: Usage | None = None,
    ) -> Manifest:
        """The commit of a run that is complete; writes the list of files where it is long.

        Args:
            dataset: where the run's files are.
            key: name of the key column.
            sink: where the rows went.
            replay_base: the snapshot whose rejected rows this run computed again, if it did: its
                files stay, and its rejected rows are counted where they ended this time.
            usage: what the run took, all told; ``None``: what its shards took.

        Raises:
            CountsDoNotAddUp: shards are missing, or rows are.
            ErrorBudgetSpent: more rows were rejected than the run allows.
        """
        self._check_all(replay_base)
        if self._budget_rows is None:
            self._judge_budget(self._counts.rows_in)
        files, rejected = self.files, self.rejected_files
        counts, replays = self.counts, tuple[Replay, ...]()
        skipped = self.skipped
        statistics = Merger()
        if replay_base is not None:
            files = pa.concat_tables([dataset.files(replay_base), files])
            counts = after_replay(replay_base.counts, counts)
            replays = (*replay_base.replays, _replay_of(replay_base))
            skipped = (*replay_base.skipped, *skipped)
            statistics.add(replay_base.statistics)
        statistics.add(self._statistics.result())
        is_long = files.num_rows + rejected.num_rows > INLINE_FILES
        return Manifest(
            run_key=self.plan.run_key,
            graph=self.plan.graph,
            version=self.plan.version,
            key=key,
            partition_key=self.plan.partition_key,
            input=self.plan.input,
            sink=sink,
            files=() if is_long else records(files),
            rejected_files=() if is_long else records(rejected),
            files_at=dataset.write_files(
                self.plan.partition_key, self.plan.run_key, files, rejected
            )
            if is_long
            else None,
            counts=counts,
            statistics=statistics.result(),
            usage=usage or self.usage,
            skipped=skipped,
            replays=replays,
            shards=len(self.shards),
            committed_at=datetime.now(UTC),
        )

    def _check_all(self, replay_base: Manifest | None) -> None:
        planned = self.plan.rows
        if replay_base is not None:
            planned = replay_base.counts.rows_rejected
        missing = len(self.shards) - self._shards_done
        problem = f"{missing} shards missing" if missing else ""
        problem = problem or what_is_missing(self.counts, self.skipped, planned)
        if problem:
            raise CountsDoNotAddUp(problem, f"run {self.plan.run_key}")


def _replay_of(base: Manifest) -> Replay:
    return Replay(run_key=base.run_key, version=base.version, rows=base.counts.rows_rejected)


def _in_order(parts: list[tuple[int, tuple[T, ...]]]) -> Iterator[T]:
    for _, items in sorted(parts, key=lambda part: part[0]):
        yield from items
