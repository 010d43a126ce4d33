"""The one way a batch is computed, whatever the runtime.

A kernel holds a few nodes of a graph, their models loaded. Given a batch it calls each node on
the columns it reads, checks what comes back against the declaration, and isolates rows that make
a node fail by halving the batch until the row is found.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from graphs.errors import NodeError, SchemaMismatch
from graphs.ir import GRAPH, Graph, Node, column_name, topological_order, type_name, types_agree
from graphs.runtimes import views

_MESSAGE_LENGTH = 500


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that a node could not process."""

    row: int
    """Its position in the batch that went in."""
    node: str
    error: str
    """Name of the exception's type."""
    message: str


@dataclass(frozen=True, slots=True)
class Computed:
    """What became of a batch."""

    table: pa.Table
    """For the rows that survived, in order: the columns, those that went in among them, that a node
    outside the kernel or the graph's outputs read."""
    kept: np.ndarray[Any, np.dtype[np.int64]]
    """int64 positions, in the batch that went in, of the rows that survived."""
    rejected: tuple[RejectedRow, ...]
    seconds: dict[str, float]
    """Time spent in each node, seconds."""


class Kernel:
    """Some nodes of a graph, ready to compute: their code imported, their models loaded.

    Args:
        graph: the whole graph.
        node_names: the nodes this kernel holds.

    Raises:
        NodeError: a model could not be loaded.
    """

    def __init__(self, graph: Graph, node_names: Sequence[str]) -> None:
        self.graph = graph
        self._nodes = [node for node in topological_order(graph) if node.name in set(node_names)]
        self._calls = {node.name: _load(graph, node) for node in self._nodes}
        self._reads = {
            node.name: {edge.target_port: column_name(edge) for edge in graph.edges_into(node.name)}
            for node in self._nodes
        }
        self._dead_after = self._last_reads()

    def run(self, batch: pa.Table, batch_rows: int | None = None) -> Computed:
        """Compute a batch.

        Args:
            batch: a column per graph input or earlier node output, named by ``column_name``.
            batch_rows: rows a node gets at once; the whole batch when not given.

        Raises:
            NodeError: a node broke its own declaration (names, types or row count).
        """
        size = batch_rows or max(batch.num_rows, 1)
        starts = range(0, max(batch.num_rows, 1), size)
        parts = [self._run(batch.slice(start, size), start) for start in starts]
        if len(parts) == 1:
            return parts[0]
        return Computed(
            table=pa.concat_tables([part.table for part in parts]),
            kept=np.concatenate([part.kept for part in parts]),
            rejected=tuple(row for part in parts for row in part.rejected),
            seconds={n.name: sum(part.seconds[n.name] for part in parts) for n in self._nodes},
        )

    def select_outputs(self, table: pa.Table) -> pa.Table:
        """The graph's outputs, by port name, out of a computed table that holds them all."""
        columns = {edge.target_port: column_name(edge) for edge in self.graph.edges_into(GRAPH)}
        schema = self.graph.output_schema
        return pa.table([table.column(columns[name]) for name in schema.names], schema=schema)

    def _last_reads(self) -> dict[str, list[str]]:
        """Columns that nobody reads any more after a node, so that memory is freed on the way."""
        here = {node.name for node in self._nodes}
        leaving = {column_name(edge) for edge in self.graph.edges if edge.target not in here}
        last: dict[str, str] = {}
        for node in self._nodes:
            last |= dict.fromkeys(self._reads[node.name].values(), node.name)
            last |= {f"{node.name}.{port.name}": node.name for port in node.outputs}
        dead: dict[str, list[str]] = {name: [] for name in here}
        for column, node_name in last.items():
            if column not in leaving:
                dead[node_name].append(column)
        return dead

    def _run(self, batch: pa.Table, start: int) -> Computed:
        columns = {name: _chunk(batch.column(name)) for name in batch.column_names}
        kept = np.arange(start, start + batch.num_rows, dtype=np.int64)
        rejected: list[RejectedRow] = []
        seconds = {}
        for node in self._nodes:
            began = time.perf_counter()
            arguments = {port: columns[name] for port, name in self._reads[node.name].items()}
            call = self._calls[node.name]
            good, outputs, failures = _isolate(node, call, arguments, len(kept))
            if failures:
                rejected += [
                    RejectedRow(int(kept[row]), node.name, type(e).__name__, _message(e))
                    for row, e in failures
                ]
                columns = {name: column.take(pa.array(good)) for name, column in columns.items()}
                kept = kept[good]
            columns |= {f"{node.name}.{port}": column for port, column in outputs.items()}
            for name in self._dead_after[node.name]:
                del columns[name]
            seconds[node.name] = time.perf_counter() - began
        return Computed(pa.table(columns), kept, tuple(rejected), seconds)


Outputs = dict[str, pa.Array]
Call = Callable[[dict[str, pa.Array], int], Outputs]


def _isolate(
    node: Node, call: Call, arguments: dict[str, pa.Array], rows: int
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], Outputs, list[tuple[int, Exception]]]:
    """Compute a batch; halve it where it fails until each failing row stands alone."""
    good: list[tuple[int, int]] = []
    parts: list[Outputs] = []
    failures: list[tuple[int, Exception]] = []
    pending = [(0, rows)]
    while pending:
        start, stop = pending.pop()
        try:
            outputs = call(
                arguments
                if stop - start == rows
                else {name: array.slice(start, stop - start) for name, array in arguments.items()},
                stop - start,
            )
        except NodeError:
            raise
        except Exception as error:
            if stop - start <= 1:
                failures.append((start, error))
            else:
                middle = (start + stop) // 2
                pending += [(middle, stop), (start, middle)]
            continue
        good.append((start, stop))
        parts.append(outputs)
    if not parts:
        parts = [{port.name: pa.array([], port.type) for port in node.outputs}]
    positions = [np.arange(start, stop, dtype=np.int64) for start, stop in good]
    merged = parts[0] if len(parts) == 1 else _concatenate(parts)
    return np.concatenate(positions or [np.empty(0, np.int64)]), merged, failures


def _concatenate(parts: list[Outputs]) -> Outputs:
    return {name: pa.concat_arrays([part[name] for part in parts]) for name in parts[0]}


def _load(graph: Graph, node: Node) -> Call:
    """A function from Arrow columns to checked Arrow columns; models are loaded here."""
    module, _, qualname = node.ref.partition(":")
    target: Any = importlib.import_module(module)
    for part in qualname.split("."):
        target = getattr(target, part)
    if node.kind == "model":
        model = target(**json.loads(node.parameters))
        try:
            model.load()
        except Exception as error:
            raise NodeError(
                f"loading failed: {type(error).__name__}: {error}", _where(graph, node)
            ) from error
        function = model.predict
    else:
        function = target.function
    return partial(_call, _where(graph, node), node, function)


def _call(
    where: str, node: Node, function: Callable[..., Any], arguments: dict[str, pa.Array], rows: int
) -> Outputs:
    if rows == 0:
        return {port.name: pa.array([], port.type) for port in node.outputs}
    viewed = {name: views.view(column, node.view) for name, column in arguments.items()}
    returned = function(**viewed)
    return {
        port.name: _checked(where, port.name, port.type, value, rows)
        for port, value in _by_port(where, node, returned)
    }


def _by_port(where: str, node: Node, returned: Any) -> Iterator[tuple[Any, Any]]:
    names = [port.name for port in node.outputs]
    if isinstance(returned, dict):
        if sorted(returned) != sorted(names):
            raise NodeError(
                f"returned columns {sorted(returned)}, declares {sorted(names)}",
                where,
                "Return exactly the declared outputs",
            )
        return ((port, returned[port.name]) for port in node.outputs)
    values = returned if len(names) > 1 else (returned,)
    if not isinstance(values, tuple) or len(values) != len(names):
        raise NodeError(
            f"returned {type(returned).__name__}, declares the columns {names}",
            where,
            "Return a tuple in that order, or a dict",
        )
    return zip(node.outputs, values, strict=True)


def _checked(where: str, port: str, declared: pa.DataType, value: Any, rows: int) -> pa.Array:
    try:
        column = _chunk(views.column(value, declared))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise NodeError(
            f"output {port!r} is declared {type_name(declared)}: {error}", where
        ) from error
    is_exact = column.type == declared
    if not is_exact and not types_agree(column.type, declared):
        raise NodeError(
            f"output {port!r} is declared {type_name(declared)}, got {type_name(column.type)}",
            where,
            "Cast it in the node, or change the declaration",
        )
    if len(column) != rows:
        raise NodeError(
            f"output {port!r} has {len(column)} rows for {rows} rows in",
            where,
            "A node gives one row for each row",
        )
    return column if is_exact else column.cast(declared)


def _chunk(column: Any) -> pa.Array:
    """One array out of one or many chunks."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _where(graph: Graph, node: Node) -> str:
    return f"graph {graph.name!r}, node {node.name!r}"


def _message(error: Exception) -> str:
    return str(error)[:_MESSAGE_LENGTH]


def check_input(graph: Graph, schema: pa.Schema, where: str) -> None:
    """Compare the schema of some input with what a graph reads.

    Raises:
        SchemaMismatch: columns are missing or have another type; names each.
    """
    problems = []
    for port in graph.inputs:
        index = schema.get_field_index(port.name)
        if index < 0:
            problems.append(f"column {port.name!r} ({type_name(port.type)}) is missing")
        elif not types_agree(schema.field(index).type, port.type):
            problems.append(
                f"column {port.name!r} is {type_name(schema.field(index).type)}, "
                f"the graph reads {type_name(port.type)}"
            )
    if problems:
        raise SchemaMismatch(
            "; ".join(problems), where, f"Graph {graph.name!r} needs these columns as it names them"
        )
