"""The plan for a Ray cluster: stages, and the columns that cross between them."""

from __future__ import annotations

from dataclasses import dataclass

from graphs.ir import (
    GRAPH,
    Graph,
    Node,
    Resources,
    column_name,
    is_stateful,
    process_class,
    resources_of,
)
from graphs.profiles import OfflineProfile, StageScale, require_nodes

MODEL_BATCH_ROWS, BATCH_ROWS = 1024, 16_384
"""Rows a node gets at once where no profile says: models want batches that fit an accelerator's
memory, functions want to be called seldom."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One or more fused nodes that run in the same worker.

    ``columns_in`` and ``columns_out`` are what crosses the boundary, by ``column_name``: the
    first stage takes the graph's inputs that somebody reads, the last gives the graph's outputs
    by port name.
    """

    name: str
    nodes: tuple[str, ...]
    resources: Resources
    is_stateful: bool
    columns_in: tuple[str, ...]
    columns_out: tuple[str, ...]
    workers_min: int
    workers_max: int
    batch_rows: int


@dataclass(frozen=True, slots=True)
class OfflinePlan:
    """What an offline runtime does with each shard: stage after stage."""

    graph: Graph
    version: str
    stages: tuple[Stage, ...]
    profile: OfflineProfile


def plan_offline(graph: Graph, version: str, profile: OfflineProfile) -> OfflinePlan:
    """Fuse consecutive nodes of one resource class; cut only where the class changes.

    Raises:
        ProfileError: the profile scales nodes that the graph does not have.
    """
    require_nodes(profile, graph.name, [node.name for node in graph.nodes])
    groups = _fused(graph.nodes)
    stages = []
    read = {edge.source_port for edge in graph.edges if edge.source == GRAPH}
    arriving = tuple(port.name for port in graph.inputs if port.name in read)
    for position, group in enumerate(groups):
        names = tuple(node.name for node in group)
        later = {node.name for rest in groups[position + 1 :] for node in rest}
        leaving = (
            _crossing(graph, arriving, group, later)
            if later
            else tuple(port.name for port in graph.outputs)
        )
        stages.append(
            Stage(
                name="+".join(names) or "copy",
                nodes=names,
                resources=resources_of(group) or Resources(),
                is_stateful=is_stateful(group),
                columns_in=arriving,
                columns_out=leaving,
                **_scale(group, profile),
            )
        )
        arriving = leaving
    return OfflinePlan(graph, version, tuple(stages), profile)


def _scale(group: list[Node], profile: OfflineProfile) -> dict[str, int]:
    """How a stage is scaled: as its first node that the profile names, else as all are."""
    named = [profile.nodes[node.name] for node in group if node.name in profile.nodes]
    own = named[0] if named else StageScale()
    rows = MODEL_BATCH_ROWS if is_stateful(group) else BATCH_ROWS
    return {
        "workers_min": own.workers_min or profile.workers_min,
        "workers_max": own.workers_max or profile.workers_max,
        "batch_rows": own.batch_rows or profile.batch_rows or rows,
    }


def _fused(nodes: tuple[Node, ...]) -> list[list[Node]]:
    groups: list[list[Node]] = [[]]
    current: object = None
    for node in nodes:
        wanted = process_class(node)
        if wanted is not None and current is not None and wanted != current:
            groups.append([])
        groups[-1].append(node)
        current = wanted or current
    return groups


def _crossing(
    graph: Graph, arriving: tuple[str, ...], here: list[Node], later: set[str]
) -> tuple[str, ...]:
    """Columns at hand after a stage that a later node or an output still reads."""
    at_hand = set(arriving) | {f"{node.name}.{port.name}" for node in here for port in node.outputs}
    wanted = [column_name(e) for e in graph.edges if e.target in later or e.target == GRAPH]
    return tuple(dict.fromkeys(name for name in wanted if name in at_hand))
