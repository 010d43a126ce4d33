"""What a target cannot do, refused when compiling for it."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from graphs.checks.wiring import at
from graphs.ir import Graph, Port, type_name


def code_is_not_in_main(graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        if node.ref.startswith("__main__:"):
            yield (
                f"{at(node)}: it is defined in the script that runs, which a cluster cannot "
                "import; move it to a module"
            )


def types_fit_parquet(graph: Graph) -> Iterator[str]:
    for port in graph.outputs if graph.key else ():
        if port.type is not None and (odd := _first(port, _not_in_parquet)) is not None:
            yield (
                f"output {port.name!r} is {type_name(odd)}, which parquet cannot hold; "
                "convert it in a node"
            )


RESERVED = {"error": "rejected", "filtered": "filtered"}
"""Names that stand beside the key of a row without an answer online, and of which rows."""


def types_fit_json(graph: Graph) -> Iterator[str]:
    for kind, ports in (("input", graph.inputs), ("output", graph.outputs)):
        for port in ports if graph.key else ():
            if port.type is not None and (odd := _first(port, _not_in_json)) is not None:
                yield (
                    f"{kind} {port.name!r} is {type_name(odd)}, which has no JSON form; "
                    "convert it in a node"
                )


def names_are_not_reserved(graph: Graph) -> Iterator[str]:
    for port in graph.outputs if graph.key else ():
        if port.name in RESERVED:
            yield f"output {port.name!r} is how a {RESERVED[port.name]} row is told; rename it"


def _not_in_parquet(type_: pa.DataType) -> bool:
    return bool(pa.types.is_interval(type_) or pa.types.is_union(type_) or _is_run_end(type_))


def _not_in_json(type_: pa.DataType) -> bool:
    types = pa.types
    if types.is_timestamp(type_):
        return bool(type_.unit == "ns")  # pydantic's times end at microseconds
    fits = (
        types.is_integer,
        types.is_boolean,
        types.is_string,
        types.is_large_string,
        types.is_binary,
        types.is_large_binary,
        types.is_float32,
        types.is_float64,
        types.is_date32,
        types.is_decimal128,
        types.is_list,
        types.is_large_list,
        types.is_fixed_size_list,
        types.is_struct,
        types.is_dictionary,
    )
    return not any(fit(type_) for fit in fits)


def _is_run_end(type_: pa.DataType) -> bool:
    return bool(pa.types.is_run_end_encoded(type_))


def _first(port: Port, is_odd: object) -> pa.DataType | None:
    """The first type inside a port's that is odd."""
    pending = [port.type]
    while pending:
        type_ = pending.pop()
        if is_odd(type_):  # type: ignore[operator]
            return type_
        pending += [type_.field(i).type for i in range(type_.num_fields)] if type_ else []
    return None
