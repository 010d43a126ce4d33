"""The last step of a shard: its files, then its done-record, in that order.

Whatever is killed, a done-record implies its files; files without one belong to nobody.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from graphs.runtimes.ray_data.sums import add_usage
from graphs.runtimes.ray_data.travel import Carry, InFlight
from graphs.runtimes.ray_data.work import Work
from graphs.spec import DataFile, DoneRecord, Shard, Usage
from graphs.storage.inputs import Source
from graphs.storage.parquet import encode_table
from graphs.storage.sinks import open_sink
from graphs.storage.snapshots import Dataset, rejected_path
from graphs.validation.statistics import of_table


class Publisher:
    """Writes finished shards of one run."""

    def __init__(self, work: Work, dataset: Dataset, source: Source) -> None:
        self._work = work
        self._dataset = dataset
        self._source = source
        self._sink = open_sink(work.sink, work.output)

    def publish(
        self, shard: Shard, computed: InFlight, usage: Callable[[Usage], Usage]
    ) -> DoneRecord:
        """Writes a shard's files and publishes its done-record.

        Args:
            shard: which one.
            computed: its output rows, by port name, and its history.
            usage: completes the usage so far by what this worker took, once all is written.

        Returns:
            The done-record that counts; an earlier one if another attempt was first, and then
            this one's files are removed.
        """
        work, store = self._work, self._dataset.store
        # Ray may run a call twice at once, so the attempt's name alone would not keep files apart.
        attempt = f"{work.attempt}-{secrets.token_hex(4)}"
        written = self._sink.write(
            computed.table,
            partition_key=work.partition_key,
            run_key=work.run_key,
            name=f"{shard.id}-{attempt}",
        )
        rejected_files = self._write_rejected(shard, computed, attempt)
        size = sum(file.bytes for file in (*written.files, *rejected_files))
        record = DoneRecord(
            run_key=work.run_key,
            shard=shard.id,
            attempt=attempt,
            files=written.files,
            fragments=written.fragments,
            rejected_files=rejected_files,
            counts=computed.carry.counts(computed.table.num_rows),
            statistics=of_table(computed.table),
            usage=usage(add_usage([computed.carry.usage, Usage(bytes_written=size)])),
            skipped=computed.carry.skipped,
        )
        published = self._dataset.write_done(record)
        if published.attempt != attempt:
            self._sink.discard(written)
            for file in rejected_files:
                store.delete(file.path)
        return published

    def _write_rejected(
        self, shard: Shard, computed: InFlight, attempt: str
    ) -> tuple[DataFile, ...]:
        if not computed.carry.rejected:
            return ()
        table = self._rejected(shard, computed.carry, attempt)
        data = encode_table(table)
        path = rejected_path(self._work.run_key, shard.id, attempt)
        self._dataset.store.put(path, data)
        return (DataFile(path=path, rows=table.num_rows, bytes=len(data)),)

    def _rejected(self, shard: Shard, carry: Carry, attempt: str) -> pa.Table:
        """Rejected rows with why and what they were."""
        graph, rows = self._work.plan.graph, carry.rejected
        input = self._input_of(shard, carry)
        return pa.table(
            {
                "key": input.column(graph.key),
                "shard": [shard.id] * len(rows),
                "row": pa.array([row.row for row in rows], pa.int64()),
                "node": [row.node for row in rows],
                "error": [row.error for row in rows],
                "message": [row.message for row in rows],
                "attempt": [attempt] * len(rows),
                "input": input.to_batches()[0].to_struct_array(),
            }
        )

    def _input_of(self, shard: Shard, carry: Carry) -> pa.Table:
        """The input of rejected rows: they are few, so the pieces that hold some are read again."""
        positions = np.array([row.row for row in carry.rejected], np.int64)
        stops = np.cumsum(carry.piece_rows)
        pieces, place = np.unique(
            np.searchsorted(stops, positions, side="right"), return_inverse=True
        )
        part = shard.model_copy(update={"pieces": tuple(shard.pieces[int(i)] for i in pieces)})
        schema = self._work.plan.graph.input_schema
        found = self._source.read(part, schema.names, schema, self._work.trouble.bad_file)
        starts = (stops - carry.piece_rows)[pieces]
        read = np.cumsum([0, *found.piece_rows])[:-1]
        return found.table.take(positions - starts[place] + read[place]).combine_chunks()
