"""What a node returned, held against what it declares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from graphs.errors import NodeError
from graphs.ir import Port, type_name, types_agree
from graphs.runtimes.kernel import views
from graphs.runtimes.kernel.steps import Outputs, one_chunk


def outputs_of(returned: Any, ports: tuple[Port, ...], rows: int, where: str) -> Outputs:
    """A column per output out of what a node returned.

    Raises:
        NodeError: names, a type or a number of rows differ from the declaration.
    """
    if len(ports) == 1 and not isinstance(returned, dict):
        return {ports[0].name: _checked(ports[0], returned, rows, where)}
    return {
        port.name: _checked(port, value, rows, where)
        for port, value in _by_port(returned, ports, where)
    }


def empty(ports: tuple[Port, ...]) -> Outputs:
    """No rows of each output."""
    return {port.name: pa.array([], port.type) for port in ports}


def _by_port(
    returned: Any, ports: tuple[Port, ...], where: str
) -> Iterator[tuple[Port, Any]] | zip[tuple[Port, Any]]:
    names = [port.name for port in ports]
    if isinstance(returned, dict):
        if set(returned) != set(names):
            raise NodeError(
                f"returned columns {sorted(returned)}, declares {sorted(names)}",
                where,
                "Return exactly the declared outputs",
            )
        return ((port, returned[port.name]) for port in ports)
    if not isinstance(returned, tuple) or len(returned) != len(names):
        size = f" of {len(returned)}" if isinstance(returned, tuple) else ""
        raise NodeError(
            f"returned a {type(returned).__name__}{size}, declares the columns {names}",
            where,
            "Return a tuple in that order, or a dict",
        )
    return zip(ports, returned, strict=True)


def _checked(port: Port, value: Any, rows: int, where: str) -> pa.Array:
    declared = port.type
    assert declared is not None, "outputs of functions and models have types"
    if isinstance(value, pa.Array) and len(value) == rows and value.type == declared:
        return value
    what = f"output {port.name!r} is declared {type_name(declared)}"
    try:
        column = one_chunk(views.column(value, declared))
    except (pa.ArrowException, TypeError, OverflowError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        separator = ", " if text.startswith("got ") else ": "
        raise NodeError(
            f"{what}{separator}{text}", where, "Return what is declared, or change the declaration"
        ) from error
    is_exact = column.type == declared
    if not is_exact and not types_agree(column.type, declared):
        raise NodeError(
            f"{what}, got {type_name(column.type)}",
            where,
            "Cast it in the node, or change the declaration",
        )
    if len(column) != rows:
        raise NodeError(
            f"output {port.name!r} has {len(column)} rows for {rows} rows in",
            where,
            "A node gives one row for each row",
        )
    return column if is_exact else column.cast(declared)
