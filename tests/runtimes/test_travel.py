"""A shard between two stages: one row, nothing lost, nothing copied."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from graphs.runtimes.kernel import RejectedRow
from graphs.runtimes.ray_data import travel
from graphs.runtimes.ray_data.travel import Carry, InFlight
from graphs.spec import Counts, NodeUsage, Shard, SkippedFile, Usage

SHARD = Shard(id="00007", pieces=())
CARRY = Carry(
    rows_in=9,
    rejected=(RejectedRow(3, "double", "ValueError", "-4 is negative"),),
    filtered={"long": 2},
    skipped=(SkippedFile(path="bad.parquet", error="no footer"),),
    usage=Usage(requests=3, nodes={"double": NodeUsage(rows=9, seconds=0.5)}),
)


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"a": [1, None, 3], "b": ["x", "y", None]}),
        pa.table({"a": pa.array([], pa.list_(pa.float32())), "b": pa.array([], pa.string())}),
        pa.table({"a": pa.chunked_array([[1], [], [2, 3]]), "b": ["x", "y", "z"]}),
        pa.table(
            {
                "a": pa.array([[1.0], [2.0, 3.0], None], pa.list_(pa.float32())),
                "b": pa.array([{"c": 1}, None, {"c": 2}], pa.struct({"c": pa.int8()})),
            },
        ),
        pa.table({"a": pa.array(["x", "y", "x"]).dictionary_encode()}),
    ],
    ids=["nulls", "no rows", "chunks", "nested", "dictionary"],
)
def test_what_is_unpacked_is_what_was_sent(table: pa.Table) -> None:
    numbers = np.arange(table.num_rows, dtype=np.int64) * 2
    row = travel.travelling_row(SHARD, InFlight(table, numbers, CARRY))
    assert row.num_rows == 1
    assert travel.shard_of(row) == SHARD
    assert not travel.is_done(row)
    # As one of several rows of a block, as Ray may hand it over
    others = travel.travelling_row(SHARD, InFlight(table.slice(0, 1), numbers[:1], CARRY))
    back = travel.unpacked(pa.concat_tables([others, row]).combine_chunks().slice(1, 1))
    assert back.table.equals(table)
    assert back.table.schema == table.schema
    assert back.numbers.tolist() == numbers.tolist()
    assert back.carry == CARRY


def test_unpacking_copies_no_row() -> None:
    numbers = np.arange(1_000_000, dtype=np.int64)
    table = pa.table({"a": numbers})
    row = travel.travelling_row(SHARD, InFlight(table, numbers, Carry(1_000_000)))
    before = pa.total_allocated_bytes()
    back = travel.unpacked(row)
    assert pa.total_allocated_bytes() - before < 100_000
    assert back.table.num_rows == 1_000_000


def test_the_counts_of_a_shard_name_node_and_error_of_what_was_rejected() -> None:
    assert CARRY.counts(rows_out=6) == Counts(
        rows_in=9,
        rows_out=6,
        rejected={"double": 1},
        filtered={"long": 2},
        errors={"double": {"ValueError": 1}},
    )
    assert CARRY.counts(rows_out=6).add_up
