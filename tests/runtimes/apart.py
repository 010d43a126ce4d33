"""Graphs for the tests of Serve: nodes in several processes, filters, optional inputs."""

from __future__ import annotations

import os
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel

from graphs import Behaviour, Column, Model, Resources, graph, node
from graphs.nodes import filter

INPUTS = {"id": pa.string(), "number": pa.int64(), "place": pa.string()}
APART = Behaviour(isolate=True)
LIGHT = Resources(cpus=0.1)


@node(inputs={"number": pa.int64()}, outputs={"doubled": pa.int64()}, resources=LIGHT)
def double(number: list[int]) -> list[int]:
    """Fails for multiples of five."""
    return [_doubled(one) for one in number]


def _doubled(number: int) -> int:
    if number % 5 == 0:
        raise ValueError(f"{number} is a multiple of five")
    return 2 * number


@node(inputs={"number": pa.int64()}, outputs={"is_small": pa.bool_()}, resources=LIGHT)
def small(number: pa.Array) -> Any:
    return pc.less(number, 80)


class Root(
    Model,
    inputs={"number": pa.int64()},
    outputs={"root": pa.float64()},
    behaviour=APART,
    resources=LIGHT,
):
    """Fails for a negative number."""

    def load(self) -> None:
        self.is_loaded = True

    def predict(self, number: list[int]) -> list[float]:
        assert self.is_loaded
        return [_root(one) for one in number]


def _root(number: int) -> float:
    if number < 0:
        raise ArithmeticError(f"{number} has no root")
    return float(number**0.5)


@node(
    inputs={"number": pa.int64()},
    outputs={"vector": pa.list_(pa.float32(), 2), "sign": pa.dictionary(pa.int32(), pa.string())},
    behaviour=APART,
    resources=LIGHT,
)
def describe(number: np.ndarray) -> dict[str, Any]:
    """Fails for multiples of seven, and for -71 breaks its declaration."""
    if -71 in number:
        return {"vector": [], "sign": []}
    if any(number % 7 == 0):
        raise KeyError("a multiple of seven")
    vector = np.stack([number, number / 3], axis=1).astype(np.float32)
    sign = pa.array(np.where(number < 0, "negative", "positive")).dictionary_encode()
    return {"vector": vector, "sign": sign}


@node(
    inputs={"root": pa.float64(), "doubled": pa.int64()},
    outputs={"sum": pa.float64()},
    resources=LIGHT,
)
def add(root: pa.Array, doubled: pa.Array) -> Any:
    return pc.add(root, pc.cast(doubled, pa.float64()))


@graph(key="id", inputs=INPUTS)
def chain(number: Column) -> dict[str, Column]:
    """A node that stands apart between two that do not."""
    doubled = double(number)
    return {"sum": add(Root()(doubled), doubled)}


@graph(key="id", inputs=INPUTS)
def branches(number: Column) -> dict[str, Column]:
    """Two nodes that stand apart and do not wait for each other, after a filter."""
    filter(small(number))
    doubled = double(number)
    root = Root()(number)
    vector, sign = describe(number)
    return {"sum": add(root, doubled), "vector": vector, "sign": sign, "number": number}


@node(inputs={"place": pa.string()}, outputs={"left": pa.int64()}, behaviour=APART, resources=LIGHT)
def left(place: list[str]) -> list[int]:
    return _met(place, "left", "right")


@node(
    inputs={"place": pa.string()}, outputs={"right": pa.int64()}, behaviour=APART, resources=LIGHT
)
def right(place: list[str]) -> list[int]:
    return _met(place, "right", "left")


def _met(places: list[str], me: str, other: str) -> list[int]:
    """The process's id once the other has come to the place too."""
    deadline = time.monotonic() + 60
    for place in (place for place in places if place):
        Path(place, me).touch()
        while not Path(place, other).exists():
            assert time.monotonic() < deadline, f"{other} never came"
            time.sleep(0.01)
    return [os.getpid()] * len(places)


@graph(key="id", inputs=INPUTS)
def meeting(place: Column) -> dict[str, Column]:
    """Two nodes that must run at the same time."""
    return {"left": left(place), "right": right(place)}


@node(inputs={"number": pa.int64()}, outputs={"x": pa.int64()}, behaviour=APART, resources=LIGHT)
def lie(number: pa.Array) -> Any:
    """Breaks its declaration for a negative number: a row too few."""
    return number[1:] if pc.min(number).as_py() < 0 else number


@graph(key="id", inputs=INPUTS)
def lying(number: Column) -> dict[str, Column]:
    return {"x": lie(number)}


class Lost(
    Model,
    inputs={"number": pa.int64()},
    outputs={"x": pa.int64()},
    behaviour=APART,
    resources=LIGHT,
):
    def load(self) -> None:
        raise FileNotFoundError("the weights are gone")

    def predict(self, number: pa.Array) -> Any:
        return number


@graph(key="id", inputs=INPUTS)
def unloadable(number: Column) -> dict[str, Column]:
    return {"x": Lost()(number)}


class Measured(BaseModel):
    """A row that may leave most of itself out."""

    id: str
    number: int
    unit: str = "m"
    since: date = date(2026, 1, 2)
    note: str | None = None


@node(
    inputs={
        "number": pa.int64(),
        "unit": pa.string(),
        "since": pa.date32(),
        "note": pa.string(),
    },
    outputs={"label": pa.string()},
    resources=LIGHT,
)
def label(number: list[int], unit: list[str], since: list[date], note: list[str]) -> list[str]:
    columns = zip(number, unit, since, note, strict=True)
    return [f"{n} {u}, since {s}, {remark}" for n, u, s, remark in columns]


@graph(key="id", inputs=Measured)
def labelled(number: Column, unit: Column, since: Column, note: Column) -> dict[str, Column]:
    """Optional inputs, and a filter."""
    filter(small(number))
    return {"label": label(number, unit, since, note)}
