"""The graph as a frozen value: nodes, ports, edges, types and the version hash."""

from graphs.ir.artifacts import artifact_digest, artifact_path
from graphs.ir.graph import (
    GRAPH,
    CycleError,
    Edge,
    Graph,
    Node,
    Port,
    Resources,
    Source,
    View,
    column_name,
    topological_order,
)
from graphs.ir.types import schema_of, type_name, types_agree
from graphs.ir.version import structure, version

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
    "artifact_digest",
    "artifact_path",
    "column_name",
    "schema_of",
    "structure",
    "topological_order",
    "type_name",
    "types_agree",
    "version",
]
