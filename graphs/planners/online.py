"""The plan for Ray Serve: deployments, each the nodes that share a process, and their calls."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from graphs.ir import (
    GRAPH,
    Graph,
    Node,
    Resources,
    column_name,
    every_node_of,
    is_stateful,
    resources_of,
)
from graphs.profiles import OnlineProfile, require_nodes


@dataclass(frozen=True, slots=True)
class Deployment:
    """Nodes that share a replica."""

    name: str
    nodes: tuple[str, ...]
    resources: Resources
    replicas: int
    is_batched: bool
    """Whether calls of concurrent requests are joined here: where there is a model, and always
    where requests arrive."""


@dataclass(frozen=True, slots=True)
class Call:
    """Some consecutive nodes of one deployment, called once for a batch of requests."""

    deployment: str
    nodes: tuple[str, ...]
    columns_in: tuple[str, ...]
    """By ``column_name``, what its nodes read of the graph's inputs and of other calls' outputs;
    the key where they read nothing, since it tells how many rows there are."""
    columns_out: tuple[str, ...]
    """What its nodes give to other calls and to the graph's outputs."""
    after: tuple[int, ...]
    """Positions of the calls it waits for: those whose outputs it reads, and those before it that
    filter rows. Calls that do not wait for each other run concurrently."""


@dataclass(frozen=True, slots=True)
class OnlinePlan:
    """What answers a request. The first deployment takes requests and makes the calls."""

    graph: Graph
    version: str
    deployments: tuple[Deployment, ...]
    calls: tuple[Call, ...]
    profile: OnlineProfile


def plan_online(graph: Graph, version: str, profile: OnlineProfile) -> OnlinePlan:
    """Fuse all that can share a process into the first deployment; cut out what cannot.

    Raises:
        ProfileError: the profile scales nodes that the graph does not have.
    """
    require_nodes(profile, graph.name, [node.name for node in graph.nodes])
    homes = _homes(graph, profile)
    deployments = tuple(
        _deployment(graph, name, [n for n in graph.nodes if homes[n.name] == name], profile)
        for name in dict.fromkeys([graph.name, *homes.values()])
    )
    return OnlinePlan(graph, version, deployments, _calls(graph, homes), profile)


def _homes(graph: Graph, profile: OnlineProfile) -> dict[str, str]:
    """The deployment of each node, by name."""
    homes = {}
    first: str | None = None
    for node in graph.nodes:
        needs = resources_of([node])
        accelerator = needs.accelerator if needs else None
        if node.name in profile.nodes or _is_isolated(node):
            homes[node.name] = _name(graph, node.name)
        elif accelerator and first and accelerator != first:
            # No machine has both, so the first one named decides where requests arrive.
            homes[node.name] = _name(graph, accelerator)
        else:
            first = first or accelerator
            homes[node.name] = graph.name
    return homes


def _is_isolated(node: Node) -> bool:
    return any(inner.behaviour.isolate for inner in every_node_of([node]))


def _name(graph: Graph, part: str) -> str:
    """Unlike the graph's own, even if a node is called like it."""
    return f"{graph.name}.{part.replace('/', '.')}"


def _deployment(graph: Graph, name: str, nodes: list[Node], profile: OnlineProfile) -> Deployment:
    scales = [profile.nodes[node.name] for node in nodes if node.name in profile.nodes]
    return Deployment(
        name=name,
        nodes=tuple(node.name for node in nodes),
        resources=resources_of(nodes) or Resources(),
        replicas=scales[0].replicas if scales else profile.replicas,
        is_batched=name == graph.name or is_stateful(nodes),
    )


def _calls(graph: Graph, homes: dict[str, str]) -> tuple[Call, ...]:
    calls: list[Call] = []
    made: dict[str, int] = {}
    filtering: list[int] = []
    for home, group in groupby(graph.nodes, key=lambda node: homes[node.name]):
        nodes = list(group)
        names = {node.name for node in nodes}
        into = [edge for edge in graph.edges if edge.target in names and edge.source not in names]
        out = [edge for edge in graph.edges if edge.source in names and edge.target not in names]
        before = [made[edge.source] for edge in into if edge.source != GRAPH]
        calls.append(
            Call(
                deployment=home,
                nodes=tuple(node.name for node in nodes),
                columns_in=_unique(map(column_name, into)) or (graph.key,),
                columns_out=_unique(map(column_name, out)),
                after=tuple(sorted({*before, *filtering})),
            )
        )
        position = len(calls) - 1
        made |= dict.fromkeys(names, position)
        if any(node.kind in ("filter", "require") for node in every_node_of(nodes)):
            filtering.append(position)
    return tuple(calls)


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
