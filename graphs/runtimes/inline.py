"""Run a graph in this process: the meaning of a graph, and what other runtimes are tested by."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from graphs.authoring import GraphFunction
from graphs.compiler import compile
from graphs.ir import Graph
from graphs.planners.inline import InlinePlan
from graphs.runtimes.kernel import Computed, Kernel, check_input


def run_plan(plan: InlinePlan, table: pa.Table) -> Computed:
    """Carry out a plan over rows of the graph's input schema; see :func:`run`."""
    check_input(plan.graph, table.schema, "the table")
    kernel = Kernel(plan.graph, plan.nodes)
    names = [port.name for port in plan.graph.inputs]
    computed = kernel.run(table.select(names), plan.profile.batch_rows)
    return replace(computed, table=kernel.select_outputs(computed.table))


def run(graph: Graph | GraphFunction, table: pa.Table) -> Computed:
    """Run a graph over a table in this process.

    Args:
        graph: the graph.
        table: rows with at least the graph's input columns.

    Returns:
        ``table``, the rows of ``graph.output_schema`` in order, and what was ``rejected``.

    Raises:
        CheckFailed, SchemaMismatch, NodeError: the graph, the table or a node is wrong.
    """
    authored = graph.graph if isinstance(graph, GraphFunction) else graph
    return run_plan(compile(authored, "inline"), table)


def run_table(graph: Graph, table: pa.Table) -> Computed:
    """See :func:`run`."""
    return run(graph, table)
