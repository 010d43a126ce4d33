"""Control over rows: route them, drop them, run nodes over a list's items; and fixed values."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from graphs.authoring import Column, Columns, GraphFunction, Model, NodeFunction
from graphs.authoring.tracing import caller, needed_trace, trace_body
from graphs.errors import AuthoringError
from graphs.ir import Graph, Node, Port, is_list, type_name

Branch = Callable[..., Any]
"""A node, a model, a graph, or a function that wires some of them."""

_CASE = "case"
_DEFAULT = "default"
"""Label of the body of other rows; those of cases are JSON, so a string has quotes."""


def switch(
    by: Column,
    cases: Mapping[Any, Branch],
    *args: Column,
    default: Branch | None = None,
    **kwargs: Column,
) -> Any:
    """Route each row to one of several branches by the value of a column.

    Args:
        by: the column that decides: strings, integers or booleans.
        cases: value to branch. Every branch is called with the same columns and must give
            outputs of the same names and types; outputs come back in row order.
        args, kwargs: the columns that the branches read.
        default: branch of every other row, nulls among them; without it they are rejected.

    Returns:
        One column, or :class:`Columns`, as the branches give.

    Raises:
        AuthoringError: there is no case, or the branches' outputs have different names.
    """
    trace = needed_trace("switch")
    where = f"switch at {caller()}"
    if odd := [value for value in cases if not isinstance(value, str | int | float)]:
        raise AuthoringError(
            f"cases {odd} are no strings, numbers or booleans",
            where,
            "Rows with a null, and all that have no case, go to default=",
        )
    branches = [(json.dumps(value), branch) for value, branch in cases.items()]
    if default is not None:
        branches.append((_DEFAULT, default))
    if not branches:
        raise AuthoringError("has no case", where, "Give at least one")
    arguments = _named(branches[0][1], args, kwargs, where)
    if _CASE in arguments:
        raise AuthoringError(
            f"an argument may not be named {_CASE!r}", where, "Rename the branch's parameter"
        )
    trace.need_columns("switch", {_CASE: by, **arguments})
    ports = [Port(name, column.type) for name, column in arguments.items()]
    bodies = [(label, _body(label, branch, ports, len(args))) for label, branch in branches]
    names = {tuple(port.name for port in body.outputs) for _, body in bodies}
    if len(names) > 1:
        given = "; ".join(f"{k}: {[p.name for p in b.outputs]}" for k, b in bodies)
        raise AuthoringError(
            f"its cases give different outputs ({given})",
            where,
            "Use .select(...) and .rename(...) to make them alike",
        )
    node = Node(
        name="switch",
        ref="",
        kind="switch",
        inputs=(Port(_CASE, by.type), *ports),
        outputs=bodies[0][1].outputs,
        bodies=tuple(bodies),
    )
    return trace.add(node, {_CASE: by, **arguments})


def each(branch: Branch, *lists: Column, **columns: Column) -> Any:
    """Run a branch over every item of a list column, as one flat batch, and fold back.

    Args:
        branch: called once for all items of all rows; its first parameters receive the items.
        lists: list columns; of one row they have the same number of items.
        columns: further parameters of the branch: columns whose value of a row goes to each of
            its items.

    Returns:
        A list column for each output of the branch. An empty list gives an empty list, a null
        gives a null. A filter inside drops items; an item that fails rejects its row.

    Raises:
        AuthoringError: there is no list, or a column is not a list.
    """
    trace = needed_trace("each")
    where = f"each at {caller()}"
    if not lists:
        raise AuthoringError("got no list column", where, "Pass at least one")
    arguments = _named(branch, lists, columns, where)
    trace.need_columns("each", arguments)
    for column in lists:
        if not is_list(column.type):
            raise AuthoringError(
                f"{column.label} is {type_name(column.type)}, not a list",
                where,
                "Pass a column that goes to every item by the name of the branch's parameter",
            )
    items = list(arguments)[: len(lists)]
    inner = [Port(n, _item(c.type) if n in items else c.type) for n, c in arguments.items()]
    body = _body("each", branch, inner, len(lists))
    node = Node(
        name="each",
        ref="",
        kind="each",
        inputs=tuple(Port(name, column.type) for name, column in arguments.items()),
        outputs=tuple(Port(p.name, pa.list_(p.type) if p.type else None) for p in body.outputs),
        parameters=json.dumps({"items": items}),
        bodies=(("each", body),),
    )
    return trace.add(node, arguments)


def filter(by: Column) -> None:
    """Drop every row whose value is false or null. Dropped rows are counted, not an error.

    The whole row goes, whatever was wired before: filters run as early as their column allows.
    """
    node = Node("filter", "", "filter", inputs=(Port("by", pa.bool_()),), outputs=())
    needed_trace("filter").add(node, {"by": by})


def constant(value: Any, type: pa.DataType) -> Column:
    """A column with one value in every row.

    Args:
        value: a JSON value; dates, times and decimals are text (ISO 8601, ``"1.50"``).
        type: its Arrow type.

    Raises:
        AuthoringError: it is no JSON value.
    """
    node = Node(
        "constant",
        "",
        "constant",
        inputs=(),
        outputs=(Port("value", type),),
        parameters=_told("constant", value=value),
    )
    return needed_trace("constant").add(node, {})  # type: ignore[return-value]


def parameter(name: str, type: pa.DataType, *, default: Any) -> Column:
    """A column with the value that a run parameter has; the default unless a run sets it.

    Args:
        name: of the run parameter.
        type: its Arrow type.
        default: a JSON value, as of :func:`constant`; it is part of the version.

    Raises:
        AuthoringError: the default is no JSON value.
    """
    node = Node(
        name,
        "",
        "parameter",
        inputs=(),
        outputs=(Port("value", type),),
        parameters=_told(f"parameter {name!r}", name=name, default=default),
    )
    return needed_trace("parameter").add(node, {})  # type: ignore[return-value]


def _told(what: str, **facts: Any) -> str:
    try:
        return json.dumps(facts, sort_keys=True)
    except TypeError as error:
        raise AuthoringError(
            str(error),
            f"{what} at {caller()}",
            "Write dates, times and decimals as text, such as '2026-11-22'",
        ) from error


def _named(
    branch: Branch, args: tuple[Column, ...], kwargs: Mapping[str, Column], where: str
) -> dict[str, Column]:
    """Arguments by the names of the branch's parameters, positional ones first."""
    names = list(_signature(branch).parameters)
    if len(args) > len(names):
        raise AuthoringError(
            f"passes {len(args)} columns to a branch with the parameters {names}",
            where,
            "Pass as many as it takes",
        )
    return dict(zip(names, args, strict=False)) | dict(kwargs)


def _signature(branch: Branch) -> inspect.Signature:
    if isinstance(branch, NodeFunction | GraphFunction):
        return inspect.signature(branch.function)
    return inspect.signature(branch.predict if isinstance(branch, Model) else branch)


def _body(label: str, branch: Branch, ports: list[Port], positional: int) -> Graph:
    names = [port.name for port in ports]

    def call(columns: Mapping[str, Column]) -> Any:
        args = [columns[name] for name in names[:positional]]
        return branch(*args, **{name: columns[name] for name in names[positional:]})

    return trace_body(label, branch, ports, call)[0]


def _item(type_: Any) -> pa.DataType:
    return type_.value_type


__all__ = ["Columns", "constant", "each", "filter", "parameter", "switch"]
