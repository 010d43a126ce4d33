"""Graphs inside graphs, fixed values, run parameters, and graphs that run in several stages."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel

from graphs import Column, Model, Resources, graph, node
from graphs.ir import Behaviour
from graphs.nodes.control import constant, each, filter, parameter, switch
from tests.cases.case import Case
from tests.cases.graphs.plain import Shift, double, root, scale
from tests.cases.graphs.routing import is_small, negate

INPUTS = {"id": pa.string(), "number": pa.int64()}


@graph(key="id", inputs=INPUTS)
def inner(number: Column) -> dict[str, Column]:
    """A graph that runs alone and inside others."""
    return {"root": root(number), "doubled": double(number)}


@node(inputs={"one": pa.float64(), "two": pa.int64()}, outputs={"sum": pa.int64()})
def add(one: pa.Array, two: pa.Array) -> Any:
    return pc.add(pc.cast(one, pa.int64()), two)


@graph(key="id", inputs=INPUTS)
def middle(number: Column) -> dict[str, Column]:
    doubled = double(number)
    filter(is_small(doubled))
    return {"root": inner(doubled).root, "again": inner(number).doubled, "same": number}


@graph(key="id", inputs=INPUTS)
def outer(number: Column) -> dict[str, Column]:
    """Two levels, a filter in the middle one."""
    found = middle(Shift()(number))
    return {"root": found.root, "again": double(found.again), "same": found.same}


class Line(BaseModel):
    """A number, and a factor that may be left out."""

    id: str
    number: int
    factor: int = 4


@graph(key="id", inputs=Line)
def multiplied(number: Column, factor: Any = None) -> dict[str, Column]:
    return {"product": scale(number, factor)}


@graph(key="id", inputs={**INPUTS, "other": pa.int64()})
def multiplied_twice(number: Column, other: Column) -> dict[str, Column]:
    """One graph twice, its optional input left out and fed."""
    return {"by_default": multiplied(number), "by_other": multiplied(number, factor=other)}


@graph(key="id", inputs=INPUTS)
def constants(number: Column) -> dict[str, Column]:
    """Fixed values of many types, some of them read by nodes."""
    return {
        "scaled": scale(number, factor=constant(3, pa.int64())),
        "text": constant("naïve", pa.string()),
        "flag": constant(True, pa.bool_()),
        "nothing": constant(None, pa.string()),
        "many": constant([1, None, 3], pa.list_(pa.int64())),
        "place": constant(
            {"x": 0.5, "y": None}, pa.struct([("x", pa.float64()), ("y", pa.int8())])
        ),
    }


@graph(key="id", inputs=INPUTS)
def parametrised(number: Column) -> dict[str, Column]:
    """Run parameters, one of them read twice, and one inside a switch."""
    factor = parameter("factor", pa.int64(), default=2)

    def by_parameter(number: Column) -> Column:
        scaled: Column = scale(number, factor=parameter("other", pa.int64(), default=-1))
        return scaled

    return {
        "scaled": scale(number, factor=factor),
        "chosen": switch(factor, {5: by_parameter}, number, default=double),
        "factor": factor,
        "label": parameter("label", pa.string(), default="none"),
    }


LIGHT, LIGHTER = Resources(cpus=0.5), Resources(cpus=0.25)


@node(inputs={"number": pa.int64()}, outputs={"checked": pa.int64()}, resources=LIGHT)
def check(number: list[int]) -> list[int]:
    """Fails for a negative number."""
    if any(one < 0 for one in number):
        raise ValueError("negative")
    return number


class Heavy(Model, inputs={"number": pa.int64()}, outputs={"heavy": pa.int64()}, resources=LIGHTER):
    """Fails for 14."""

    def predict(self, number: list[int]) -> list[int]:
        if 14 in number:
            raise KeyError("fourteen")
        return [one + 1 for one in number]


@node(
    inputs={"heavy": pa.int64()},
    outputs={"text": pa.string()},
    resources=LIGHT,
    behaviour=Behaviour(batch_rows=2),
)
def describe(heavy: list[int]) -> list[str]:
    """Fails for 100."""
    if 100 in heavy:
        raise RuntimeError("too round")
    return [f"no. {one}" for one in heavy]


@node(inputs={"number": pa.int64()}, outputs={"is_even": pa.bool_()}, resources=LIGHT)
def is_even(number: pa.Array) -> Any:
    return pc.equal(pc.bit_wise_and(number, 1), 0)


@graph(key="id", inputs=INPUTS)
def staged(number: Column) -> dict[str, Column]:
    """Three stages, each of which rejects some rows; a filter in the first."""
    filter(is_even(number))
    return {"text": describe(Heavy()(check(number))), "number": number}


@node(
    inputs={"number": pa.int64()},
    outputs={"alone": pa.int64()},
    behaviour=Behaviour(isolate=True, nulls="skip"),
)
def alone(number: list[int]) -> list[int]:
    return [one * one for one in number]


@graph(key="id", inputs=INPUTS)
def isolated(number: Column) -> dict[str, Column]:
    """A node that shares a process with no other."""
    return {"alone": double(alone(double(number))), "number": number}


@graph(key="id", inputs={"id": pa.string(), "kind": pa.string(), "numbers": pa.list_(pa.int64())})
def all_together(kind: Column, numbers: Column) -> dict[str, Column]:
    """A switch, an each, a filter and a nested graph, some in others."""

    def one(number: Column) -> Column:
        filter(is_small(number))
        found = inner(number)
        value: Column = add(found.root, found.doubled)
        return value

    def minus(number: Column) -> Column:
        value: Column = negate(number)
        return value

    def plus_list(numbers: Column) -> Column:
        value: Column = each(one, numbers)
        return value

    def minus_list(numbers: Column) -> Column:
        value: Column = each(minus, numbers)
        return value

    return {"values": switch(kind, {"+": plus_list, "-": minus_list}, numbers)}


CASES = (
    Case(
        "a graph alone that is a node of others",
        inner,
        {"id": ["a", "b"], "number": [4, -4]},
        {"id": ["a"], "root": [2.0], "doubled": [8]},
        rejected=((1, "root", "ValueError"),),
    ),
    Case(
        "graphs in a graph in a graph",
        outer,
        {"id": list("abcdef"), "number": [1, 100, -3, 13, None, 0]},
        {"id": ["a", "f"], "root": [2.0, 2**0.5], "again": [8, 4], "same": [2, 1]},
        rejected=((2, "middle/inner/root", "ValueError"), (3, "Shift", "KeyError")),
        filtered={"middle/filter": 2},
    ),
    Case(
        "one graph twice in a graph, its optional input left out and fed, another required",
        multiplied_twice,
        {"id": ["a", "b", "c"], "number": [2, None, 3], "other": [10, 3, 1]},
        {"id": ["a", "c"], "by_default": [8, 12], "by_other": [20, 3]},
        rejected=((1, "multiplied/input", "NullInput"),),
    ),
    Case(
        "constants of many types",
        constants,
        {"id": ["a", "b"], "number": [1, None]},
        {
            "id": ["a", "b"],
            "scaled": [3, None],
            "text": ["naïve"] * 2,
            "flag": [True] * 2,
            "nothing": [None] * 2,
            "many": [[1, None, 3]] * 2,
            "place": [{"x": 0.5, "y": None}] * 2,
        },
    ),
    Case(
        "constants of many types, and no rows",
        constants,
        {"id": [], "number": []},
        {name: [] for name in ("id", "scaled", "text", "flag", "nothing", "many", "place")},
    ),
    Case(
        "run parameters that nobody sets",
        parametrised,
        {"id": ["a", "b"], "number": [1, None]},
        {
            "id": ["a", "b"],
            "scaled": [2, None],
            "chosen": [2, None],
            "factor": [2, 2],
            "label": ["none", "none"],
        },
    ),
    Case(
        "run parameters that are set",
        parametrised,
        {"id": ["a", "b"], "number": [1, 7]},
        {
            "id": ["a", "b"],
            "scaled": [5, 35],
            "chosen": [3, 21],
            "factor": [5, 5],
            "label": ["größer"] * 2,
        },
        parameters={"factor": 5, "other": 3, "label": "größer"},
    ),
    Case(
        "three stages, rows rejected in each and filtered in the first",
        staged,
        {"id": list("abcdefghij"), "number": [2, 3, -2, 14, 4, 98, 6, None, 8, 99]},
        {
            "id": list("aefgi"),
            "text": ["no. 3", "no. 5", "no. 99", "no. 7", "no. 9"],
            "number": [2, 4, 98, 6, 8],
        },
        rejected=((2, "check", "ValueError"), (3, "Heavy", "KeyError")),
        filtered={"filter": 3},
        stages=3,
    ),
    Case(
        "three stages and no rows",
        staged,
        {"id": [], "number": []},
        {"id": [], "text": [], "number": []},
        stages=3,
    ),
    Case(
        "a node that shares its process with no other",
        isolated,
        {"id": ["a", "b", "c"], "number": [1, None, -3]},
        {"id": ["a", "b", "c"], "alone": [8, None, 72], "number": [1, None, -3]},
        stages=3,
    ),
    Case(
        "a switch, an each, a filter and a nested graph in one another",
        all_together,
        {
            "id": list("abcdef"),
            "kind": ["+", "-", "+", "+", "*", "-"],
            "numbers": [[1, 50, 4], [1, 50], [-50], None, [1], []],
        },
        {"id": list("abdf"), "values": [[3, 10], [-1, -50], None, []]},
        rejected=(
            (2, "switch/each/inner/root", "ValueError"),
            (4, "switch", "NoCase"),
        ),
    ),
)
