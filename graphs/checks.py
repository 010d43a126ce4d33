"""Structural rules of a graph: one function, one rule, every problem found.

A check takes a graph and yields one line of text for each problem: what is wrong, where (node,
port and source line) and what to do.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable, Iterator

from graphs.errors import CheckFailed
from graphs.ir import (
    GRAPH,
    CycleError,
    Graph,
    Node,
    artifact_path,
    topological_order,
    type_name,
    types_agree,
)

Check = Callable[[Graph], Iterator[str]]


def at(node: Node) -> str:
    """A node as an error names it: its name and where the author called it."""
    return f"node {node.name!r} ({node.source})" if node.source else f"node {node.name!r}"


def key_is_an_input(graph: Graph) -> Iterator[str]:
    names = [port.name for port in graph.inputs]
    if graph.key not in names:
        yield f"key {graph.key!r} is not an input; choose one of {names}"


def node_names_are_unique(graph: Graph) -> Iterator[str]:
    for name, count in Counter(node.name for node in graph.nodes).items():
        if count > 1:
            yield f"{count} nodes are named {name!r}"


def edges_have_ends(graph: Graph) -> Iterator[str]:
    given = {(GRAPH, port.name) for port in graph.inputs}
    given |= {(node.name, port.name) for node in graph.nodes for port in node.outputs}
    wanted = {(GRAPH, port.name) for port in graph.outputs}
    wanted |= {(node.name, port.name) for node in graph.nodes for port in node.inputs}
    for edge in graph.edges:
        source = f"{edge.source or 'graph'}.{edge.source_port}"
        target = f"{edge.target or 'graph'}.{edge.target_port}"
        if (edge.source, edge.source_port) not in given:
            yield f"{target} reads {source}, which does not exist"
        if (edge.target, edge.target_port) not in wanted:
            yield f"{source} feeds {target}, which does not exist"


def inputs_are_fed_once(graph: Graph) -> Iterator[str]:
    fed = Counter((edge.target, edge.target_port) for edge in graph.edges)
    for node in graph.nodes:
        for port in node.inputs:
            count = fed[node.name, port.name]
            if count != 1:
                yield f"{at(node)}: input {port.name!r} is fed {count} times; feed it once"


def graph_is_acyclic(graph: Graph) -> Iterator[str]:
    try:
        topological_order(graph)
    except CycleError as error:
        yield f"nodes feed each other in a circle: {' → '.join(reversed(error.args[1]))}"


def types_match(graph: Graph) -> Iterator[str]:
    by_name = {node.name: node for node in graph.nodes}
    for edge in graph.edges:
        node = by_name.get(edge.target)
        ports = graph.outputs if node is None else node.inputs
        wanted = next((port.type for port in ports if port.name == edge.target_port), None)
        if edge.source != GRAPH and edge.source not in by_name:
            continue
        given = graph.type_of(edge)
        if not types_agree(given, wanted):
            source = at(by_name[edge.source]) if edge.source else "the graph's input"
            target = at(node) if node else "the graph's output"
            yield (
                f"{target} expects `{edge.target_port}: {type_name(wanted)}`, "
                f"{source} gives `{edge.source_port}: {type_name(given)}`"
            )


def code_is_importable(graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        module, _, qualname = node.ref.partition(":")
        if "<" in qualname:
            yield (
                f"{at(node)}: {qualname!r} lives inside a function, so no other process can "
                f"import it; define it at the top of module {module!r}"
            )
            continue
        try:
            importlib.import_module(module)
        except ImportError as error:
            yield f"{at(node)}: module {module!r} does not import: {error}"


def artifacts_exist(graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        for _, uri in node.artifacts:
            try:
                artifact_path(uri)
            except Exception as error:
                yield f"{at(node)}: {error}"


CHECKS: tuple[Check, ...] = (
    key_is_an_input,
    node_names_are_unique,
    edges_have_ends,
    inputs_are_fed_once,
    graph_is_acyclic,
    types_match,
    code_is_importable,
    artifacts_exist,
)


def check(graph: Graph) -> None:
    """Judge a graph by every rule of ``CHECKS``.

    Raises:
        CheckFailed: with every problem of every rule, not just the first.
    """
    problems = [problem for rule in CHECKS for problem in rule(graph)]
    if problems:
        raise CheckFailed(graph.ref, problems)
