"""How a shard crosses from one stage to the next: as one row, its own rows nested inside.

Ray Data may split and join blocks between rows, never inside one, so a shard cannot come apart.
The nesting copies nothing: the shard's columns become the children of a list of structs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter

from graphs.runtimes.kernel import RejectedRow
from graphs.spec import Counts, DoneRecord, Shard, SkippedFile, Usage

_NUMBER = "#row"
"""Column of a travelling table: a row's position in its shard. No port can have that name."""

Positions = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Carry:
    """What happened to a shard so far."""

    rows_in: int
    rejected: tuple[RejectedRow, ...] = ()
    """``row`` is the position in the shard."""
    filtered: dict[str, int] | None = None
    piece_rows: tuple[int, ...] = ()
    """Rows of each piece of the shard, in order."""
    skipped: tuple[SkippedFile, ...] = ()
    usage: Usage = field(default_factory=Usage)

    def counts(self, rows_out: int) -> Counts:
        """Where the shard's rows went, given how many are left at the end."""
        # Rows in as they were read, not as they add up: that is for the ledger to find out.
        rejected = [(row.node, row.error) for row in self.rejected]
        counts = Counts.of(rows_out, rejected, self.filtered or {})
        return counts.model_copy(update={"rows_in": self.rows_in})


_CARRY = TypeAdapter(Carry)


@dataclass(frozen=True, slots=True)
class InFlight:
    """A shard's surviving rows, their positions in the shard, and its history."""

    table: pa.Table
    numbers: Positions
    carry: Carry


def waiting_row(shard: Shard) -> pa.Table:
    """A shard on its way to the first stage."""
    return _row(shard, pa.nulls(1), None, None)


def done_row(shard: Shard, done: DoneRecord) -> pa.Table:
    """A shard whose done-record is published."""
    return _row(shard, pa.nulls(1), None, done.model_dump_json())


def travelling_row(shard: Shard, in_flight: InFlight) -> pa.Table:
    """A shard between two stages."""
    carry = _CARRY.dump_json(in_flight.carry).decode()
    return _row(shard, _nested(in_flight), carry, None)


def shard_of(row: pa.Table) -> Shard:
    """Which shard a row stands for."""
    return Shard.model_validate_json(row.column("shard")[0].as_py())


def is_done(row: pa.Table) -> bool:
    """Whether an earlier stage found the shard's done-record, so that nothing is left to do."""
    return bool(row.column("done")[0].is_valid)


def unpacked(row: pa.Table) -> InFlight:
    """The shard in a travelling row, without copying it."""
    nested = row.column("rows").chunk(0).flatten()
    table = pa.Table.from_arrays(nested.flatten(), schema=pa.schema(list(nested.type)))
    return InFlight(
        table=table.drop_columns([_NUMBER]),
        numbers=table.column(_NUMBER).to_numpy(),
        carry=_CARRY.validate_json(row.column("carry")[0].as_py()),
    )


def _nested(in_flight: InFlight) -> pa.Array:
    table = in_flight.table.append_column(_NUMBER, pa.array(in_flight.numbers, pa.int64()))
    table = table.combine_chunks()
    columns = [
        column.chunk(0) if column.num_chunks else pa.array([], column.type)
        for column in table.columns
    ]
    rows = pa.StructArray.from_arrays(columns, fields=list(table.schema))
    return pa.LargeListArray.from_arrays(pa.array([0, len(rows)], pa.int64()), rows)


def _row(shard: Shard, rows: pa.Array, carry: str | None, done: str | None) -> pa.Table:
    return pa.table(
        {
            "shard": pa.array([shard.model_dump_json(exclude_defaults=True)], pa.string()),
            "rows": rows,
            "carry": pa.array([carry], pa.string()),
            "done": pa.array([done], pa.string()),
        }
    )
