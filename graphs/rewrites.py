"""Graph → Graph, in order. A rewrite returns the same object when there is nothing to change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from graphs.ir import GRAPH, Graph

Rewrite = Callable[[Graph], Graph]


def drop_dead_nodes(graph: Graph) -> Graph:
    """Leave out every node that no output depends on."""
    feeds: dict[str, set[str]] = {}
    for edge in graph.edges:
        feeds.setdefault(edge.target, set()).add(edge.source)
    live: set[str] = set()
    frontier = {GRAPH}
    while frontier:
        target = frontier.pop()
        fresh = feeds.get(target, set()) - live - {GRAPH}
        live |= fresh
        frontier |= fresh
    if len(live) == len(graph.nodes):
        return graph
    return replace(
        graph,
        nodes=tuple(node for node in graph.nodes if node.name in live),
        edges=tuple(edge for edge in graph.edges if edge.target in live | {GRAPH}),
    )


REWRITES: tuple[Rewrite, ...] = (drop_dead_nodes,)


def rewrite(graph: Graph) -> Graph:
    """Apply every rewrite of ``REWRITES``, in order."""
    for step in REWRITES:
        graph = step(graph)
    return graph
