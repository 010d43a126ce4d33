"""Structural rules of a graph: one function, one rule, every problem found.

A rule takes a graph and yields one line of text for each problem: what is wrong, where (node, port
and source line) and what to do. ``check`` applies every rule to the graph and to the bodies of its
control nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from graphs.checks import code, rows, targets, values, wiring
from graphs.errors import CheckFailed
from graphs.ir import Graph

Check = Callable[[Graph], Iterator[str]]

CHECKS: tuple[Check, ...] = (
    wiring.key_is_an_input,
    wiring.key_is_a_scalar,
    wiring.key_goes_out_unchanged,
    wiring.names_are_plain,
    wiring.column_names_are_unique,
    wiring.node_names_are_unique,
    wiring.edges_have_ends,
    wiring.inputs_are_fed_once,
    wiring.inputs_are_used,
    wiring.graph_is_acyclic,
    values.types_match,
    values.outputs_are_typed,
    values.defaults_fit,
    values.constants_fit,
    values.parameters_agree,
    rows.cases_fit_the_column,
    rows.cases_agree,
    code.code_is_importable,
    code.code_is_a_node,
    code.code_has_no_closure,
    code.artifacts_exist,
    code.constructor_takes_the_parameters,
    values.resources_are_possible,
    values.bounds_are_possible,
    values.tolerances_name_float_outputs,
)

TARGET_CHECKS: dict[str, tuple[Check, ...]] = {
    "inline": (),
    "offline": (targets.types_fit_parquet, targets.code_is_not_in_main),
    "online": (
        targets.types_fit_json,
        targets.names_are_not_reserved,
        targets.code_is_not_in_main,
    ),
}
"""What a target cannot do, declared: refused when compiling for it."""


def check(graph: Graph, target: str = "inline") -> None:
    """Judge a graph by every rule of ``CHECKS`` and those of its target.

    Raises:
        CheckFailed: with every problem of every rule, not just the first.
    """
    rules = (*CHECKS, *TARGET_CHECKS[target])
    problems = [
        f"{place}{text}"
        for place, scope in _scopes(graph, "", set())
        for rule in rules
        for text in rule(scope)
    ]
    if problems:
        source = str(graph.source) if graph.source else ""
        raise CheckFailed(graph.ref or graph.name, list(dict.fromkeys(problems)), source)


def _scopes(graph: Graph, place: str, seen: set[int]) -> Iterator[tuple[str, Graph]]:
    """The graph and every body in it, each with where it is; a graph used twice comes once."""
    yield place, graph
    for node in graph.nodes:
        for label, body in node.bodies:
            if id(body) not in seen:
                seen.add(id(body))
                case = f", {_CASES.get(label, f'case {label}')}" if node.kind == "switch" else ""
                yield from _scopes(body, f"{place}in {node.name!r}{case}: ", seen)


_CASES = {"default": "the default"}


__all__ = ["CHECKS", "TARGET_CHECKS", "Check", "check"]
