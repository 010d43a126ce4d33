"""Small nodes out of which random graphs are made, and what each means for one row.

``MEANS`` says in plain Python what a node makes of one row, null included; it shares no code with
the nodes, which work on batches through every view.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from graphs import Model, Resources, node
from graphs.authoring import NodeFunction
from graphs.ir import Behaviour

INT, FLOAT, TEXT, BOOL = pa.int64(), pa.float64(), pa.string(), pa.bool_()
INTS, TEXTS = pa.list_(INT), pa.list_(TEXT)

LIGHT, LIGHTER = Resources(cpus=0.5), Resources(cpus=0.25)
SKIP = Behaviour(nulls="skip")
REJECT = Behaviour(nulls="reject")


@node(inputs={"a": INT, "b": INT}, outputs={"sum": INT})
def add(a: pa.Array, b: pa.Array) -> Any:
    return pc.add(a, b)


@node(inputs={"a": INT, "b": INT}, outputs={"product": INT}, resources=LIGHT)
def multiply(a: pa.Array, b: pa.Array) -> Any:
    """Fails where the product is a million or more."""
    product = pc.multiply(a, b)
    if pc.any(pc.greater_equal(pc.abs(product), 1_000_000)).as_py():
        raise OverflowError("too large")
    return product


@node(inputs={"a": INT, "b": INT}, outputs={"whole": INT, "rest": INT}, behaviour=SKIP)
def divide(a: list[int], b: list[int]) -> dict[str, list[int]]:
    """Fails for a zero."""
    pairs = list(zip(a, b, strict=True))
    return {"rest": [x % y for x, y in pairs], "whole": [x // y for x, y in pairs]}


@node(inputs={"a": INT}, outputs={"negated": INT}, behaviour=Behaviour(nulls="skip", batch_rows=2))
def negate(a: np.ndarray[Any, Any]) -> Any:
    return np.negative(a)


@node(inputs={"a": INT}, outputs={"root": FLOAT}, behaviour=REJECT)
def root(a: list[int]) -> list[float]:
    """Fails for a negative number."""
    return [math.sqrt(one) for one in a]


@node(inputs={"a": FLOAT}, outputs={"halved": FLOAT}, behaviour=SKIP, resources=LIGHT)
def halve(a: pd.Series) -> Any:
    return a / 2


@node(inputs={"a": FLOAT}, outputs={"floor": INT}, behaviour=SKIP)
def floor(a: list[float]) -> list[int]:
    """Fails for what is not finite."""
    return [math.floor(one % 100) for one in a]


@node(inputs={"a": INT}, outputs={"is_even": BOOL})
def is_even(a: list[int | None]) -> list[bool | None]:
    return [None if one is None else one % 2 == 0 for one in a]


@node(inputs={"a": INT, "b": INT}, outputs={"is_less": BOOL})
def is_less(a: pa.Array, b: pa.Array) -> Any:
    return pc.less(a, b)


@node(inputs={"a": BOOL}, outputs={"flipped": BOOL}, behaviour=SKIP)
def flip(a: np.ndarray[Any, Any]) -> Any:
    return ~a.astype(bool)


@node(
    inputs={"a": INT}, outputs={"sign": TEXT}, behaviour=Behaviour(batch_rows=3), resources=LIGHTER
)
def sign(a: list[int | None]) -> list[str | None]:
    return [None if one is None else "+" if one > 0 else "-" if one < 0 else "0" for one in a]


@node(inputs={"a": TEXT, "b": TEXT}, outputs={"joined": TEXT})
def join(a: pa.Array, b: pa.Array) -> Any:
    """Kept short."""
    return pc.utf8_slice_codeunits(pc.binary_join_element_wise(a, b, ""), 0, 8)


@node(inputs={"a": TEXT}, outputs={"length": INT, "turned": TEXT}, resources=LIGHT)
def measure(a: pa.Array) -> tuple[Any, Any]:
    return pc.cast(pc.utf8_length(a), INT), pc.utf8_reverse(a)


@node(inputs={"a": TEXT}, outputs={"number": INT}, behaviour=SKIP)
def parse(a: list[str]) -> list[int]:
    """Fails for what is no number."""
    return [int(one) for one in a]


@node(inputs={"a": INT}, outputs={"numbers": INTS}, behaviour=SKIP)
def count_up(a: list[int]) -> list[list[int | None]]:
    """Up to three numbers and, after an odd number, a null."""
    return [[*range(one % 4), *([None] if one % 2 else [])] for one in a]


@node(inputs={"a": TEXT}, outputs={"letters": TEXTS})
def spell(a: list[str | None]) -> list[list[str] | None]:
    return [None if one is None else list(one) for one in a]


@node(inputs={"a": INTS}, outputs={"total": INT}, resources=LIGHT)
def total(a: list[list[int | None] | None]) -> list[int | None]:
    """Fails for a list that holds a 7."""
    if any(7 in row for row in a if row is not None):
        raise LookupError("a seven")
    return [None if row is None else sum(one for one in row if one is not None) for row in a]


@node(inputs={"a": INT, "b": INT}, outputs={"either": INT})
def either(a: pa.Array, b: Any = 5) -> Any:
    """An input that may be left out."""
    return pc.coalesce(a, b)


class Affine(Model, inputs={"a": INT}, outputs={"y": INT}, behaviour=SKIP, resources=LIGHTER):
    """A model; fails for what is its limit or more."""

    def __init__(self, scale: int, limit: int) -> None:
        self.scale, self.limit = scale, limit

    def load(self) -> None:
        self.is_loaded = True

    def predict(self, a: list[int]) -> list[int]:
        assert self.is_loaded
        if max(a) >= self.limit:
            raise ValueError("too much")
        return [self.scale * one + 1 for one in a]


@dataclass(frozen=True)
class Means:
    """What a node is for one row: its outputs in order, out of its inputs in order."""

    row: Callable[..., tuple[Any, ...]]
    nulls: str = "skip"
    """``skip``: out of a null comes a null, whoever sees to that; ``pass`` and ``reject``."""


def _small(value: int) -> int:
    if abs(value) >= 1_000_000:
        raise OverflowError
    return value


def _no_seven(row: list[int | None] | None) -> int | None:
    if row is None:
        return None
    if 7 in row:
        raise LookupError
    return sum(one for one in row if one is not None)


def _within(value: int, limit: int) -> int:
    if value >= limit:
        raise ValueError
    return value


MEANS: dict[str, Means] = {
    "add": Means(lambda a, b: (a + b,)),
    "multiply": Means(lambda a, b: (_small(a * b),)),
    "divide": Means(divmod),
    "negate": Means(lambda a: (-a,)),
    "root": Means(lambda a: (math.sqrt(a),), nulls="reject"),
    "halve": Means(lambda a: (None if math.isnan(a) else a / 2,)),  # pandas has no other null
    "floor": Means(lambda a: (math.floor(a % 100),)),
    "is_even": Means(lambda a: (a % 2 == 0,)),
    "is_less": Means(lambda a, b: (a < b,)),
    "flip": Means(lambda a: (not a,)),
    "sign": Means(lambda a: ("0" if a == 0 else "+" if a > 0 else "-",)),
    "join": Means(lambda a, b: ((a + b)[:8],)),
    "measure": Means(lambda a: (len(a), a[::-1])),
    "parse": Means(lambda a: (int(a),)),
    "count_up": Means(lambda a: ([*range(a % 4), *([None] * (a % 2))],)),
    "spell": Means(lambda a: (list(a),)),
    "total": Means(lambda a: (_no_seven(a),)),
    "either": Means(lambda a, b=5: (b if a is None else a,), nulls="pass"),
    "Affine": Means(lambda a, *, scale, limit: (scale * _within(a, limit) + 1,)),
}

FUNCTIONS: tuple[NodeFunction, ...] = (
    *(add, multiply, divide, negate, root, halve, floor, is_even, is_less, flip),
    *(sign, join, measure, parse, count_up, spell, total, either),
)
