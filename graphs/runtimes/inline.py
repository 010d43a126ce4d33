"""Run a graph in this process: the meaning of a graph, and what other runtimes are tested by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from graphs.authoring import GraphFunction
from graphs.compiler import compile
from graphs.ir import Graph, with_defaults
from graphs.planners.inline import InlinePlan
from graphs.runtimes.kernel import Computed, Kernel, check_input, check_parameters

HOPELESS_AFTER = 100
"""Rows that must fail in a node, with none succeeding, for a run to be given up."""


def run_plan(
    plan: InlinePlan, table: pa.Table, parameters: Mapping[str, Any] | None = None
) -> Computed:
    """Carry out a plan over rows of the graph's input schema; see :func:`run`.

    Run parameters are taken as they are: whether the graph has them is for ``check_parameters`` to
    say, which needs the graph as authored, since a plan lacks those that nothing reads.
    """
    check_input(plan.graph, table.schema, "the table")
    kernel = Kernel(plan.graph, plan.nodes, parameters=parameters, hopeless_after=HOPELESS_AFTER)
    computed = kernel.run(with_defaults(table, plan.graph.input_schema), plan.profile.batch_rows)
    return replace(computed, table=kernel.select_outputs(computed.table))


def run(
    graph: Graph | GraphFunction,
    table: pa.Table,
    *,
    parameters: Mapping[str, Any] | None = None,
) -> Computed:
    """Run a graph over a table in this process.

    Args:
        graph: the graph.
        table: rows with at least the graph's input columns.
        parameters: values of run parameters that differ from their defaults.

    Returns:
        ``table``, the rows of ``graph.output_schema`` in order; the rows that were ``rejected``,
        and how many were ``filtered``.

    Raises:
        CheckFailed, GraphError, SchemaMismatch: the graph, a parameter or the table is wrong.
        NodeError: a node breaks its declaration, or fails for every one of many rows.
    """
    authored = graph.graph if isinstance(graph, GraphFunction) else graph
    plan = compile(authored, "inline")
    check_parameters(authored, parameters or {})
    return run_plan(plan, table, parameters)
