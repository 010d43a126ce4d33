"""A case: a graph, rows in, and what must become of each of them, bit for bit, on every runtime."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from graphs.authoring import GraphFunction
from graphs.ir import type_name

Columns = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Case:
    """What a graph makes of some rows. Keys are unique, so they tell rows apart."""

    name: str
    """A sentence."""
    graph: GraphFunction
    rows: Columns
    """Input columns, in the graph's types; one that may be missing may be left out."""
    out: Columns
    rejected: tuple[tuple[int, str, str], ...] = ()
    """(position of the row, path of the node, name of the error)."""
    filtered: Mapping[str, int] = field(default_factory=dict)
    """Rows dropped, per filter."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Run parameters; a request has none, so a case that sets some is not for online."""
    stages: int = 1
    """How many stages the graph has offline."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Target to the problem for which the graph does not compile for it."""

    @property
    def ref(self) -> str:
        """The graph as a run names it."""
        return f"{self.graph.function.__module__}:{self.graph.function.__name__}"

    @property
    def table(self) -> pa.Table:
        """The rows that go in."""
        schema = self.graph.graph.input_schema
        fields = [pa.field(f.name, f.type) for f in schema if f.name in self.rows]
        return pa.table(dict(self.rows), schema=pa.schema(fields))

    @property
    def wanted(self) -> pa.Table:
        """The rows that must come out."""
        return pa.table(dict(self.out), schema=self.graph.graph.output_schema)


@dataclass(frozen=True)
class Outcome:
    """What a runtime made of the rows of a case."""

    table: pa.Table
    rejected: tuple[tuple[int, str, str, str], ...]
    """(position of the row, path of the node, name of the error, message), by position."""
    filtered: Mapping[str, int]
    """Rows dropped, per filter; under ``""`` where the runtime does not say by which."""


def differences(case: Case, outcome: Outcome) -> list[str]:
    """Where an outcome is not what the case says, as lines; none if it is."""
    found = table_differences(case.wanted, outcome.table)
    rejected = tuple(row[:3] for row in outcome.rejected)
    if rejected != case.rejected:
        found.append(f"rejected: {rejected}, not {case.rejected}")
    wanted = dict(case.filtered)
    if "" in outcome.filtered:
        wanted = {"": sum(wanted.values())}
    if dict(outcome.filtered) != wanted:
        found.append(f"filtered: {dict(outcome.filtered)}, not {wanted}")
    return found


def table_differences(wanted: pa.Table, given: pa.Table) -> list[str]:
    """Where two tables are not equal bit for bit, columns, types and order of rows included."""
    schemas = [[(f.name, type_name(f.type)) for f in table.schema] for table in (wanted, given)]
    if schemas[0] != schemas[1]:
        return [f"columns: {schemas[1]}, not {schemas[0]}"]
    if wanted.num_rows != given.num_rows:
        return [f"{given.num_rows} rows, not {wanted.num_rows}"]
    return [
        f"row {row}: {name} is {str(got)[:80]}, not {str(want)[:80]}"
        for name in wanted.column_names
        for row, (want, got) in enumerate(
            zip(wanted[name].to_pylist(), given[name].to_pylist(), strict=True)
        )
        if exact(want) != exact(got)
    ]


def exact(value: Any) -> Any:
    """A value that equals another's only if both are the same bit for bit: -0.0 is not 0.0, True
    is not 1, and NaN is NaN."""
    if isinstance(value, float):
        return "float", "nan" if math.isnan(value) else struct.pack("<d", value)
    if isinstance(value, dict):
        return "struct", tuple((name, exact(item)) for name, item in value.items())
    if isinstance(value, list):
        return "list", tuple(exact(item) for item in value)
    return type(value).__name__, str(value), value
