"""The version of a graph: a hash of its structure, its code and its artifacts.

See ``docs/adr/0002-what-a-version-covers.md`` for what is inside and what is not.
"""

from __future__ import annotations

import json
from typing import Any

from graphs.ir.artifacts import artifact_digest
from graphs.ir.code import Code, digest
from graphs.ir.graph import Graph, Node, Port, every_node
from graphs.ir.types import type_name


def version(graph: Graph) -> str:
    """The graph's version, 16 hexadecimal digits; equal on every machine and in every process.

    Raises:
        GraphError: a node's code or artifact cannot be read.
    """
    return digest(facts(graph))


def facts(graph: Graph) -> dict[str, Any]:
    """What a version is the hash of: plain data that can be kept and compared.

    Returns:
        ``structure``; ``code``, for each node's reference the digests of the definitions and
        values it reads; ``artifacts``, the digest behind each URI.

    Raises:
        GraphError: a node's code or artifact cannot be read.
    """
    code = Code()
    return {
        "structure": structure(graph),
        "code": {ref: code.definitions(ref) for ref in {n.ref for n in every_node(graph)} if ref},
        "artifacts": {
            uri: artifact_digest(uri) for node in every_node(graph) for _, uri in node.artifacts
        },
    }


def structure(graph: Graph) -> dict[str, Any]:
    """The part of the version that is wiring: what an author would draw. Scale is left out."""
    return {
        "key": graph.key,
        "inputs": {port.name: _input(port) for port in graph.inputs},
        "outputs": {port.name: type_name(port.type) for port in graph.outputs},
        "nodes": {node.name: _node(node) for node in graph.nodes},
        "edges": sorted(
            [edge.source, edge.source_port, edge.target, edge.target_port] for edge in graph.edges
        ),
    }


def _input(port: Port) -> list[object]:
    return [type_name(port.type), port.is_nullable, port.default]


def _node(node: Node) -> dict[str, Any]:
    return {
        "ref": node.ref,
        "kind": node.kind,
        "parameters": json.loads(node.parameters),
        "inputs": {port.name: [type_name(port.type), port.view] for port in node.inputs},
        "outputs": {port.name: type_name(port.type) for port in node.outputs},
        "nulls": node.behaviour.nulls,
        "artifacts": dict(node.artifacts),
        "bodies": {label: structure(body) for label, body in node.bodies},
    }
