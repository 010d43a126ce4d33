"""Rules about types and fixed values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import get_args

import pyarrow as pa

from graphs.checks.wiring import at
from graphs.ir import GRAPH, Graph, Node, Nulls, every_node, scalar_of, type_name, types_agree


def types_match(graph: Graph) -> Iterator[str]:
    nodes = {node.name: node for node in graph.nodes}
    given = {(GRAPH, port.name): port.type for port in graph.inputs}
    given |= {(node.name, port.name): port.type for node in graph.nodes for port in node.outputs}
    wanted = {(node.name, port.name): port.type for node in graph.nodes for port in node.inputs}
    wanted |= {(GRAPH, port.name): port.type for port in graph.outputs}
    for edge in graph.edges:
        source, target = (edge.source, edge.source_port), (edge.target, edge.target_port)
        if source not in given or target not in wanted:
            continue
        if not types_agree(given[source], wanted[target]):
            giver = at(nodes[edge.source]) if edge.source else f"the graph's input{_line(graph)}"
            taker = at(nodes[edge.target]) if edge.target else f"the graph's output{_line(graph)}"
            yield (
                f"{taker} expects `{edge.target_port}: {type_name(wanted[target])}`, "
                f"{giver} gives `{edge.source_port}: {type_name(given[source])}`; "
                "convert it in a node between them, or declare one type"
            )


def _line(graph: Graph) -> str:
    return f" ({graph.source})" if graph.source else ""


def outputs_are_typed(graph: Graph) -> Iterator[str]:
    for port in graph.outputs:
        if port.type is None:
            yield f"output {port.name!r} has no type; declare it where the column is made"


def defaults_fit(graph: Graph) -> Iterator[str]:
    for port in graph.inputs:
        if port.default is not None and (problem := _misfit(json.loads(port.default), port.type)):
            yield f"input {port.name!r}: its default {problem}; change the default or the type"


def constants_fit(graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        if node.kind in ("constant", "parameter"):
            told = json.loads(node.parameters)
            what, value = (
                ("value", told["value"])
                if node.kind == "constant"
                else ("default", told["default"])
            )
            if problem := _misfit(value, node.outputs[0].type):
                yield f"{at(node)}: its {what} {problem}; change the {what} or the type"


def _misfit(value: object, type_: pa.DataType | None) -> str | None:
    try:
        scalar_of(value, type_)
    except ValueError as error:
        return str(error)
    return None


def parameters_agree(graph: Graph) -> Iterator[str]:
    if not graph.key:  # judged once, for the whole graph
        return
    seen: dict[str, tuple[tuple[str, str], Node]] = {}
    for node in every_node(graph):
        if node.kind != "parameter":
            continue
        told = json.loads(node.parameters)
        meaning = (type_name(node.outputs[0].type), json.dumps(told["default"]))
        first, where = seen.setdefault(told["name"], (meaning, node))
        if first != meaning:
            yield (
                f"run parameter {told['name']!r} is {first[0]} with default {first[1]} at "
                f"{where.source}, and {meaning[0]} with default {meaning[1]} at {node.source}; "
                "declare it alike, or name it otherwise"
            )


def resources_are_possible(graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        need = node.resources
        for name in ("cpus", "gpus", "memory_bytes"):
            if (getattr(need, name) or 0) < 0:
                yield f"{at(node)}: {name}={getattr(need, name)}; it must be 0 or more"
        if need.gpus > 1 and need.gpus != int(need.gpus):
            yield (
                f"{at(node)}: gpus={need.gpus}; Ray shares one or gives whole ones, so write a "
                "number up to 1, or a whole one"
            )
        if need.accelerator and not need.gpus:
            yield f"{at(node)}: accelerator={need.accelerator!r} without gpus; say how many"


def bounds_are_possible(graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        bounds = node.behaviour
        for name in ("batch_rows", "batch_bytes", "timeout_s"):
            value = getattr(bounds, name)
            if value is not None and value <= 0:
                yield f"{at(node)}: {name}={value}; it must be above 0, or None for no bound"
        if bounds.retries < 0:
            yield f"{at(node)}: retries={bounds.retries}; it must be 0 or more"
        if bounds.retry_on and not bounds.retries:
            yield f"{at(node)}: retry_on without retries; say how many"
        if classes := [kind for kind in bounds.retry_on if not isinstance(kind, str)]:
            yield f"{at(node)}: retry_on={classes}; write the exceptions' names, as text"
        if bounds.nulls not in get_args(Nulls):
            known = ", ".join(get_args(Nulls))
            yield f"{at(node)}: nulls={bounds.nulls!r} is unknown; write one of {known}"


def tolerances_name_float_outputs(graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        floats = [port.name for port in node.outputs if _holds_floats(port.type)]
        for name, difference in node.behaviour.tolerance:
            if name not in floats:
                yield (
                    f"{at(node)}: tolerance for {name!r}, which is no float output; "
                    f"choose one of {floats}"
                    if floats
                    else f"{at(node)}: tolerance for {name!r}, but it has no float output; drop it"
                )
            elif difference < 0:
                yield f"{at(node)}: tolerance {difference} for {name!r}; it must be 0 or more"


def _holds_floats(type_: pa.DataType | None) -> bool:
    if type_ is None:
        return False
    if pa.types.is_floating(type_):
        return True
    return hasattr(type_, "value_type") and _holds_floats(type_.value_type)
