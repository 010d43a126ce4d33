"""The intermediate representation: a graph as a frozen value.

A graph is data. Its code is named by ``"module:qualname"`` references, so it can be printed,
compared with ``==``, hashed, pickled and sent to a cluster without shipping a closure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Literal

import pyarrow as pa

GRAPH = ""
"""The pseudo-node at both ends of a graph: source of its inputs, target of its outputs."""

View = Literal["arrow", "numpy", "pandas", "list"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where an author wrote something; never part of a graph's identity."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Port:
    """A typed input or output. An input port without a type takes whatever its edge carries."""

    name: str
    type: pa.DataType | None


@dataclass(frozen=True, slots=True)
class Resources:
    """What one worker of a node needs. Its class decides where stages and deployments are cut."""

    cpus: float = 1.0
    gpus: float = 0.0
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """A step of a graph: a batch function over Arrow columns, or a model that loads first."""

    name: str
    ref: str
    kind: Literal["function", "model"]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    view: View = "arrow"
    parameters: str = "{}"
    """The model's constructor arguments as canonical JSON."""
    artifacts: tuple[tuple[str, str], ...] = ()
    """(name, URI) of what the model loads; part of the version by content."""
    resources: Resources = Resources()
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
        """Arrow schema of the rows that go in."""
        return pa.schema([(port.name, port.type) for port in self.inputs])

    @property
    def output_schema(self) -> pa.Schema:
        """Arrow schema of the rows that come out, the key first."""
        return pa.schema([(port.name, port.type) for port in self.outputs])


def topological_order(graph: Graph) -> tuple[Node, ...]:
    """The nodes so that each comes after what feeds it; ties keep the author's order.

    Raises:
        graphlib.CycleError: the graph has a cycle; its second argument is the path.
    """
    sorter: TopologicalSorter[str] = TopologicalSorter({node.name: () for node in graph.nodes})
    for edge in graph.edges:
        if GRAPH not in (edge.source, edge.target):
            sorter.add(edge.target, edge.source)
    by_name = {node.name: node for node in graph.nodes}
    return tuple(by_name[name] for name in sorter.static_order() if name in by_name)


def column_name(edge: Edge) -> str:
    """The name a value has while rows are in flight: unique in a graph, stable in a plan."""
    return edge.source_port if edge.source == GRAPH else f"{edge.source}.{edge.source_port}"


__all__ = [
    "GRAPH",
    "CycleError",
    "Edge",
    "Graph",
    "Node",
    "Port",
    "Resources",
    "Source",
    "View",
    "column_name",
    "topological_order",
]
