"""The plan for a Ray cluster: stages, and the columns that cross between them."""

from __future__ import annotations

from dataclasses import dataclass

from graphs.ir import GRAPH, Graph, Node, Resources, column_name, topological_order
from graphs.profiles import OfflineProfile


@dataclass(frozen=True, slots=True)
class Stage:
    """One or more fused nodes that run in the same worker.

    ``columns_in`` and ``columns_out`` are what crosses the boundary, by ``column_name``; the
    first stage takes the graph's inputs, the last gives the graph's outputs by port name.
    """

    name: str
    nodes: tuple[str, ...]
    resources: Resources
    is_stateful: bool
    columns_in: tuple[str, ...]
    columns_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OfflinePlan:
    """What an offline runtime does with each shard: stage after stage."""

    graph: Graph
    version: str
    stages: tuple[Stage, ...]
    profile: OfflineProfile


def plan_offline(graph: Graph, version: str, profile: OfflineProfile) -> OfflinePlan:
    """Fuse consecutive nodes of one resource class; cut only where the class changes."""
    groups: list[list[Node]] = []
    for node in topological_order(graph):
        if groups and groups[-1][0].resources == node.resources:
            groups[-1].append(node)
        else:
            groups.append([node])
    stages = []
    arriving = tuple(port.name for port in graph.inputs)
    for position, group in enumerate(groups or [[]]):
        names = tuple(node.name for node in group)
        later = {node.name for rest in groups[position + 1 :] for node in rest}
        is_last = position == len(groups) - 1 or not groups
        leaving = (
            tuple(port.name for port in graph.outputs)
            if is_last
            else _crossing(graph, arriving, names, later)
        )
        stages.append(
            Stage(
                name="+".join(names) or "copy",
                nodes=names,
                resources=group[0].resources if group else Resources(),
                is_stateful=any(node.kind == "model" for node in group),
                columns_in=arriving,
                columns_out=leaving,
            )
        )
        arriving = leaving
    return OfflinePlan(graph, version, tuple(stages), profile)


def _crossing(
    graph: Graph, arriving: tuple[str, ...], here: tuple[str, ...], later: set[str]
) -> tuple[str, ...]:
    """Columns at hand after a stage that a later node or an output still reads."""
    at_hand = set(arriving)
    at_hand |= {f"{name}.{port.name}" for name in here for port in graph.node(name).outputs}
    wanted = [column_name(e) for e in graph.edges if e.target in later or e.target == GRAPH]
    return tuple(dict.fromkeys(name for name in wanted if name in at_hand))
