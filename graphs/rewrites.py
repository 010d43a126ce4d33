"""Graph → Graph, in order. A rewrite returns the same object when there is nothing to change.

Rewrites settle the order in which nodes are carried out, for every target alike: so a row that two
nodes would reject is rejected by the same one everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from graphs.ir import GRAPH, Edge, Graph, Node, Port, process_class, topological_order

Rewrite = Callable[[Graph], Graph]

INPUT = "input"
"""Name of the node that rejects rows with a null where none may be. No authored node has it."""


def inline_graphs(graph: Graph) -> Graph:
    """Put the nodes of a graph inside a graph in its place, named ``outer/inner``, after one that
    rejects nulls where its inputs may hold none."""
    if not any(node.bodies for node in graph.nodes):
        return graph
    bodies = {
        node.name: tuple((label, inline_graphs(body)) for label, body in node.bodies)
        for node in graph.nodes
        if node.bodies
    }
    fed = {(edge.target, edge.target_port) for edge in graph.edges}
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.kind != "graph":
            same = node.bodies == bodies.get(node.name, ())
            nodes.append(node if same else replace(node, bodies=bodies[node.name]))
            continue
        ((_, body),) = bodies[node.name]
        nodes += [_guard(f"{node.name}/{INPUT}", guarded)] if (guarded := _guarded(body)) else []
        nodes += [replace(inner, name=f"{node.name}/{inner.name}") for inner in body.nodes]
        nodes += [_default(node, port) for port in node.inputs if (node.name, port.name) not in fed]
    inlined = {n.name: bodies[n.name][0][1] for n in graph.nodes if n.kind == "graph"}
    if not inlined and tuple(nodes) == graph.nodes:
        return graph
    return replace(graph, nodes=tuple(nodes), edges=tuple(_rewired(graph, inlined)))


def _default(node: Node, port: Port) -> Node:
    """A constant for an optional input of an inlined graph that is not fed."""
    return Node(
        _default_name(node.name, port.name),
        "",
        "constant",
        inputs=(),
        outputs=(Port("value", port.type),),
        parameters=f'{{"value": {port.default}}}',
    )


def _default_name(node: str, port: str) -> str:
    """Unlike the name of any node inside the graph, since those are plain."""
    return f"{node}/{port} (default)"


def _rewired(graph: Graph, inlined: dict[str, Graph]) -> Iterable[Edge]:
    feeds = {(edge.target, edge.target_port): edge for edge in graph.edges}
    gives = {
        (name, edge.target_port): edge
        for name, body in inlined.items()
        for edge in body.edges
        if edge.target == GRAPH
    }

    def origin(source: str, port: str) -> tuple[str, str]:
        """Where a value really comes from, through any number of inlined graphs."""
        while source in inlined:
            inner = gives[source, port]
            if inner.source != GRAPH:
                return f"{source}/{inner.source}", inner.source_port
            source, port = outside(source, inner.source_port)
        return source, port

    def outside(name: str, port: str) -> tuple[str, str]:
        edge = feeds.get((name, port))
        return (edge.source, edge.source_port) if edge else (_default_name(name, port), "value")

    for edge in graph.edges:
        if edge.target not in inlined:
            yield Edge(*origin(edge.source, edge.source_port), edge.target, edge.target_port)
    for name, body in inlined.items():
        for port in _guarded(body):
            yield Edge(*origin(*outside(name, port.name)), f"{name}/{INPUT}", port.name)
        for edge in body.edges:
            if edge.target == GRAPH:
                continue
            if edge.source == GRAPH:
                source = origin(*outside(name, edge.source_port))
            else:
                source = (f"{name}/{edge.source}", edge.source_port)
            yield Edge(*source, f"{name}/{edge.target}", edge.target_port)


def guard_inputs(graph: Graph) -> Graph:
    """Reject rows with a null in an input that may not hold one, before any node sees them."""
    guarded = _guarded(graph)
    if not guarded or not graph.key or any(node.name == INPUT for node in graph.nodes):
        return graph
    edges = [Edge(GRAPH, port.name, INPUT, port.name) for port in guarded]
    return replace(
        graph, nodes=(_guard(INPUT, guarded), *graph.nodes), edges=(*edges, *graph.edges)
    )


def _guarded(graph: Graph) -> tuple[Port, ...]:
    return tuple(Port(port.name, port.type) for port in graph.inputs if not port.is_nullable)


def _guard(name: str, ports: tuple[Port, ...]) -> Node:
    return Node(name, "", "require", inputs=ports, outputs=())


def drop_dead_nodes(graph: Graph) -> Graph:
    """Leave out every node that neither an output nor a filter depends on, in bodies too, and the
    outputs of control nodes that nobody reads."""
    live = _ancestors(graph, {GRAPH} | {n.name for n in graph.nodes if _drops_rows(n)})
    if not all(node.name in live for node in graph.nodes):
        graph = replace(
            graph,
            nodes=tuple(node for node in graph.nodes if node.name in live),
            edges=tuple(edge for edge in graph.edges if edge.target in live),
        )
    read = {(edge.source, edge.source_port) for edge in graph.edges}
    nodes = tuple(_without_unread(node, read) for node in graph.nodes)
    if any(new is not old for new, old in zip(nodes, graph.nodes, strict=True)):
        graph = replace(graph, nodes=nodes)
    return _in_bodies(drop_dead_nodes, graph)


def _without_unread(node: Node, read: set[tuple[str, str]]) -> Node:
    outputs = tuple(port for port in node.outputs if (node.name, port.name) in read)
    if node.kind not in ("switch", "each") or len(outputs) == len(node.outputs):
        return node
    names = {port.name for port in outputs}

    def pruned(body: Graph) -> Graph:
        return replace(
            body,
            outputs=tuple(port for port in body.outputs if port.name in names),
            edges=tuple(e for e in body.edges if e.target != GRAPH or e.target_port in names),
        )

    bodies = tuple((label, pruned(body)) for label, body in node.bodies)
    return replace(node, outputs=outputs, bodies=bodies)


def push_filters_down(graph: Graph) -> Graph:
    """Carry out filters, and what they read, before everything else: dropped rows cost least."""
    graph = _in_bodies(push_filters_down, graph)
    filters = {node.name for node in graph.nodes if node.kind == "filter" or node.name == INPUT}
    early = _ancestors(graph, filters)
    return _reordered(graph, lambda node: 0 if node.name in early else 1)


def gather_resource_classes(graph: Graph) -> Graph:
    """Bring nodes of one resource class together where edges and filters allow it, so that a plan
    crosses fewer processes."""
    left = list(topological_order(graph))
    classes = {node.name: process_class(node) for node in left}
    if len(set(classes.values()) - {None}) <= 1:
        return graph
    order: list[Node] = []
    sources: dict[str, set[str]] = {node.name: set() for node in left}
    for edge in graph.edges:
        if edge.target in sources and edge.source in sources:
            sources[edge.target].add(edge.source)
    done: set[str] = set()
    current: object = None
    while left:
        # Nothing may overtake a filter: that would change which rows a node sees.
        barrier = next((i for i, node in enumerate(left) if _drops_rows(node)), len(left))
        ready = [i for i, node in enumerate(left[: barrier + 1]) if sources[node.name] <= done]
        same = (i for i in ready if classes[left[i].name] in (None, current))
        chosen = left.pop(next(same, ready[0]))
        current = classes[chosen.name] or current
        order.append(chosen)
        done.add(chosen.name)
    return graph if tuple(order) == graph.nodes else replace(graph, nodes=tuple(order))


def _in_bodies(step: Rewrite, graph: Graph) -> Graph:
    """The graph with a step done in the bodies of its nodes."""
    changed = {}
    for node in graph.nodes:
        bodies = tuple((label, step(body)) for label, body in node.bodies)
        if any(new is not old for (_, new), (_, old) in zip(bodies, node.bodies, strict=True)):
            changed[node.name] = replace(node, bodies=bodies)
    if not changed:
        return graph
    return replace(graph, nodes=tuple(changed.get(node.name, node) for node in graph.nodes))


def _drops_rows(node: Node) -> bool:
    """Whether rows may end here on purpose; what an each drops are items, not rows."""
    if node.kind in ("switch", "graph"):
        return any(_drops_rows(inner) for _, body in node.bodies for inner in body.nodes)
    return node.kind in ("filter", "require")


def _ancestors(graph: Graph, names: set[str]) -> set[str]:
    """Some nodes and everything they depend on."""
    feeds: dict[str, set[str]] = {}
    for edge in graph.edges:
        feeds.setdefault(edge.target, set()).add(edge.source)
    found, frontier = set(names), set(names)
    while frontier:
        fresh = feeds.get(frontier.pop(), set()) - found - {GRAPH}
        found |= fresh
        frontier |= fresh
    return found


def _reordered(graph: Graph, rank: Callable[[Node], int]) -> Graph:
    nodes = tuple(sorted(topological_order(graph), key=rank))
    return graph if nodes == graph.nodes else replace(graph, nodes=nodes)


REWRITES: tuple[Rewrite, ...] = (
    inline_graphs,
    guard_inputs,
    drop_dead_nodes,
    push_filters_down,
    gather_resource_classes,
)


def rewrite(graph: Graph) -> Graph:
    """Apply every rewrite of ``REWRITES``, in order."""
    for step in REWRITES:
        graph = step(graph)
    return graph
