"""Switches and filters: which rows go where, which are dropped, which are rejected."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from graphs import Column, Model, graph, node
from graphs.ir import Behaviour
from graphs.nodes.control import constant, each, filter, switch
from tests.cases.case import Case
from tests.cases.graphs.plain import Shift, bracket, double, root, told

ROUTED = {"id": pa.string(), "kind": pa.string(), "number": pa.int64()}
FLAGGED = {"id": pa.string(), "flag": pa.bool_(), "number": pa.int64()}


@node(inputs={"number": pa.int64()}, outputs={"doubled": pa.int64()})
def negate(number: pa.Array) -> Any:
    """The output has the name that ``double`` gives it."""
    return pc.negate(number)


@node(inputs={"number": pa.int64()}, outputs={"is_small": pa.bool_()})
def is_small(number: pa.Array) -> Any:
    return pc.less(number, 10)


@node(inputs={"number": pa.int64()}, outputs={"is_odd": pa.bool_()})
def is_odd(number: list[int | None]) -> list[bool | None]:
    """Fails for 99."""
    if 99 in number:
        raise LookupError("ninety-nine")
    return [None if one is None else one % 2 == 1 for one in number]


class Pick(
    Model,
    inputs={"number": pa.int64()},
    outputs={"doubled": pa.int64()},
    behaviour=Behaviour(nulls="reject"),
):
    """A model inside a switch; fails for 13."""

    def predict(self, number: list[int]) -> list[int]:
        return [self._picked(one) for one in number]

    def _picked(self, number: int) -> int:
        if number == 13:
            raise KeyError("thirteen")
        return number + 1000


def only_small(number: Column) -> Column:
    """A case with a filter."""
    filter(is_small(number))
    doubled: Column = double(number)
    return doubled


@graph(key="id", inputs=ROUTED)
def by_text(kind: Column, number: Column) -> dict[str, Column]:
    """Cases by text: a node, a model and a filter; any other row is rejected."""
    cases: dict[str, Any] = {"node": negate, "model": Pick(), "filter": only_small}
    return {"value": switch(kind, cases, number)}


@graph(key="id", inputs={"id": pa.string(), "number": pa.int64()})
def by_number(number: Column) -> dict[str, Column]:
    """Cases by number, each with two outputs, and a default."""
    low, high = switch(number, {1: bracket, -1: _around}, number, default=_twice)
    return {"high": high, "low": low}


def _around(number: Column) -> dict[str, Column]:
    return {"low": constant(-100, pa.int64()), "high": number}


def _twice(number: Column) -> dict[str, Column]:
    return {"low": number, "high": double(number)}


@graph(key="id", inputs=FLAGGED)
def by_flag(flag: Column, number: Column) -> dict[str, Column]:
    """Cases by truth."""
    return {"value": switch(flag, {True: double, False: negate}, number)}


@graph(key="id", inputs={**FLAGGED, "kind": pa.string()})
def switch_in_switch(flag: Column, number: Column, kind: Column) -> dict[str, Column]:
    def inner(number: Column, kind: Column) -> Column:
        chosen: Column = switch(kind, {"root": root, "half": halve}, number, default=nothing)
        return chosen

    return {"value": switch(flag, {True: inner, False: as_float}, number=number, kind=kind)}


@node(inputs={"number": pa.int64()}, outputs={"root": pa.float64()})
def halve(number: pa.Array) -> Any:
    return pc.divide(pc.cast(number, pa.float64()), 2.0)


def nothing(number: Column) -> Column:
    return constant(0.0, pa.float64())


def as_float(number: Column, kind: Column) -> Column:
    halved: Column = halve(number)
    return halved


@graph(key="id", inputs={"id": pa.string(), "kind": pa.string(), "numbers": pa.list_(pa.int64())})
def each_in_switch(kind: Column, numbers: Column) -> dict[str, Column]:
    def doubled(numbers: Column) -> dict[str, Column]:
        return {"numbers": each(double, numbers)}

    def same(numbers: Column) -> dict[str, Column]:
        return {"numbers": numbers}

    return {"numbers": switch(kind, {"each": doubled}, numbers, default=same)}


@graph(key="id", inputs={"id": pa.string(), "number": pa.int64()})
def filtered(number: Column) -> dict[str, Column]:
    """The root is wired before the filter, and is not asked about a row that it drops."""
    value = root(number)
    filter(is_small(number))
    return {"root": value}


@graph(key="id", inputs={"id": pa.string(), "number": pa.int64()})
def filtered_twice(number: Column) -> dict[str, Column]:
    """What the second filter reads fails for some rows that the first one drops."""
    filter(is_small(number))
    filter(is_odd(number))
    return {"told": told(number), "shifted": Shift()(number)}


@node(inputs={"number": pa.int64()}, outputs={"never": pa.int64()})
def never(number: pa.Array) -> Any:
    """Nobody reads its output, so that it fails is nobody's business."""
    raise AssertionError("nobody asked")


@graph(key="id", inputs={"id": pa.string(), "number": pa.int64()})
def with_dead_nodes(number: Column) -> dict[str, Column]:
    never(double(number))
    return {"doubled": double(number)}


@graph(key="id", inputs=ROUTED)
def with_dead_nodes_in_a_case(kind: Column, number: Column) -> dict[str, Column]:
    """A filter wired last in a case runs before what it does not depend on, as everywhere."""

    def careful(number: Column) -> Column:
        never(number)
        value: Column = root(number)
        filter(is_small(number))
        return value

    return {"value": switch(kind, {"careful": careful}, number, default=halve)}


CASES = (
    Case(
        "a switch by text with a node, a model and a filter in its cases",
        by_text,
        {
            "id": list("abcdefgh"),
            "kind": ["node", "model", "filter", "model", "filter", "node", "model", "filter"],
            "number": [1, 2, 3, 4, 50, None, 5, None],
        },
        {"id": list("abcdfg"), "value": [-1, 1002, 6, 1004, None, 1005]},
        filtered={"switch/filter": 2},
    ),
    Case(
        "rows that fail inside a switch, and rows without a case",
        by_text,
        {
            "id": list("abcdefg"),
            "kind": ["model", None, "node", "other", "model", "NODE", "filter"],
            "number": [13, 1, 2, 3, None, 4, 5],
        },
        {"id": ["c", "g"], "value": [-2, 10]},
        rejected=(
            (0, "switch/Pick", "KeyError"),
            (1, "switch", "NoCase"),
            (3, "switch", "NoCase"),
            (4, "switch/Pick", "NullInput"),
            (5, "switch", "NoCase"),
        ),
    ),
    Case(
        "a switch of which no row takes any case",
        by_text,
        {"id": ["a", "b"], "kind": [None, "other"], "number": [1, 2]},
        {"id": [], "value": []},
        rejected=((0, "switch", "NoCase"), (1, "switch", "NoCase")),
    ),
    Case(
        "a switch without rows",
        by_text,
        {"id": [], "kind": [], "number": []},
        {"id": [], "value": []},
    ),
    Case(
        "a switch by number with two outputs, and nulls in the column that decides",
        by_number,
        {"id": list("abcde"), "number": [1, -1, None, 7, 1]},
        {"id": list("abcde"), "high": [2, -1, None, 14, 2], "low": [0, -100, None, 7, 0]},
    ),
    Case(
        "a switch by truth",
        by_flag,
        {"id": list("abcd"), "flag": [True, False, None, True], "number": [1, 2, 3, None]},
        {"id": list("abd"), "value": [2, -2, None]},
        rejected=((2, "switch", "NoCase"),),
    ),
    Case(
        "a switch in a switch",
        switch_in_switch,
        {
            "id": list("abcdef"),
            "flag": [True, False, True, True, True, None],
            "kind": ["root", "root", "half", None, "root", "root"],
            "number": [16, 3, 5, 8, -4, 1],
        },
        {"id": list("abcd"), "value": [4.0, 1.5, 2.5, 0.0]},
        rejected=((4, "switch/switch/root", "ValueError"), (5, "switch", "NoCase")),
    ),
    Case(
        "an each in a switch",
        each_in_switch,
        {
            "id": list("abcde"),
            "kind": ["each", None, "each", "each", "x"],
            "numbers": [[1, None, 2], [1, 2], [], None, None],
        },
        {"id": list("abcde"), "numbers": [[2, None, 4], [1, 2], [], None, None]},
    ),
    Case(
        "a filter runs before what it does not depend on",
        filtered,
        {"id": list("abcde"), "number": [4, 100, None, -1, 9]},
        {"id": ["a", "e"], "root": [2.0, 3.0]},
        rejected=((3, "root", "ValueError"),),
        filtered={"filter": 2},
    ),
    Case(
        "a filter that drops everything",
        filtered,
        {"id": ["a", "b"], "number": [100, None]},
        {"id": [], "root": []},
        filtered={"filter": 2},
    ),
    Case(
        "two filters, and rows that fail before, between and after them",
        filtered_twice,
        {"id": list("abcdef"), "number": [1, 2, 13, 7, None, 99]},
        {"id": ["a", "d"], "told": ["1", "7"], "shifted": [2, 8]},
        filtered={"filter": 3, "filter_2": 1},
    ),
    Case(
        "a node that nobody reads",
        with_dead_nodes,
        {"id": ["a", "b"], "number": [1, None]},
        {"id": ["a", "b"], "doubled": [2, None]},
    ),
    Case(
        "a node that nobody reads, and a filter, in a switch",
        with_dead_nodes_in_a_case,
        {
            "id": list("abcd"),
            "kind": ["careful", "careful", "careful", "other"],
            "number": [9, -1, 100, 100],
        },
        {"id": ["a", "d"], "value": [3.0, 50.0]},
        rejected=((1, "switch/root", "ValueError"),),
        filtered={"switch/filter": 1},
    ),
)
