"""Graphs that tests run on Ray: plain, with a model, in stages, and broken in several ways."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from graphs import Column, Model, Resources, graph, node

INPUTS = {"id": pa.string(), "number": pa.int64(), "wait_for": pa.string()}
LIGHT = Resources(cpus=0.25)
LIGHTER = Resources(cpus=0.125)


@node(inputs={"number": pa.int64()}, outputs={"doubled": pa.int64()}, resources=LIGHT)
def double(number: list[int]) -> list[int]:
    """Fails for a negative number."""
    return [_doubled(one) for one in number]


def _doubled(number: int) -> int:
    if number < 0:
        raise ValueError(f"{number} is negative")
    return 2 * number


@node(inputs={"number": pa.int64()}, outputs={"halved": pa.float64()}, resources=LIGHT)
def halve(number: list[int]) -> list[float]:
    """Fails for a multiple of a thousand."""
    return [_halved(one) for one in number]


def _halved(number: int) -> float:
    if number % 1000 == 0 and number:
        raise RuntimeError(f"{number} is too round")
    return number / 2


@node(
    inputs={"number": pa.int64(), "wait_for": pa.string()},
    outputs={"passed": pa.int64()},
    resources=LIGHT,
)
def wait(number: list[int], wait_for: list[str]) -> list[int]:
    """Returns once every file that a row waits for exists."""
    deadline = time.monotonic() + 120
    for path in {path for path in wait_for if path}:
        Path(f"{path}.reached").touch()
        while not Path(path).exists():
            assert time.monotonic() < deadline, f"{path} never came"
            time.sleep(0.02)
    return number


@node(inputs={"number": pa.int64()}, outputs={"passed": pa.int64()}, resources=LIGHT)
def short(number: pa.Array) -> Any:
    """Breaks its declaration: one row too few."""
    return number[1:]


@node(inputs={"number": pa.int64()}, outputs={"passed": pa.int64()}, resources=LIGHT)
def deadly(number: list[int]) -> list[int]:
    """Takes its worker down."""
    os._exit(13)


@node(inputs={"number": pa.int64()}, outputs={"passed": pa.int64()}, resources=LIGHT)
def hungry(number: list[int]) -> list[int]:
    """Has no memory for more than ten rows at once."""
    if len(number) > 10:
        raise MemoryError(f"{len(number)} rows")
    return number


class Shift(Model, inputs={"number": pa.int64()}, outputs={"shifted": pa.int64()}, resources=LIGHT):
    def __init__(self, by: int = 1) -> None:
        self.by = by

    def predict(self, number: pa.Array) -> Any:
        return pc.add(number, self.by)


@node(inputs={"number": pa.int64()}, outputs={"passed": pa.int64()}, resources=LIGHT)
def at_odds(number: pa.Array) -> Any:
    """Breaks its declaration where there is a 14."""
    return number[1:] if 14 in number.to_pylist() else number


HEAVY_INPUTS = {**INPUTS, "text": pa.string()}


@node(
    inputs={"text": pa.string(), "number": pa.int64(), "wait_for": pa.string()},
    outputs={"text": pa.string()},
    resources=LIGHT,
)
def mark(text: pa.Array, number: list[int], wait_for: list[str]) -> Any:
    """Leaves a mark for each number it saw."""
    for one in set(number):
        Path(f"{wait_for[0]}.read.{one}").touch()
    return text


class Held(
    Model,
    inputs={"text": pa.string(), "number": pa.int64(), "wait_for": pa.string()},
    outputs={"passed": pa.int64()},
    resources=LIGHTER,
):
    """Takes nothing until the file exists that its rows wait for."""

    def predict(self, text: pa.Array, number: list[int], wait_for: list[str]) -> list[int]:
        Path(f"{wait_for[0]}.reached").touch()
        deadline = time.monotonic() + 120
        while not Path(wait_for[0]).exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return number


class Heavy(
    Model, inputs={"number": pa.int64()}, outputs={"shifted": pa.int64()}, resources=LIGHTER
):
    """A model of another resource class, so that it gets a stage of its own."""

    def predict(self, number: list[int]) -> list[int]:
        return [_shifted(one) for one in number]


def _shifted(number: int) -> int:
    if number == 14:
        raise KeyError("fourteen")
    return number + 1


class Unloadable(
    Model, inputs={"number": pa.int64()}, outputs={"shifted": pa.int64()}, resources=LIGHT
):
    def load(self) -> None:
        raise FileNotFoundError("weights.bin")

    def predict(self, number: pa.Array) -> Any:
        return number


class Fragile(
    Model,
    inputs={"number": pa.int64(), "wait_for": pa.string()},
    outputs={"passed": pa.int64()},
    resources=LIGHT,
):
    """Takes its worker down: the first time it sees a path, or always where that is "never"."""

    def predict(self, number: list[int], wait_for: list[str]) -> list[int]:
        for path in {path for path in wait_for if path}:
            if path == "never" or not Path(path).exists():
                if path != "never":
                    Path(path).touch()
                os._exit(13)
        return number


@graph(key="id", inputs=INPUTS)
def fragile(number: Column, wait_for: Column) -> dict[str, Column]:
    """A model whose worker dies where the input says so."""
    return {"passed": Fragile()(number, wait_for)}


@graph(key="id", inputs=INPUTS)
def plain(number: Column) -> dict[str, Column]:
    """Functions only."""
    return {"doubled": double(number)}


@graph(key="id", inputs=INPUTS)
def modelled(number: Column) -> dict[str, Column]:
    """A function and a model in one stage."""
    return {"shifted": Shift(by=3)(double(number)), "number": number}


@graph(key="id", inputs=INPUTS)
def staged(number: Column) -> dict[str, Column]:
    """Three stages, each of which rejects some rows."""
    return {"halved": halve(Heavy()(double(number))), "number": number}


@graph(key="id", inputs=INPUTS)
def waiting(number: Column, wait_for: Column) -> dict[str, Column]:
    """Waits where the input says so."""
    return {"doubled": double(wait(number, wait_for))}


@graph(key="id", inputs=INPUTS)
def greedy(number: Column) -> dict[str, Column]:
    return {"passed": hungry(number)}


@graph(key="id", inputs=INPUTS)
def spoilt(number: Column) -> dict[str, Column]:
    return {"passed": at_odds(number)}


@graph(key="id", inputs=HEAVY_INPUTS)
def crowding(number: Column, wait_for: Column, text: Column) -> dict[str, Column]:
    """A quick stage, and a model that is held up."""
    return {"passed": Held()(mark(text, number, wait_for), number, wait_for)}


@graph(key="id", inputs=INPUTS)
def breaking(number: Column) -> dict[str, Column]:
    return {"passed": short(number)}


@graph(key="id", inputs=INPUTS)
def dying(number: Column) -> dict[str, Column]:
    return {"passed": deadly(number)}


@graph(key="id", inputs=INPUTS)
def unloadable(number: Column) -> dict[str, Column]:
    return {"shifted": Unloadable()(number)}
