"""Rules about names and wiring."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pyarrow as pa

from graphs.ir import GRAPH, CycleError, Graph, Node, Port, topological_order, type_name

_PLAIN = re.compile(r"^[A-Za-z_][A-Za-z0-9_ -]*$")


def at(node: Node) -> str:
    """A node as an error names it: its name and where the author called it."""
    return f"node {node.name!r} ({node.source})" if node.source else f"node {node.name!r}"


def key_is_an_input(graph: Graph) -> Iterator[str]:
    names = [port.name for port in graph.inputs]
    if graph.key and graph.key not in names:
        yield f"key {graph.key!r} is not an input; choose one of {names}"


def key_is_a_scalar(graph: Graph) -> Iterator[str]:
    for port in graph.inputs:
        if port.name == graph.key and port.type is not None and not _names_a_row(port.type):
            yield (
                f"key {port.name!r} is {type_name(port.type)}, which cannot name a row; "
                "use a string, an integer, binary, a date or a timestamp"
            )


def _names_a_row(type_: pa.DataType) -> bool:
    kinds = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_integer,
        pa.types.is_binary,
        pa.types.is_fixed_size_binary,
        pa.types.is_date,
        pa.types.is_timestamp,
    )
    return any(is_kind(type_) for is_kind in kinds)


def key_goes_out_unchanged(graph: Graph) -> Iterator[str]:
    for edge in graph.edges_into(GRAPH):
        if edge.target_port == graph.key and (edge.source, edge.source_port) != (GRAPH, graph.key):
            giver = f"{edge.source}.{edge.source_port}" if edge.source else edge.source_port
            yield (
                f"output {graph.key!r} is the key's, which names a row, but `{giver}` is wired to "
                "it; leave it out (the key comes first by itself) or rename it"
            )


def names_are_plain(graph: Graph) -> Iterator[str]:
    hint = "use letters, digits, spaces, _ and -, and begin with a letter or _"
    for kind, ports in (("input", graph.inputs), ("output", graph.outputs)):
        for port in ports:
            if not _PLAIN.match(port.name):
                yield f"{kind} {port.name!r} is not a plain name; {hint}"
    for node in graph.nodes:
        if not _PLAIN.match(node.name) and "<" not in node.ref:  # a lambda is told otherwise
            yield f"{at(node)} has no plain name; {hint}"
        for kind, ports in (("input", node.inputs), ("output", node.outputs)):
            for port in ports:
                if not _PLAIN.match(port.name):
                    yield f"{at(node)}: {kind} {port.name!r} is not a plain name; {hint}"


def column_names_are_unique(graph: Graph) -> Iterator[str]:
    for kind, ports in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        for name, count in Counter(port.name for port in ports).items():
            if count > 1:
                yield f"{count} {kind} are named {name!r}; rename all but one"


def node_names_are_unique(graph: Graph) -> Iterator[str]:
    for name, count in Counter(node.name for node in graph.nodes).items():
        if count > 1:
            places = ", ".join(str(n.source) for n in graph.nodes if n.name == name and n.source)
            yield f"{count} nodes are named {name!r} ({places}); rename all but one"


def edges_have_ends(graph: Graph) -> Iterator[str]:
    given = {(GRAPH, port.name) for port in graph.inputs}
    given |= {(node.name, port.name) for node in graph.nodes for port in node.outputs}
    wanted = {(GRAPH, port.name) for port in graph.outputs}
    wanted |= {(node.name, port.name) for node in graph.nodes for port in node.inputs}
    for edge in graph.edges:
        source = f"`{edge.source}.{edge.source_port}`" if edge.source else f"`{edge.source_port}`"
        target = f"`{edge.target}.{edge.target_port}`" if edge.target else f"`{edge.target_port}`"
        if (edge.source, edge.source_port) not in given:
            what = f"output of {edge.source!r}" if edge.source else "input of the graph"
            yield f"{target} reads {source}, but there is no such {what}; wire one that exists"
        if (edge.target, edge.target_port) not in wanted:
            what = f"input of {edge.target!r}" if edge.target else "output of the graph"
            yield f"{source} feeds {target}, but there is no such {what}; drop the edge"


def inputs_are_fed_once(graph: Graph) -> Iterator[str]:
    fed = Counter((edge.target, edge.target_port) for edge in graph.edges)
    for node in graph.nodes:
        for port in node.inputs:
            yield from _misfed(f"{at(node)}: input", port, fed[node.name, port.name])
    for port in graph.outputs:
        yield from _misfed("output", port, fed[GRAPH, port.name])


def _misfed(what: str, port: Port, count: int) -> Iterator[str]:
    if count == 0 and port.default is None:
        yield f"{what} `{port.name}: {type_name(port.type)}` is not fed; pass it a column"
    if count > 1:
        yield f"{what} {port.name!r} is fed by {count} columns; pass it one"


def inputs_are_used(graph: Graph) -> Iterator[str]:
    if not graph.key:  # the cases of a switch share their arguments, so each may leave some
        return
    read = {edge.source_port for edge in graph.edges if edge.source == GRAPH}
    for port in graph.inputs:
        if port.name not in read and port.default is None:
            yield (
                f"input `{port.name}: {type_name(port.type)}` is required but nothing reads it; "
                "drop the parameter"
            )


def graph_is_acyclic(graph: Graph) -> Iterator[str]:
    try:
        topological_order(graph)
    except CycleError as error:
        path = [graph.node(name) for name in reversed(error.args[1])]
        yield (
            f"nodes feed each other in a circle: {' → '.join(at(node) for node in path)}; "
            "let one of them read something else"
        )
