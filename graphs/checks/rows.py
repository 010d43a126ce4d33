"""Rules about control over rows."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pyarrow as pa

from graphs.checks.wiring import at
from graphs.ir import Graph, is_list, scalar_of, type_name, types_agree


def cases_fit_the_column(graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        if node.kind != "switch":
            continue
        type_ = node.inputs[0].type
        for label, _ in node.bodies:
            if label != "default" and not _fits(json.loads(label), type_):
                yield (
                    f"{at(node)}: case {json.loads(label)!r} can never be, since it switches by "
                    f"`{type_name(type_)}`; drop the case, or switch by another column"
                )


def _fits(value: object, type_: pa.DataType | None) -> bool:
    if type_ is None or is_list(type_) or pa.types.is_struct(type_):
        return False
    try:
        scalar_of(value, type_)
    except ValueError:
        return False
    return True


def cases_agree(graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        if node.kind != "switch":
            continue
        first_label, first = node.bodies[0]
        names = [port.name for port in first.outputs]
        for label, body in node.bodies[1:]:
            theirs = {port.name: port.type for port in body.outputs}
            if list(theirs) != names:
                yield (
                    f"{at(node)}: case {first_label} gives {names}, case {label} gives "
                    f"{list(theirs)}; use .select(...) and .rename(...) to make them alike"
                )
                continue
            for port in first.outputs:
                if not types_agree(theirs[port.name], port.type):
                    yield (
                        f"{at(node)}: case {first_label} gives `{port.name}: "
                        f"{type_name(port.type)}`, case {label} gives "
                        f"`{type_name(theirs[port.name])}`; make them alike"
                    )
