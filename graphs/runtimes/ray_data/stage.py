"""One stage of an offline plan in a worker: a shard comes in as one row, and leaves as one row.

A shard is never split, merged or reordered on its way: Ray moves it as a single value (Arrow IPC
bytes). The first stage reads the shard inside the call; the last writes its files and publishes
its done-record inside the call, data first, so whatever is killed, a done-record implies its files.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter

from graphs.planners.offline import OfflinePlan
from graphs.runtimes.kernel import Kernel, RejectedRow
from graphs.spec import Counts, DataFile, DoneRecord, Input, Shard
from graphs.storage.objects import Store
from graphs.storage.parquet import encode_table
from graphs.storage.shards import read_shard
from graphs.storage.snapshots import Dataset, data_path, rejected_path
from graphs.validation.statistics import of_table

ROW = pa.schema(
    [
        ("shard", pa.string()),  # the Shard as JSON
        ("rows", pa.large_binary()),  # the shard's surviving rows as an Arrow IPC stream
        ("carry", pa.string()),  # what else is known about them, a Carry as JSON
        ("done", pa.string()),  # the DoneRecord as JSON, once there is one
    ]
)
"""The one row in which a shard travels from stage to stage."""

_NUMBER = "#row"
"""Column of a travelling table: a row's position in its shard. No port can have that name."""


@dataclass(frozen=True, slots=True)
class Carry:
    """What happened to a shard in earlier stages."""

    rejected: tuple[RejectedRow, ...]
    """``row`` is the position in the shard."""
    filtered: dict[str, int]
    seconds: dict[str, float]


_CARRY = TypeAdapter(Carry)


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker of one stage needs to know about the run; travels to the workers."""

    plan: OfflinePlan
    stage: int
    input: Input
    output: str
    partition_key: str
    run_key: str
    attempt: str
    parameters: dict[str, Any]
    hopeless_after: int | None

    @property
    def is_first(self) -> bool:
        return self.stage == 0

    @property
    def is_last(self) -> bool:
        return self.stage == len(self.plan.stages) - 1


@dataclass(frozen=True, slots=True)
class _InFlight:
    """A shard's surviving rows, their positions in the shard, and its history."""

    table: pa.Table
    numbers: np.ndarray[tuple[int], np.dtype[np.int64]]
    carry: Carry


class StageWorker:
    """Computes one stage for one shard after another, its models loaded once."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._stage = work.plan.stages[work.stage]
        self._dataset = Dataset(work.output)
        self._source = Store.open(work.input.uri)
        self._problem: Exception | None = None
        # Ray retries a constructor that raises and hides its error; the first call does neither.
        try:
            self._kernel = Kernel(
                work.plan.graph,
                self._stage.nodes,
                parameters=work.parameters,
                hopeless_after=work.hopeless_after,
                title=f"graph {work.plan.graph.name!r} at version {work.plan.version}",
            )
        except Exception as error:
            self._problem = error

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        """Takes and gives tables of :data:`ROW`, a shard in each row."""
        if self._problem is not None:
            raise self._problem
        for position in range(batch.num_rows):
            yield self._forward(batch.slice(position, 1))

    def _forward(self, row: pa.Table) -> pa.Table:
        shard = Shard.model_validate_json(row.column("shard")[0].as_py())
        if row.column("done")[0].as_py() is not None:
            return row
        # A twin, or this very call before its worker died, may have finished the shard meanwhile.
        found = self._dataset.read_done(self._work.run_key, shard.id)
        if found is not None:
            return _row(shard, done=found)
        arrived = self._read(shard) if self._work.is_first else _unpack(row)
        computed = self._compute(arrived)
        if self._work.is_last:
            return _row(shard, done=self._publish(shard, computed))
        return _row(shard, in_flight=computed)

    def _read(self, shard: Shard) -> _InFlight:
        schema = self._work.plan.graph.input_schema
        table = read_shard(self._source, shard, self._stage.columns_in, schema)
        return _InFlight(table, np.arange(table.num_rows, dtype=np.int64), Carry((), {}, {}))

    def _compute(self, arrived: _InFlight) -> _InFlight:
        computed = self._kernel.run(arrived.table, self._work.plan.profile.batch_rows)
        rejected = tuple(
            RejectedRow(int(arrived.numbers[row.row]), row.node, row.error, row.message)
            for row in computed.rejected
        )
        table = (
            self._kernel.select_outputs(computed.table)
            if self._work.is_last
            else computed.table.select(list(self._stage.columns_out))
        )
        before = arrived.carry
        carry = Carry(
            before.rejected + rejected,
            before.filtered | computed.filtered,
            before.seconds | computed.seconds,
        )
        return _InFlight(table, arrived.numbers[computed.kept], carry)

    def _publish(self, shard: Shard, computed: _InFlight) -> DoneRecord:
        work, store = self._work, self._dataset.store
        # Ray may run a call twice at once, so the attempt's name alone would not keep files apart.
        attempt = f"{work.attempt}-{secrets.token_hex(4)}"
        path = data_path(work.partition_key, work.run_key, shard.id, attempt)
        files = (_write(store, path, computed.table),)
        rejected_files: tuple[DataFile, ...] = ()
        if computed.carry.rejected:
            path = rejected_path(work.run_key, shard.id, attempt)
            rejected_files = (_write(store, path, self._rejected(shard, computed.carry.rejected)),)
        record = DoneRecord(
            run_key=work.run_key,
            shard=shard.id,
            attempt=attempt,
            files=files,
            rejected_files=rejected_files,
            counts=Counts(
                rows_in=shard.rows,
                rows_out=computed.table.num_rows,
                rejected=dict(Counter(row.node for row in computed.carry.rejected)),
                filtered=computed.carry.filtered,
            ),
            statistics=of_table(computed.table),
            seconds=computed.carry.seconds,
        )
        published = self._dataset.write_done(record)
        if published.attempt != attempt:
            for file in (*files, *rejected_files):
                store.delete(file.path)
        return published

    def _rejected(self, shard: Shard, rows: tuple[RejectedRow, ...]) -> pa.Table:
        """Rejected rows with why and what they were; the input is read again, they are few."""
        graph = self._work.plan.graph
        input = read_shard(self._source, shard, graph.input_schema.names, graph.input_schema)
        input = input.take([row.row for row in rows]).combine_chunks()
        batch = input.to_batches()[0]
        return pa.table(
            {
                "key": input.column(graph.key),
                "shard": [shard.id] * len(rows),
                "row": pa.array([row.row for row in rows], pa.int64()),
                "node": [row.node for row in rows],
                "error": [row.error for row in rows],
                "message": [row.message for row in rows],
                "input": batch.to_struct_array(),
            }
        )


def _write(store: Store, path: str, table: pa.Table) -> DataFile:
    data = encode_table(table)
    store.put(path, data)
    return DataFile(path=path, rows=table.num_rows, bytes=len(data))


def shard_rows(shards: tuple[Shard, ...]) -> list[pa.Table]:
    """Shards as they enter the first stage, each a table of one row."""
    return [_row(shard) for shard in shards]


def _row(
    shard: Shard, *, in_flight: _InFlight | None = None, done: DoneRecord | None = None
) -> pa.Table:
    values = {
        "shard": shard.model_dump_json(),
        "rows": None if in_flight is None else _pack(in_flight),
        "carry": None if in_flight is None else _CARRY.dump_json(in_flight.carry).decode(),
        "done": None if done is None else done.model_dump_json(),
    }
    return pa.Table.from_pylist([values], schema=ROW)


def _pack(in_flight: _InFlight) -> bytes:
    table = in_flight.table.append_column(_NUMBER, pa.array(in_flight.numbers, pa.int64()))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _unpack(row: pa.Table) -> _InFlight:
    with pa.ipc.open_stream(row.column("rows")[0].as_buffer()) as reader:
        table = reader.read_all()
    return _InFlight(
        table=table.drop_columns([_NUMBER]),
        numbers=table.column(_NUMBER).to_numpy(),
        carry=_CARRY.validate_json(row.column("carry")[0].as_py()),
    )
