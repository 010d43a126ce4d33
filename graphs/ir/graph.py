"""The intermediate representation: a graph as a frozen value.

A graph is data. Its code is named by ``"module:qualname"`` references, so it can be printed,
compared with ``==``, hashed, pickled and sent to a cluster without shipping a closure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from heapq import heapify, heappop, heappush
from typing import Literal

import pyarrow as pa

GRAPH = ""
"""The pseudo-node at both ends of a graph: source of its inputs, target of its outputs."""

DEFAULT = b"default"
"""Key of the metadata of a schema's field under which the default of an optional column stands."""

View = Literal["arrow", "numpy", "pandas", "list"]
Nulls = Literal["pass", "skip", "reject"]
Kind = Literal[
    "function", "model", "graph", "switch", "each", "filter", "require", "constant", "parameter"
]


@dataclass(frozen=True, slots=True)
class Source:
    """Where an author wrote something; never part of a graph's identity."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Port:
    """A typed input or output of a node or a graph."""

    name: str
    type: pa.DataType | None
    """An input port of a node without a type takes whatever its edge carries."""
    view: View = "arrow"
    """How a node sees the column."""
    is_nullable: bool = True
    """Of a graph's input: whether a row may hold a null there; one that may not is rejected."""
    default: str | None = None
    """Of an input that may be left out: its value as JSON. Without it, it must be there."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What one worker of a node needs. Its class decides where stages and deployments are cut."""

    cpus: float = 1.0
    """Cores."""
    gpus: float = 0.0
    """Accelerators: a share of one, or a whole number."""
    memory_bytes: int | None = None
    """Main memory; ``None`` leaves it to the runtime."""
    accelerator: str | None = None
    """Ray's name of an accelerator type, such as ``"H100"``."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a node treats its batches. Only ``nulls`` can change an answer, so only it counts
    towards the version."""

    batch_rows: int | None = None
    """Most rows the node gets at once."""
    batch_bytes: int | None = None
    """Most Arrow bytes the node gets at once; one row larger than that goes alone."""
    timeout_s: float | None = None
    """Longest a call may take, in seconds; a row that takes longer is rejected."""
    retries: int = 0
    """How often a failed call is made again before its rows are isolated."""
    retry_on: tuple[str, ...] = ()
    """Names of the exceptions worth a retry; empty means all of them."""
    nulls: Nulls = "pass"
    """``pass``: the node sees nulls. ``skip``: a row with a null in any input gets nulls out
    without a call. ``reject``: such a row is rejected."""
    is_deterministic: bool = True
    """Whether equal inputs give equal outputs, bit for bit."""
    tolerance: tuple[tuple[str, float], ...] = ()
    """(output, largest absolute difference) within which online and offline agree."""
    isolate: bool = False
    """Forbids sharing a process with other nodes."""


@dataclass(frozen=True, slots=True)
class Node:
    """A step of a graph: a batch function, a model that loads first, or control over rows."""

    name: str
    ref: str
    """``"module:qualname"`` of the code; empty for control nodes, whose meaning is built in."""
    kind: Kind
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    parameters: str = "{}"
    """A model's constructor arguments, or what a control node was told, as canonical JSON."""
    artifacts: tuple[tuple[str, str], ...] = ()
    """(name, URI) of what the model loads; part of the version by content."""
    bodies: tuple[tuple[str, Graph], ...] = ()
    """(label, graph) of what a control node runs: the cases of a switch, the body of an each."""
    resources: Resources = Resources()
    behaviour: Behaviour = Behaviour()
    source: Source | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Edge:
    """``source.source_port`` feeds ``target.target_port``; ``GRAPH`` stands for the graph."""

    source: str
    source_port: str
    target: str
    target_port: str


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes joined by edges, with typed inputs and outputs.

    ``key`` names the input column that identifies a row; it is always the first output column.
    The body of a control node is a graph without a key.
    """

    name: str
    ref: str
    key: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    source: Source | None = field(default=None, compare=False)

    def node(self, name: str) -> Node:
        """The node of that name; ``KeyError`` if there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def edges_into(self, target: str) -> Iterator[Edge]:
        """The edges that feed a node, or (``GRAPH``) the graph's outputs."""
        return (edge for edge in self.edges if edge.target == target)

    def type_of(self, edge: Edge) -> pa.DataType | None:
        """The Arrow type that an edge carries."""
        ports = self.inputs if edge.source == GRAPH else self.node(edge.source).outputs
        return next((port.type for port in ports if port.name == edge.source_port), None)

    @property
    def input_schema(self) -> pa.Schema:
        """Arrow schema of the rows that go in; what may be left out has its default, as JSON, in
        the field's metadata."""
        return pa.schema([_field(port) for port in self.inputs])

    @property
    def output_schema(self) -> pa.Schema:
        """Arrow schema of the rows that come out, the key first."""
        return pa.schema([(port.name, port.type) for port in self.outputs])


def _field(port: Port) -> pa.Field:
    metadata = None if port.default is None else {DEFAULT: port.default}
    return pa.field(port.name, port.type, port.is_nullable, metadata)


def topological_order(graph: Graph) -> tuple[Node, ...]:
    """The nodes so that each comes after what feeds it; otherwise the author's order is kept.

    Raises:
        graphlib.CycleError: the graph has a cycle; its second argument is the path.
    """
    waiting_for: dict[str, set[str]] = {node.name: set() for node in graph.nodes}
    readers: dict[str, list[str]] = {node.name: [] for node in graph.nodes}
    for edge in graph.edges:
        if edge.source in readers and edge.target in readers:
            waiting_for[edge.target].add(edge.source)
            readers[edge.source].append(edge.target)
    place = {node.name: position for position, node in enumerate(graph.nodes)}
    ready = [place[name] for name, sources in waiting_for.items() if not sources]
    heapify(ready)
    order = []
    while ready:
        node = graph.nodes[heappop(ready)]
        order.append(node)
        for reader in readers[node.name]:
            if node.name in waiting_for[reader]:
                waiting_for[reader].remove(node.name)
                if not waiting_for[reader]:
                    heappush(ready, place[reader])
    if len(order) < len(place):
        TopologicalSorter(waiting_for).prepare()  # raises CycleError with the path
    return tuple(order)


def every_node(graph: Graph) -> Iterator[Node]:
    """The nodes of a graph and, after each, those of its bodies."""
    return every_node_of(graph.nodes)


def every_node_of(nodes: Iterable[Node]) -> Iterator[Node]:
    """Some nodes and, after each, those of its bodies."""
    for node in nodes:
        yield node
        for _, body in node.bodies:
            yield from every_node(body)


def column_name(edge: Edge) -> str:
    """The name a value has while rows are in flight: unique in a graph, stable in a plan."""
    return edge.source_port if edge.source == GRAPH else f"{edge.source}.{edge.source_port}"


__all__ = [
    "DEFAULT",
    "GRAPH",
    "Behaviour",
    "CycleError",
    "Edge",
    "Graph",
    "Kind",
    "Node",
    "Nulls",
    "Port",
    "Resources",
    "Source",
    "View",
    "column_name",
    "every_node",
    "every_node_of",
    "topological_order",
]
