"""Small graphs that tests author, compile and run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from graphs import Column, Model, Resources, graph, node

FACTOR = 2
VECTOR = pa.list_(pa.float32(), 2)
INPUTS = {"id": pa.string(), "number": pa.int64()}


def scaled(number: pa.Array) -> Any:
    """A constant and a function of the project that a node reads."""
    return pc.multiply(number, FACTOR)


@node(inputs={"number": pa.int64()}, outputs={"doubled": pa.int64()})
def double(number: pa.Array) -> Any:
    return scaled(number)


@node(inputs={"number": pa.int64()}, outputs={"root": pa.float64()})
def root(number: list[int]) -> list[float]:
    """Fails for a row that holds a negative number."""
    return [_root(one) for one in number]


def _root(one: int) -> float:
    if one < 0:
        raise ValueError(f"{one} has no root")
    return float(one**0.5)


@node(outputs={"vector": VECTOR, "sign": pa.string()}, inputs={"number": pa.int64()})
def describe(number: np.ndarray[Any, Any]) -> dict[str, Any]:
    return {
        "sign": np.where(number < 0, "negative", "positive"),
        "vector": np.stack([number, -number], axis=1).astype(np.float32),
    }


class Shift(Model, inputs={"number": pa.int64()}, outputs={"shifted": pa.int64()}):
    def __init__(self, by: int = 1) -> None:
        self.by = by
        self.is_loaded = False

    def load(self) -> None:
        self.is_loaded = True

    def predict(self, number: pa.Array) -> Any:
        assert self.is_loaded
        return pc.add(number, self.by)


class Accelerated(
    Model,
    inputs={"number": pa.int64()},
    outputs={"tripled": pa.int64()},
    resources=Resources(gpus=1),
):
    def predict(self, number: pa.Array) -> Any:
        return pc.multiply(number, 3)


@graph(key="id", inputs=INPUTS)
def toy(number: Column) -> dict[str, Column]:
    """Two plain nodes and a model."""
    doubled = double(number)
    return {"root": root(number), "shifted": Shift(by=3)(doubled)}


@graph(key="id", inputs=INPUTS)
def described(number: Column) -> dict[str, Column]:
    """A node with two outputs."""
    vector, sign = describe(number)
    return {"vector": vector, "sign": sign}


@graph(key="id", inputs=INPUTS)
def accelerated(number: Column) -> dict[str, Column]:
    """CPU → GPU → CPU."""
    tripled = Accelerated()(double(number))
    return {"final": double(tripled), "number": number}
