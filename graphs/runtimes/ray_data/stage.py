"""One stage of an offline plan in a worker: shards come in as rows, and leave as rows.

The first stage reads a shard inside the call, the last writes it and publishes its done-record
inside the call. Where a call gets several shards, the next is read and the previous written while
one is computed.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pyarrow as pa

from graphs.runtimes.kernel import Kernel, RejectedRow
from graphs.runtimes.ray_data import travel
from graphs.runtimes.ray_data.publishing import Publisher
from graphs.runtimes.ray_data.sums import add_usage
from graphs.runtimes.ray_data.travel import Carry, InFlight
from graphs.runtimes.ray_data.watchdog import Watchdog, stalled
from graphs.runtimes.ray_data.work import Work
from graphs.spec import DoneRecord, NodeUsage, Shard, StageUsage, Usage
from graphs.storage.inputs import Source
from graphs.storage.objects import requests_made
from graphs.storage.snapshots import Dataset

WORKER_LIVES, CAREFUL_LIVES = 3, 2
"""Times Ray begins a call again whose worker died (out of memory, a crash in native code, a lost
node), and again where one has died of it before; its own default is to try for ever."""

_SMALLER = 8
"""By what batches are divided for each time a shard took its worker down."""


class StageWorker:
    """Computes one stage for shard after shard, its models loaded once.

    Raises:
        NodeError: a model could not be loaded.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._dataset = Dataset(work.output)
        self._source = Source.open(work.input)
        self._publisher = Publisher(work, self._dataset, self._source)
        self._kernel = Kernel(
            work.plan.graph,
            work.the_stage.nodes,
            parameters=work.parameters,
            hopeless_after=work.hopeless_after,
            title=f"graph {work.plan.graph.name!r} at version {work.plan.version}",
        )
        self._watchdog = Watchdog(
            self._kernel, self._dataset.store, work.run_key, work.plan.profile.stall_s
        )
        self._requests_told = requests_made()
        self._held_since = time.monotonic()

    def run(self, batch: pa.Table, tries: int) -> Iterator[pa.Table]:
        """Takes and gives rows as :mod:`travel` makes them, a shard each.

        Args:
            batch: the rows that came in.
            tries: times this call was begun before, and took its worker down.

        Raises:
            GraphsError: typed, as it was raised here.
        """
        if not self._work.the_stage.is_stateful:
            self._held_since = time.monotonic()
        rows = [batch.slice(position, 1) for position in range(batch.num_rows)]
        if self._work.is_last:
            yield from self._written_behind(rows, tries)
        else:
            for shard, row, computed in self._computed(rows, tries):
                yield row if computed is None else travel.travelling_row(shard, computed)

    def _written_behind(self, rows: list[pa.Table], tries: int) -> Iterator[pa.Table]:
        """Each shard is written while the next is computed."""
        behind: Future[DoneRecord] | None = None
        before: Shard | None = None
        with ThreadPoolExecutor(1) as writer:
            for shard, row, computed in self._computed(rows, tries):
                if behind is not None and before is not None:
                    yield travel.done_row(before, behind.result())
                    behind = None
                if computed is None:
                    yield row
                    continue
                before = shard
                behind = writer.submit(self._publisher.publish, shard, computed, self._told)
            if behind is not None and before is not None:
                yield travel.done_row(before, behind.result())

    def _computed(
        self, rows: list[pa.Table], tries: int
    ) -> Iterator[tuple[Shard, pa.Table, InFlight | None]]:
        """Each shard computed, or its row as it shall go on where nothing is left to do."""
        ahead = len(rows) > 1 and self._work.is_first
        with ThreadPoolExecutor(1) if ahead else nullcontext() as reader:
            upcoming: Future[InFlight | pa.Table] | None = None
            for position, row in enumerate(rows):
                arrived = upcoming.result() if upcoming else self._arrived(row, tries)
                if reader is not None and position + 1 < len(rows):
                    upcoming = reader.submit(self._arrived, rows[position + 1], tries)
                shard = travel.shard_of(row)
                if isinstance(arrived, InFlight):
                    yield shard, row, self._compute(shard, arrived, tries)
                else:
                    yield shard, arrived, None

    def _arrived(self, row: pa.Table, tries: int) -> InFlight | pa.Table:
        """A shard's rows; or the row as it shall go on, where the shard is done already."""
        if travel.is_done(row):
            return row
        shard = travel.shard_of(row)
        # A twin, or this very call before its worker died, may have finished the shard meanwhile.
        found = self._dataset.read_done(self._work.run_key, shard.id) if tries else None
        if found is not None:
            return travel.done_row(shard, found)
        return self._read(shard) if self._work.is_first else travel.unpacked(row)

    def _read(self, shard: Shard) -> InFlight:
        work = self._work
        schema = work.plan.graph.input_schema
        found = self._source.read(shard, work.the_stage.columns_in, schema, work.trouble.bad_file)
        rows = found.table.num_rows
        carry = Carry(
            rows_in=rows,
            piece_rows=found.piece_rows,
            skipped=found.skipped,
            usage=Usage(bytes_read=found.bytes_read),
        )
        return InFlight(found.table, np.arange(rows, dtype=np.int64), carry)

    def _compute(self, shard: Shard, arrived: InFlight, tries: int) -> InFlight:
        given_up = self._given_up(shard, arrived, tries) if tries else None
        if given_up is not None:
            return given_up
        self._watchdog.now_at(shard.id)
        work, before = self._work, arrived.carry
        computed = self._kernel.run(arrived.table, self._batch_rows(tries))
        rejected = tuple(
            RejectedRow(int(arrived.numbers[row.row]), row.node, row.error, row.message)
            for row in computed.rejected
        )
        carry = replace(
            before,
            rejected=before.rejected + rejected,
            filtered=(before.filtered or {}) | computed.filtered,
            usage=add_usage([before.usage, self._spent(computed.seconds, computed.rows, tries)]),
        )
        if not work.is_last:
            carry = replace(carry, usage=self._told(carry.usage))
        return InFlight(self._leaving(computed.table), arrived.numbers[computed.kept], carry)

    def _batch_rows(self, tries: int) -> int:
        smaller: int = _SMALLER ** (tries + self._work.is_careful)
        return max(1, self._work.the_stage.batch_rows // smaller)

    def _given_up(self, shard: Shard, arrived: InFlight, tries: int) -> InFlight | None:
        """All rows rejected, where the shard has no life left and the run's policy says so."""
        work = self._work
        problem = stalled(self._dataset.store, work.run_key, shard.id)
        is_over = work.is_careful and tries >= CAREFUL_LIVES
        if problem is not None and work.trouble.lost_worker == "fail":
            raise problem
        if problem is None and not (is_over and work.trouble.lost_worker == "reject"):
            return None
        error = type(problem).__name__ if problem else "WorkerLost"
        message = str(problem or f"took its worker down {tries} times, even in small batches")
        node = work.the_stage.name
        rejected = tuple(RejectedRow(int(row), node, error, message) for row in arrived.numbers)
        before = arrived.carry
        table = arrived.table.slice(0, 0)
        table = self._leaving(self._kernel.run(table).table)
        usage = add_usage([before.usage, Usage(retries=tries)])
        carry = replace(before, rejected=before.rejected + rejected, usage=usage)
        return InFlight(table, arrived.numbers[:0], carry)

    def _leaving(self, table: pa.Table) -> pa.Table:
        """The columns that leave this stage, out of a computed table."""
        if self._work.is_last:
            return self._kernel.select_outputs(table)
        return table.select(list(self._work.the_stage.columns_out))

    def _spent(self, seconds: dict[str, float], rows: dict[str, int], tries: int) -> Usage:
        nodes = {
            name: NodeUsage(rows=rows.get(name, 0), seconds=spent)
            for name, spent in seconds.items()
        }
        stage, needs = self._work.the_stage, self._work.the_stage.resources
        busy = StageUsage(busy_s=sum(seconds.values()), cpus=needs.cpus, gpus=needs.gpus)
        return Usage(nodes=nodes, stages={stage.name: busy}, retries=tries)

    def _told(self, usage: Usage) -> Usage:
        """A shard's usage, completed by what this worker took since it was last asked."""
        requests, now = requests_made(), time.monotonic()
        needs = self._work.the_stage.resources
        held = StageUsage(held_s=now - self._held_since, cpus=needs.cpus, gpus=needs.gpus)
        told = Usage(
            requests=requests - self._requests_told,
            peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            stages={self._work.the_stage.name: held},
        )
        self._requests_told, self._held_since = requests, now
        return add_usage([usage, told])
