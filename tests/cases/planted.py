"""Bugs that a runtime might have, planted in the one place where it hands its rows over."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def swap_two_rows(table: pa.Table) -> pa.Table:
    rows = list(range(table.num_rows))
    rows[:2] = reversed(rows[:2])
    return table.take(pa.array(rows, pa.int64()))


def drop_a_null(table: pa.Table) -> pa.Table:
    columns = [pc.fill_null(c, 0) if pa.types.is_integer(c.type) else c for c in table.columns]
    return pa.table(columns, schema=table.schema)


def cast_an_int(table: pa.Table) -> pa.Table:
    columns = [
        c.cast(pa.float64(), safe=False).cast(pa.int64()) if pa.types.is_integer(c.type) else c
        for c in table.columns
    ]
    return pa.table(columns, schema=table.schema)


BUGS: dict[str, Callable[[pa.Table], pa.Table]] = {
    bug.__name__: bug for bug in (swap_two_rows, drop_a_null, cast_an_int)
}


def plant_everywhere() -> None:
    """Make every worker and replica of a cluster wrong for runs and applications named after a
    bug; Ray calls this when it starts a process."""
    sink: Any = import_module("graphs.storage.sinks.parquet").ParquetWriter
    answering: Any = import_module("graphs.runtimes.ray_serve.answering")
    write, rows_of = sink.write, answering.rows_of

    def written(self: Any, table: pa.Table, **names: str) -> Any:
        return write(self, _bugged(self._stores[0].uri, table), **names)

    def answered(table: pa.Table) -> Any:
        from ray import serve

        return rows_of(_bugged(serve.get_replica_context().app_name, table))

    sink.write = written
    answering.rows_of = answered


def _bugged(place: str, table: pa.Table) -> pa.Table:
    for name, bug in BUGS.items():
        if name in place:
            return bug(table)
    return table
