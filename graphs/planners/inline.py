"""The plan for this process: every node, in order."""

from __future__ import annotations

from dataclasses import dataclass

from graphs.ir import Graph
from graphs.profiles import InlineProfile


@dataclass(frozen=True, slots=True)
class InlinePlan:
    """What the inline runtime does."""

    graph: Graph
    version: str
    nodes: tuple[str, ...]
    profile: InlineProfile


def plan_inline(graph: Graph, version: str, profile: InlineProfile) -> InlinePlan:
    """Run the nodes one after the other."""
    return InlinePlan(graph, version, tuple(n.name for n in graph.nodes), profile)
