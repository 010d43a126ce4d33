"""A kernel: some nodes of a graph, made ready, run over batches one after the other."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from graphs.errors import GraphError, NodeError, SchemaMismatch
from graphs.ir import (
    GRAPH,
    Graph,
    Node,
    column_name,
    every_node,
    scalar_of,
    topological_order,
    type_name,
    types_agree,
)
from graphs.runtimes.kernel import views
from graphs.runtimes.kernel.calling import Calling
from graphs.runtimes.kernel.control import (
    RunBody,
    filtering,
    mapping_items,
    repeating,
    requiring,
    switching,
    with_missing,
)
from graphs.runtimes.kernel.steps import (
    Outputs,
    Positions,
    RejectedRow,
    Step,
    Stepped,
    one_chunk,
    take,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Computed:
    """What became of a batch."""

    table: pa.Table
    """For the rows that survived, in order: the columns, those that went in among them, that a node
    outside the kernel or the graph's outputs read."""
    kept: Positions
    """int64 positions, in the batch that went in, of the rows that survived."""
    rejected: tuple[RejectedRow, ...]
    filtered: dict[str, int] = field(default_factory=dict)
    """Rows dropped on purpose, per filter."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Time spent in each node, seconds."""
    rows: dict[str, int] = field(default_factory=dict)
    """Rows that each node was given."""


@dataclass(frozen=True, slots=True)
class Calculating:
    """What a kernel is busy with."""

    node: str
    rows: int
    since: float
    """Of ``time.perf_counter``."""


class Kernel:
    """Some nodes of a graph, ready to compute: their code imported, their models loaded.

    Args:
        graph: the whole graph.
        node_names: the nodes this kernel holds.
        parameters: run parameters by name; one that is missing has its default.
        hopeless_after: rows that must fail in a node, with none succeeding, for the run to be
            given up; ``None`` rejects every row, however many.
        title: how errors name the graph, such as ``graph 'topics' at version …``; by its name
            when not given.
        path: for the body of a control node, where it is.

    Raises:
        NodeError: a model could not be loaded.
    """

    def __init__(
        self,
        graph: Graph,
        node_names: Sequence[str],
        *,
        parameters: Mapping[str, Any] | None = None,
        hopeless_after: int | None = None,
        title: str = "",
        path: str = "",
    ) -> None:
        self.graph = graph
        self._title = title or f"graph {graph.name!r}"
        self._parameters = dict(parameters or {})
        self._hopeless_after = hopeless_after
        self._path = path
        self.busy_with: Calculating | None = None
        """For watchers in other threads; ``None`` between batches."""
        wanted = set(node_names)
        self._nodes = [node for node in topological_order(graph) if node.name in wanted]
        self._steps = {node.name: self._step(node) for node in self._nodes}
        self._reads: dict[str, dict[str, str]] = {node.name: {} for node in self._nodes}
        for edge in graph.edges:
            if edge.target in self._reads:
                self._reads[edge.target][edge.target_port] = column_name(edge)
        self._outputs = {e.target_port: column_name(e) for e in graph.edges_into(GRAPH)}
        self._dead_after = self._last_reads()
        # What nobody reads is left behind at the door.
        self._wanted = {column_name(edge) for edge in graph.edges}

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
            filtered=_summed([part.filtered for part in parts]),
            seconds=_summed([part.seconds for part in parts]),
            rows=_summed([part.rows for part in parts]),
        )

    def warm_up(self) -> None:
        """Show each node one blank row, so that the first caller does not pay for what models do
        lazily. Each on its own: a row that goes through all of them may be dropped on the way."""
        types = {column_name(edge): self.graph.type_of(edge) for edge in self.graph.edges}
        for node in self._nodes:
            blank = {
                port: views.blank(types[name]) for port, name in self._reads[node.name].items()
            }
            try:
                self._steps[node.name](blank, 1)
            except NodeError as error:
                log.info("a blank row is beyond this node, which stays cold: %s", error)

    def select_outputs(self, table: pa.Table) -> pa.Table:
        """The graph's outputs, by port name, out of a computed table that holds them all."""
        schema = self.graph.output_schema
        columns = [table.column(self._outputs[name]) for name in schema.names]
        return pa.table(columns, schema=schema)

    def _run(self, batch: pa.Table, start: int) -> Computed:
        columns = {
            name: one_chunk(batch.column(name))
            for name in batch.column_names
            if name in self._wanted
        }
        seconds: dict[str, float] = {}
        rows: dict[str, int] = {}
        try:
            stepped = self._carry_out(columns, batch.num_rows, seconds, rows)
        finally:
            self.busy_with = None
        kept = np.arange(batch.num_rows) if stepped.kept is None else stepped.kept
        rejected = stepped.rejected
        if start:
            rejected = [RejectedRow(r.row + start, r.node, r.error, r.message) for r in rejected]
        table = pa.table(stepped.outputs)
        return Computed(table, kept + start, tuple(rejected), stepped.filtered, seconds, rows)

    def _carry_out(
        self, columns: Outputs, rows: int, seconds: dict[str, float], given: dict[str, int]
    ) -> Stepped:
        """Every node in order, on the rows that are left."""
        kept: Positions | None = None
        done = Stepped({})
        for node in self._nodes:
            began = time.perf_counter()
            arguments = {port: columns[name] for port, name in self._reads[node.name].items()}
            left = rows if kept is None else len(kept)
            self.busy_with = Calculating(node.name, left, began)
            step = self._steps[node.name](arguments, left)
            if step.rejected:
                done.rejected += [
                    r if kept is None else RejectedRow(int(kept[r.row]), r.node, r.error, r.message)
                    for r in step.rejected
                ]
            for name, count in step.filtered.items():
                done.filtered[name] = done.filtered.get(name, 0) + count
            if step.kept is not None and len(step.kept) < left:
                columns = take(columns, step.kept)
                kept = step.kept if kept is None else kept[step.kept]
            columns |= {f"{node.name}.{port}": column for port, column in step.outputs.items()}
            for name in self._dead_after[node.name]:
                del columns[name]
            seconds[node.name] = time.perf_counter() - began
            given[node.name] = left
        done.rejected.sort(key=lambda row: row.row)
        done.outputs, done.kept = columns, kept
        return done

    def _step(self, node: Node) -> Step:
        path = f"{self._path}{node.name}"
        match node.kind:
            case "function" | "model":
                where = f"{self._title}, node {path!r}"
                return Calling(node, path, where, self._hopeless_after)
            case "filter":
                return filtering(node, path)
            case "require":
                return requiring(node, path)
            case "constant":
                return repeating(node, json.loads(node.parameters)["value"])
            case "parameter":
                told = json.loads(node.parameters)
                return repeating(node, self._parameters.get(told["name"], told["default"]))
            case "switch":
                return switching(node, path, lambda body: self._body(body, f"{path}/"))
            case "each":
                return mapping_items(node, path, lambda body: self._body(body, f"{path}/"))
            case "graph":
                ((_, body),) = node.bodies
                return with_missing(body, self._body(body, f"{path}/"))

    def _body(self, body: Graph, path: str) -> RunBody:
        kernel = Kernel(
            body,
            [node.name for node in body.nodes],
            parameters=self._parameters,
            hopeless_after=self._hopeless_after,
            path=path,
            title=self._title,
        )

        def run(columns: Outputs, rows: int) -> Stepped:
            done = kernel._carry_out(dict(columns), rows, {}, {})
            done.outputs = {port: done.outputs[name] for port, name in kernel._outputs.items()}
            return done

        return run

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


def _summed(parts: list[dict[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total.get(name, 0) + value
    return total


def check_input(graph: Graph, schema: pa.Schema, where: str) -> None:
    """Compare the schema of some input with what a graph reads.

    Raises:
        SchemaMismatch: columns are missing or have another type; names each.
    """
    problems = []
    for port in graph.inputs:
        index = schema.get_field_index(port.name)
        if schema.names.count(port.name) > 1:
            problems.append(f"column {port.name!r} is there {schema.names.count(port.name)} times")
        elif index < 0 and port.default is None:
            problems.append(f"column {port.name!r} ({type_name(port.type)}) is missing")
        elif index >= 0 and not types_agree(schema.field(index).type, port.type):
            problems.append(
                f"column {port.name!r} is {type_name(schema.field(index).type)}, "
                f"the graph reads {type_name(port.type)}"
            )
    if problems:
        raise SchemaMismatch(
            "; ".join(problems), where, f"Graph {graph.name!r} needs these columns as it names them"
        )


def check_parameters(graph: Graph, given: Mapping[str, Any]) -> None:
    """Compare run parameters with what a graph declares.

    Raises:
        GraphError: one is unknown, or its value does not fit its type; names each.
    """
    types = {
        json.loads(node.parameters)["name"]: node.outputs[0].type
        for node in every_node(graph)
        if node.kind == "parameter"
    }
    problems = [f"{name!r} is unknown" for name in given if name not in types]
    for name in given.keys() & types.keys():
        try:
            scalar_of(given[name], types[name])
        except ValueError:
            problems.append(f"{name!r} is {given[name]!r}, not {type_name(types[name])}")
    if problems:
        raise GraphError(
            f"run parameters: {'; '.join(sorted(problems))}",
            f"graph {graph.name!r}",
            f"It declares {sorted(types)}",
        )
