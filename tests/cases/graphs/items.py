"""Each: nodes over the items of lists, and everything that can be inside."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from graphs import Column, graph, node
from graphs.nodes.control import each, filter, switch
from tests.cases.case import Case
from tests.cases.graphs.plain import Shift, double, root
from tests.cases.graphs.routing import Pick, is_small, negate

NUMBERS = pa.list_(pa.int64())
LISTS = {"id": pa.string(), "numbers": NUMBERS}


@node(
    inputs={"one": pa.int64(), "two": pa.string(), "three": pa.int64()},
    outputs={"text": pa.string(), "sum": pa.int64()},
)
def join(one: list[Any], two: list[Any], three: list[Any]) -> tuple[list[str], list[Any]]:
    """Fails for a text "fail"."""
    if "fail" in two:
        raise ValueError("told to fail")
    rows = list(zip(one, two, three, strict=True))
    sums = [None if a is None or c is None else a + c for a, _, c in rows]
    return [f"{a}{b}{c}" for a, b, c in rows], sums


@graph(key="id", inputs=LISTS)
def rooted(numbers: Column) -> dict[str, Column]:
    """An item that fails rejects its row."""
    return {"roots": each(root, numbers), "numbers": numbers}


@graph(key="id", inputs=LISTS)
def shifted(numbers: Column) -> dict[str, Column]:
    """A model over items."""
    return {"shifted": each(Shift(by=10), numbers)}


@graph(
    key="id",
    inputs={**LISTS, "words": pa.list_(pa.string()), "number": pa.int64()},
)
def joined(numbers: Column, words: Column, number: Column) -> dict[str, Column]:
    """Two lists of one length, a column of the row beside each item, and two outputs."""
    text, total = each(join, numbers, words, three=number)
    return {"total": total, "text": text}


@graph(key="id", inputs=LISTS)
def kept(numbers: Column) -> dict[str, Column]:
    """A filter inside drops items; no row is dropped."""

    def small(number: Column) -> Column:
        filter(is_small(number))
        value: Column = root(number)
        return value

    return {"roots": each(small, numbers)}


@graph(key="id", inputs={"id": pa.string(), "table": pa.list_(NUMBERS)})
def each_in_each(table: Column) -> dict[str, Column]:
    def row(numbers: Column) -> dict[str, Column]:
        return {"roots": each(root, numbers)}

    return {"roots": each(row, table)}


@graph(key="id", inputs={**LISTS, "kinds": pa.list_(pa.string())})
def switch_in_each(numbers: Column, kinds: Column) -> dict[str, Column]:
    def one(number: Column, kind: Column) -> Column:
        chosen: Column = switch(kind, {"minus": negate, "model": Pick(), "small": _small}, number)
        return chosen

    return {"values": each(one, numbers, kinds)}


def _small(number: Column) -> Column:
    filter(is_small(number))
    doubled: Column = double(number)
    return doubled


PAIR = pa.struct([("a", pa.int64()), ("b", pa.string())])


@node(inputs={"pair": PAIR}, outputs={"a": pa.int64(), "turned": PAIR})
def turn(pair: list[dict[str, Any] | None]) -> tuple[list[Any], list[Any]]:
    turned = [p and {"a": -p["a"], "b": (p["b"] or "?") * 2} for p in pair]
    return [p and p["a"] for p in pair], turned


@node(inputs={"number": pa.float32()}, outputs={"half": pa.float32()})
def halve(number: pa.Array) -> Any:
    return pc.divide(number, pa.scalar(2, pa.float32()))


@graph(
    key="id",
    inputs={
        "id": pa.string(),
        "pairs": pa.list_(PAIR),
        "vector": pa.list_(pa.float32(), 2),
        "large": pa.large_list(pa.int64()),
    },
)
def odd_lists(pairs: Column, vector: Column, large: Column) -> dict[str, Column]:
    """Lists of structs, of a fixed size, and large ones."""
    a, turned = each(turn, pairs)
    return {
        "a": a,
        "turned": turned,
        "halves": each(halve, vector),
        "doubled": each(double, large),
    }


@graph(key="id", inputs={"id": pa.string(), "number": pa.int64()})
def small_root(number: Column) -> dict[str, Column]:
    """A graph that is used as the body of an each."""
    filter(is_small(number))
    return {"root": root(number), "number": number}


@graph(key="id", inputs=LISTS)
def graph_in_each(numbers: Column) -> dict[str, Column]:
    roots, small = each(small_root, numbers)
    return {"small": small, "roots": roots}


CASES = (
    Case(
        "an each over empty lists, nulls and null items",
        shifted,
        {"id": list("abcdef"), "numbers": [[1, 2], [], None, [None], [None, 3], []]},
        {"id": list("abcdef"), "shifted": [[11, 12], [], None, [None], [None, 13], []]},
    ),
    Case(
        "an each in which no row has an item",
        shifted,
        {"id": ["a", "b"], "numbers": [[], None]},
        {"id": ["a", "b"], "shifted": [[], None]},
    ),
    Case("an each without rows", shifted, {"id": [], "numbers": []}, {"id": [], "shifted": []}),
    Case(
        "an item that fails rejects its row",
        rooted,
        {"id": list("abcdef"), "numbers": [[4], [9, -1, 1, -2], [], None, [-1], [1, 16]]},
        {
            "id": list("acdf"),
            "roots": [[2.0], [], None, [1.0, 4.0]],
            "numbers": [[4], [], None, [1, 16]],
        },
        rejected=((1, "each/root", "ValueError"), (4, "each/root", "ValueError")),
    ),
    Case(
        "items that fail in a model",
        shifted,
        {"id": list("abc"), "numbers": [[13, 1], [1, 13], [1, 1]]},
        {"id": ["c"], "shifted": [[11, 11]]},
        rejected=((0, "each/Shift", "KeyError"), (1, "each/Shift", "KeyError")),
    ),
    Case(
        "an each over two lists, with a column for all items of a row",
        joined,
        {
            "id": list("abcd"),
            "numbers": [[1, 2], [], None, [None]],
            "words": [["x", "y"], [], None, [None]],
            "number": [10, 20, 30, None],
        },
        {
            "id": list("abcd"),
            "total": [[11, 12], [], None, [None]],
            "text": [["1x10", "2y10"], [], None, ["NoneNoneNone"]],
        },
    ),
    Case(
        "lists of different lengths, and one null of two lists",
        joined,
        {
            "id": list("abcdef"),
            "numbers": [[1, 2], [1], None, [1], [], [3]],
            "words": [["x"], ["x"], ["y", "z"], None, ["x"], ["fail"]],
            "number": [1, 2, 3, 4, 5, 6],
        },
        {"id": list("bcd"), "total": [[3], None, None], "text": [["1x2"], None, None]},
        rejected=(
            (0, "each", "UnevenLists"),
            (4, "each", "UnevenLists"),
            (5, "each/join", "ValueError"),
        ),
    ),
    Case(
        "a filter in an each drops items",
        kept,
        {"id": list("abcde"), "numbers": [[1, 100, 4], [100], None, [], [None, -4]]},
        {"id": list("abcd"), "roots": [[1.0, 2.0], [], None, []]},
        rejected=((4, "each/root", "ValueError"),),
    ),
    Case(
        "an each in an each",
        each_in_each,
        {
            "id": list("abcde"),
            "table": [[[1, 4], [], None], [], None, [[4], [1, -1], [-2]], [None, [9]]],
        },
        {
            "id": list("abce"),
            "roots": [[[1.0, 2.0], [], None], [], None, [None, [3.0]]],
        },
        rejected=((3, "each/each/root", "ValueError"),),
    ),
    Case(
        "a switch in an each",
        switch_in_each,
        {
            "id": list("abcdef"),
            "numbers": [[1, 2, 3], [99, 5], [13], [1, 2], [], [7, 8]],
            "kinds": [
                ["minus", "model", "small"],
                ["small", "minus"],
                ["model"],
                ["model", "other"],
                [],
                ["minus", None],
            ],
        },
        {"id": list("abe"), "values": [[-1, 1002, 6], [-5], []]},
        rejected=(
            (2, "each/switch/Pick", "KeyError"),
            (3, "each/switch", "NoCase"),
            (5, "each/switch", "NoCase"),
        ),
    ),
    Case(
        "lists of structs, of a fixed size, and large ones",
        odd_lists,
        {
            "id": list("abc"),
            "pairs": [[{"a": 1, "b": "x"}, None], None, [{"a": 2, "b": None}]],
            "vector": [[1, 2], None, [-0.0, 0.1]],
            "large": [[1], [], None],
        },
        {
            "id": list("abc"),
            "a": [[1, None], None, [2]],
            "turned": [[{"a": -1, "b": "xx"}, None], None, [{"a": -2, "b": "??"}]],
            "halves": [[0.5, 1.0], None, [-0.0, 0.05]],
            "doubled": [[2], [], None],
        },
    ),
    Case(
        "a graph in an each",
        graph_in_each,
        {"id": list("abc"), "numbers": [[9, 50, 4], [-1, 1], []]},
        {"id": ["a", "c"], "small": [[9, 4], []], "roots": [[3.0, 2.0], []]},
        rejected=((1, "each/small_root/root", "ValueError"),),
    ),
)
