"""What a picture shows, before any format: boxes, links, groups, and boxes inside boxes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from graphs.ir import (
    GRAPH,
    CycleError,
    Graph,
    Kind,
    Node,
    Resources,
    every_node,
    resources_of,
    topological_order,
    type_name,
)
from graphs.pictures.tally import Tally

IN, OUT = "<in>", "<out>"
"""Names of the two ends of a graph; no node can be called that."""

_LONGEST_VALUE = 24


@dataclass(frozen=True, slots=True)
class Box:
    """A node, or an end of a graph."""

    id: str
    """Unique in the picture."""
    kind: Kind | str
    """The node's kind, or ``input`` or ``output``."""
    title: str
    notes: tuple[str, ...] = ()
    """Lines below the title: what it needs, and how many rows came and went."""
    is_gpu: bool = False
    bodies: tuple[tuple[str, Scene], ...] = ()
    """(label, scene) of each graph that the node holds."""


@dataclass(frozen=True, slots=True)
class Link:
    """The columns that go from one box to another."""

    source: str
    target: str
    columns: tuple[str, ...]
    """Each as ``name: type``."""


@dataclass(frozen=True, slots=True)
class Group:
    """Boxes that share a process: a stage or a deployment."""

    title: str
    boxes: tuple[str, ...]
    is_gpu: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that is shown of one graph. Boxes come in topological order where there is one."""

    title: str
    boxes: tuple[Box, ...]
    links: tuple[Link, ...]
    groups: tuple[Group, ...] = ()


def scene_of(
    graph: Graph, groups: Sequence[tuple[str, tuple[str, ...]]] = (), tally: Tally | None = None
) -> Scene:
    """The scene of a graph.

    Args:
        graph: the graph, as authored or as planned.
        groups: (title, names of nodes) of each stage or deployment.
        tally: what became of the rows, if the graph was run.
    """
    scene = _scene(graph, "", "", tally)
    made = []
    for title, names in groups:
        needs = resources_of([graph.node(name) for name in names]) or Resources()
        made.append(Group(f"{title} · {amount(needs)}", tuple(names), needs.gpus > 0))
    return Scene(graph.name, scene.boxes, scene.links, tuple(made))


def amount(needs: Resources) -> str:
    """Resources in words: ``2 CPU, 1 GPU (H100)``."""
    words = [f"{needs.cpus:g} CPU"]
    if needs.gpus:
        words.append(
            f"{needs.gpus:g} GPU" + (f" ({needs.accelerator})" if needs.accelerator else "")
        )
    if needs.memory_bytes is not None:
        words.append(f"{needs.memory_bytes / 2**20:,.0f} MiB")
    return ", ".join(words)


def _scene(graph: Graph, prefix: str, path: str, tally: Tally | None) -> Scene:
    """``prefix`` makes ids unique; ``path`` is what results call the graph's nodes by."""
    is_whole = not prefix
    first = Box(f"{prefix}{IN}", "input", "input" if is_whole else "", _notes_of_input(tally, path))
    last = Box(
        f"{prefix}{OUT}",
        "output",
        "output" if is_whole else "",
        (_rows(tally.rows_out),) if tally and is_whole else (),
    )
    boxes = [_box(node, prefix, path, tally) for node in _in_order(graph)]
    return Scene(graph.name, (first, *boxes, last), tuple(_links(graph, prefix)))


def _in_order(graph: Graph) -> tuple[Node, ...]:
    try:
        return topological_order(graph)
    except CycleError:  # a wrong graph can be looked at too
        return graph.nodes


def _box(node: Node, prefix: str, path: str, tally: Tally | None) -> Box:
    id, name = f"{prefix}{node.name}", f"{path}{node.name}"
    paths = Counter(inner.name for _, body in node.bodies for inner in every_node(body))
    bodies = []
    for label, body in node.bodies:
        # Results name the nodes of two cases alike where the author did, so those cannot be told
        # apart, and their counts stand at the switch alone.
        is_told = len(node.bodies) == 1 or all(paths[n.name] == 1 for n in every_node(body))
        inner = _scene(body, f"{id}/{label}/", f"{name}/", tally if is_told else None)
        bodies.append((_label(node, label), inner))
    is_gpu = node.resources.gpus > 0
    notes = [amount(node.resources)] if is_gpu else []
    notes += _notes_of(tally, name) if tally else []
    return Box(id, node.kind, _title(node), tuple(notes), is_gpu, tuple(bodies))


def _title(node: Node) -> str:
    told = json.loads(node.parameters)
    if node.kind == "constant":
        return _cut(json.dumps(told["value"]))
    if node.kind == "parameter":
        return f"{told['name']} = {_cut(json.dumps(told['default']))}"
    return "reject nulls" if node.kind == "require" else node.name


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _label(node: Node, label: str) -> str:
    if node.kind == "switch":
        return label if label == "default" else f"case {label}"
    return "for each item" if node.kind == "each" else ""


def _notes_of_input(tally: Tally | None, path: str) -> tuple[str, ...]:
    if tally is None or path:
        return ()
    return (_rows(tally.rows_in), *(_dropped(tally, "input") if tally.guards_input else ()))


def _notes_of(tally: Tally, name: str) -> Iterator[str]:
    if name in tally.rows:
        came, went = tally.rows[name]
        yield _rows(came) if came == went else f"{came:,} → {_rows(went)}"
    yield from _dropped(tally, name)


def _dropped(tally: Tally, name: str) -> Iterator[str]:
    for word, counts in (("rejected", tally.rejected), ("filtered", tally.filtered)):
        count = sum(n for path, n in counts.items() if path == name or path.startswith(f"{name}/"))
        if count:
            yield f"{count:,} {word}"


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


def _links(graph: Graph, prefix: str) -> Iterator[Link]:
    columns: dict[tuple[str, str], dict[str, None]] = {}
    types = {(GRAPH, port.name): port.type for port in graph.inputs}
    types |= {(node.name, port.name): port.type for node in graph.nodes for port in node.outputs}
    for edge in graph.edges:
        is_key = edge.source == edge.target == GRAPH and edge.source_port == graph.key
        if is_key and graph.nodes:
            continue
        type_ = types.get((edge.source, edge.source_port))
        ends = (edge.source or IN, edge.target or OUT)
        columns.setdefault(ends, {})[f"{edge.source_port}: {type_name(type_)}"] = None
    for (source, target), names in columns.items():
        yield Link(f"{prefix}{source}", f"{prefix}{target}", tuple(names))
