"""What the kernel adds to ten trivial Arrow functions called by hand on the same batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.measure import Measure, pair
from graphs import Column, compile, graph, node
from graphs.runtimes.kernel import Kernel

NODES = 10
BATCH_ROWS = 10_000
ROWS, QUICK_ROWS = 1_000_000, 100_000


@node(inputs={"number": pa.float64()}, outputs={"number": pa.float64()})
def step(number: pa.Array) -> Any:
    return pc.add(pc.multiply(number, 1.5), 1.0)


@graph(key="id", inputs={"id": pa.int64(), "number": pa.float64()})
def chain(number: Column) -> dict[str, Column]:
    for _ in range(NODES):
        number = step(number)
    return {"result": number}


def by_hand(table: pa.Table) -> pa.Table:
    parts = []
    for batch in table.to_batches(max_chunksize=BATCH_ROWS):
        number = batch.column("number")
        for _ in range(NODES):
            number = step(number)
        parts.append(pa.table({"id": batch.column("id"), "result": number}))
    return pa.concat_tables(parts)


def measures(quick: bool) -> Iterator[Measure]:
    """``inline.kernel_vs_by_hand``: seconds for a million rows (a tenth with ``quick``)."""
    rows = QUICK_ROWS if quick else ROWS
    table = pa.table({"id": np.arange(rows), "number": np.random.default_rng(0).random(rows)})
    kernel = Kernel(chain.graph, compile(chain.graph, "inline").nodes)

    def ours() -> pa.Table:
        return kernel.select_outputs(kernel.run(table, BATCH_ROWS).table)

    assert ours().equals(by_hand(table))
    yield pair("inline.kernel_vs_by_hand", ours, lambda: by_hand(table), runs=5)
