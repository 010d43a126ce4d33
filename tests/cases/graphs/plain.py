"""Nodes, models and what they declare: order, views, bounds, nulls, defaults, failures."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel

from graphs import Column, Model, graph, node
from graphs.authoring.tracing import Columns
from graphs.ir import Behaviour
from tests.cases.case import Case

NUMBER = {"number": pa.int64()}
INPUTS = {"id": pa.string(), "number": pa.int64()}
TWO = {"id": pa.string(), "number": pa.int64(), "other": pa.int64()}
MIXED = {"id": pa.string(), "number": pa.int64(), "ratio": pa.float64()}


@node(inputs=NUMBER, outputs={"doubled": pa.int64()})
def double(number: pa.Array) -> Any:
    return pc.multiply(number, 2)


@node(inputs=NUMBER, outputs={"root": pa.float64()})
def root(number: list[int]) -> list[float]:
    """Fails for a negative number."""
    return [math.sqrt(one) for one in number]


class Shift(Model, inputs=NUMBER, outputs={"shifted": pa.int64()}):
    """Loaded before it is used; fails for 13."""

    def __init__(self, by: int = 1, names: list[str] | None = None) -> None:
        self.by = by
        self.names = names

    def load(self) -> None:
        self.step = self.by * len(self.names or [""])

    def predict(self, number: list[int | None]) -> list[int | None]:
        return [self._shifted(one) for one in number]

    def _shifted(self, number: int | None) -> int | None:
        if number == 13:
            raise KeyError("thirteen")
        return None if number is None else number + self.step


@graph(key="id", inputs=INPUTS)
def rooted(number: Column) -> dict[str, Column]:
    """A function that never fails beside one that does."""
    return {"doubled": double(number), "root": root(number)}


@graph(key="id", inputs=INPUTS)
def shifted(number: Column) -> dict[str, Column]:
    """One model twice, told different things, beside a function."""
    return {
        "small": Shift()(number),
        "large": Shift(by=100, names=["a", "b"])(double(number)),
    }


@graph(key="id", inputs=INPUTS)
def untouched(number: Column) -> dict[str, Column]:
    """No node at all, and the key is not the first output."""
    return {"number": number, "again": number}


@node(inputs=NUMBER, outputs={"halved": pa.float64()}, behaviour=Behaviour(nulls="skip"))
def halve(number: np.ndarray[Any, Any]) -> Any:
    return number / 2


@node(inputs={"ratio": pa.float64()}, outputs={"nearest": pa.float64()})
def nearest(ratio: pd.Series) -> Any:
    return ratio.round()


@node(inputs={"ratio": pa.float64()}, outputs={"negated": pa.float64()})
def negate(ratio: list[float]) -> list[float]:
    return [-one for one in ratio]


@node(inputs={"ratio": pa.float64()}, outputs={"single": pa.float32()})
def narrow(ratio: pa.Array) -> Any:
    return pc.cast(ratio, pa.float32())


@graph(key="id", inputs=MIXED)
def viewed(number: Column, ratio: Column) -> dict[str, Column]:
    """One node for each view."""
    return {
        "doubled": double(number),
        "halved": halve(number),
        "nearest": nearest(ratio),
        "negated": negate(ratio),
        "single": narrow(ratio),
    }


@node(inputs=NUMBER, outputs={"passed": pa.string()})
def told(number: list[int | None]) -> list[str]:
    """Sees nulls."""
    return ["nothing" if one is None else str(one) for one in number]


@node(
    inputs={"number": pa.int64(), "other": pa.int64()},
    outputs={"quotient": pa.int64()},
    behaviour=Behaviour(nulls="skip"),
)
def divide(number: list[int], other: list[int]) -> list[int]:
    """Fails for a zero; would fail for a null if it saw one."""
    return [one // two for one, two in zip(number, other, strict=True)]


@node(inputs=NUMBER, outputs={"needed": pa.int64()}, behaviour=Behaviour(nulls="reject"))
def need(number: list[int]) -> list[int]:
    return [one + 0 for one in number]


@graph(key="id", inputs=TWO)
def skipping(number: Column, other: Column) -> dict[str, Column]:
    """Passes nulls to one node, skips them in another."""
    return {"told": told(number), "quotient": divide(number, other)}


@graph(key="id", inputs=TWO)
def needing(number: Column, other: Column) -> dict[str, Column]:
    """Rejects nulls in one node, skips them in another."""
    return {"needed": need(number), "quotient": divide(number, other)}


@graph(
    key="id",
    inputs=pa.schema([pa.field("id", pa.string()), pa.field("number", pa.int64(), nullable=False)]),
)
def required(number: Column) -> dict[str, Column]:
    """An input that may not hold a null."""
    return {"told": told(number)}


@node(inputs=NUMBER, outputs={"few": pa.int64()}, behaviour=Behaviour(batch_rows=2))
def two_at_most(number: list[int]) -> list[int]:
    if len(number) > 2:
        raise MemoryError("too many rows")
    return number


@node(
    inputs={"text": pa.string()},
    outputs={"little": pa.int64()},
    behaviour=Behaviour(batch_bytes=64),
)
def little_at_once(text: pa.Array) -> Any:
    if len(text) > 1 and text.nbytes > 200:
        raise MemoryError("too many bytes")
    return pc.cast(pc.utf8_length(text), pa.int64())


@graph(key="id", inputs={"id": pa.string(), "number": pa.int64(), "text": pa.string()})
def bounded(number: Column, text: Column) -> dict[str, Column]:
    """Nodes that fail if they get too much at once."""
    return {"few": two_at_most(number), "little": little_at_once(text)}


class Flaky(
    Model,
    inputs=NUMBER,
    outputs={"healed": pa.int64()},
    behaviour=Behaviour(retries=1, retry_on=("ConnectionError",)),
):
    """Fails at every other call."""

    def load(self) -> None:
        self.calls = 0

    def predict(self, number: pa.Array) -> Any:
        self.calls += 1
        if self.calls % 2:
            raise ConnectionResetError("try again")
        return number


@graph(key="id", inputs=INPUTS)
def healed(number: Column) -> dict[str, Column]:
    return {"healed": Flaky()(number)}


@node(inputs=NUMBER, outputs={"soon": pa.int64()}, behaviour=Behaviour(timeout_s=0.75))
def wait(number: list[int | None]) -> list[int | None]:
    """Takes far too long for a negative number."""
    if any(one is not None and one < 0 for one in number):
        threading.Event().wait(2)
    return number


@graph(key="id", inputs=INPUTS)
def hurried(number: Column) -> dict[str, Column]:
    return {"soon": wait(number)}


@node(inputs=NUMBER, outputs={"whole": pa.int64(), "rest": pa.int64(), "sign": pa.string()})
def take_apart(number: list[int]) -> dict[str, Any]:
    """Several outputs, given by name in another order."""
    return {
        "sign": ["-" if one < 0 else "+" for one in number],
        "rest": [abs(one) % 10 for one in number],
        "whole": [abs(one) // 10 for one in number],
    }


@node(inputs=NUMBER, outputs={"low": pa.int64(), "high": pa.int64()})
def bracket(number: pa.Array) -> tuple[Any, Any]:
    """Several outputs in order."""
    return pc.subtract(number, 1), pc.add(number, 1)


@graph(key="id", inputs=INPUTS)
def apart(number: Column) -> dict[str, Column]:
    """Outputs taken by unpacking, attribute and name."""
    low, high = bracket(number)
    parts = take_apart(high)
    return {"sign": parts.sign, "rest": parts["rest"], "whole": parts.whole, "low": low}


@graph(key="id", inputs=INPUTS)
def renamed(number: Column) -> Columns:
    """Some outputs of a node under other names."""
    chosen: Columns = take_apart(number).select("sign", "whole").rename(tens="whole")
    return chosen


@node(
    inputs={"number": pa.int64(), "factor": pa.int64()},
    outputs={"scaled": pa.int64()},
)
def scale(number: pa.Array, factor: Any = 7) -> Any:
    """A node with an input that may be left out."""
    return pc.multiply(number, factor)


@graph(key="id", inputs=TWO)
def scaled(number: Column, other: Column) -> dict[str, Column]:
    """An optional input left out, and fed."""
    return {"by_default": scale(number), "by_other": scale(number, factor=other)}


class Item(BaseModel):
    """An order of which much may be left out."""

    id: str
    number: int
    note: str | None = None
    count: int = 3
    labels: list[str] = ["new", "old"]


@node(
    inputs={"note": pa.string(), "count": pa.int64(), "labels": pa.list_(pa.string())},
    outputs={"line": pa.string()},
)
def line(note: list[str | None], count: list[int], labels: list[list[str]]) -> list[str]:
    rows = zip(note, count, labels, strict=True)
    return [f"{text} {number} {'+'.join(names)}" for text, number, names in rows]


@graph(key="id", inputs=Item)
def ordered(number: Column, note: Column, count: Column, labels: Column) -> dict[str, Column]:
    """Inputs with defaults."""
    return {"line": line(note, count, labels), "count": count, "doubled": double(number)}


CASES = (
    Case(
        "rows come out in order",
        rooted,
        {"id": ["c", "a", "b"], "number": [9, 4, 1]},
        {"id": ["c", "a", "b"], "doubled": [18, 8, 2], "root": [3.0, 2.0, 1.0]},
    ),
    Case("no rows", rooted, {"id": [], "number": []}, {"id": [], "doubled": [], "root": []}),
    Case(
        "one row",
        rooted,
        {"id": ["only"], "number": [2]},
        {"id": ["only"], "doubled": [4], "root": [math.sqrt(2)]},
    ),
    Case(
        "one row, and it fails",
        rooted,
        {"id": ["only"], "number": [-2]},
        {"id": [], "doubled": [], "root": []},
        rejected=((0, "root", "ValueError"),),
    ),
    Case(
        "rows that fail in a function",
        rooted,
        {"id": list("abcdef"), "number": [4, -1, 9, None, -16, 1]},
        {"id": ["a", "c", "f"], "doubled": [8, 18, 2], "root": [2.0, 3.0, 1.0]},
        rejected=((1, "root", "ValueError"), (3, "root", "TypeError"), (4, "root", "ValueError")),
    ),
    Case(
        "every row fails",
        rooted,
        {"id": list("abc"), "number": [-1, -2, -3]},
        {"id": [], "doubled": [], "root": []},
        rejected=tuple((row, "root", "ValueError") for row in range(3)),
    ),
    Case(
        "a row without a key",
        rooted,
        {"id": ["a", None, "c", None], "number": [1, 4, -1, -1]},
        {"id": ["a"], "doubled": [2], "root": [1.0]},
        rejected=(
            (1, "input", "NullInput"),
            (2, "root", "ValueError"),
            (3, "input", "NullInput"),
        ),
    ),
    Case(
        "a model twice with constructor arguments of its own",
        shifted,
        {"id": ["a", "b", "c"], "number": [1, None, -3]},
        {"id": ["a", "b", "c"], "small": [2, None, -2], "large": [202, None, 194]},
    ),
    Case(
        "rows that fail in a model",
        shifted,
        {"id": list("abcde"), "number": [13, 1, 13, 2, 13]},
        {"id": ["b", "d"], "small": [2, 3], "large": [202, 204]},
        rejected=tuple((row, "Shift", "KeyError") for row in (0, 2, 4)),
    ),
    Case(
        "no node at all",
        untouched,
        {"id": ["a", "b"], "number": [1, None]},
        {"id": ["a", "b"], "number": [1, None], "again": [1, None]},
    ),
    Case(
        "a view for each node, and floats at the edge",
        viewed,
        {
            "id": list("abcdef"),
            "number": [1, None, -3, 2**53, 0, 5],
            "ratio": [0.5, -0.0, math.inf, -math.inf, 1e-310, 0.1],
        },
        {
            "id": list("abcdef"),
            "doubled": [2, None, -6, 2**54, 0, 10],
            "halved": [0.5, None, -1.5, 2.0**52, 0.0, 2.5],
            "nearest": [0.0, -0.0, math.inf, -math.inf, 0.0, 0.0],
            "negated": [-0.5, 0.0, -math.inf, math.inf, -1e-310, -0.1],
            "single": [0.5, -0.0, math.inf, -math.inf, 0.0, 0.1],
        },
    ),
    Case(
        "not a number",
        viewed,
        {"id": ["a"], "number": [3], "ratio": [math.nan]},
        {
            "id": ["a"],
            "doubled": [6],
            "halved": [1.5],
            "nearest": [None],  # pandas has no null of its own: to it, not a number is one
            "negated": [math.nan],
            "single": [math.nan],
        },
    ),
    Case(
        "nulls are passed and skipped",
        skipping,
        {
            "id": list("abcdef"),
            "number": [7, None, 9, 1, None, 8],
            "other": [2, 3, None, 0, None, -3],
        },
        {
            "id": list("abcef"),
            "told": ["7", "nothing", "9", "nothing", "8"],
            "quotient": [3, None, None, None, -3],
        },
        rejected=((3, "divide", "ZeroDivisionError"),),
    ),
    Case(
        "nulls everywhere are skipped without a call",
        skipping,
        {"id": ["a", "b"], "number": [None, None], "other": [0, None]},
        {"id": ["a", "b"], "told": ["nothing", "nothing"], "quotient": [None, None]},
    ),
    Case(
        "nulls are rejected",
        needing,
        {"id": list("abcd"), "number": [7, None, 9, 1], "other": [2, None, None, 0]},
        {"id": ["a", "c"], "needed": [7, 9], "quotient": [3, None]},
        rejected=((1, "need", "NullInput"), (3, "divide", "ZeroDivisionError")),
    ),
    Case(
        "a null where the graph allows none",
        required,
        {"id": ["a", "b", None], "number": [1, None, 3]},
        {"id": ["a"], "told": ["1"]},
        rejected=((1, "input", "NullInput"), (2, "input", "NullInput")),
    ),
    Case(
        "batches bounded in rows and in bytes",
        bounded,
        {
            "id": list("abcdefg"),
            "number": list(range(7)),
            "text": ["", "x" * 300, "x", "x" * 100, None, "é" * 90, "xyz"],
        },
        {
            "id": list("abcdefg"),
            "few": list(range(7)),
            "little": [0, 300, 1, 100, None, 90, 3],
        },
    ),
    Case(
        "a retry heals",
        healed,
        {"id": ["a", "b", "c"], "number": [1, 2, 3]},
        {"id": ["a", "b", "c"], "healed": [1, 2, 3]},
    ),
    Case(
        "a row that takes too long",
        hurried,
        {"id": ["a", "b"], "number": [1, -1]},
        {"id": ["a"], "soon": [1]},
        rejected=((1, "wait", "TimeoutError"),),
    ),
    Case(
        "nodes with several outputs",
        apart,
        {"id": ["a", "b"], "number": [41, -31]},
        {"id": ["a", "b"], "sign": ["+", "-"], "rest": [2, 0], "whole": [4, 3], "low": [40, -32]},
    ),
    Case(
        "outputs selected and renamed",
        renamed,
        {"id": ["a", "b"], "number": [41, -31]},
        {"id": ["a", "b"], "sign": ["+", "-"], "tens": [4, 3]},
    ),
    Case(
        "an optional input of a node left out and fed",
        scaled,
        {"id": ["a", "b"], "number": [2, 3], "other": [10, None]},
        {"id": ["a", "b"], "by_default": [14, 21], "by_other": [20, None]},
    ),
    Case(
        "inputs with defaults that are there",
        ordered,
        {
            "id": ["a", "b"],
            "number": [1, 2],
            "note": ["hello", None],
            "count": [5, 6],
            "labels": [["x"], []],
        },
        {"id": ["a", "b"], "line": ["hello 5 x", "None 6 "], "count": [5, 6], "doubled": [2, 4]},
    ),
    Case(
        "inputs with defaults that are missing",
        ordered,
        {"id": ["a", "b"], "number": [1, 2]},
        {
            "id": ["a", "b"],
            "line": ["None 3 new+old"] * 2,
            "count": [3, 3],
            "doubled": [2, 4],
        },
    ),
)
