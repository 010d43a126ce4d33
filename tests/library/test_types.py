"""Declared types: how they are written, what a node sees of them, and what it may return."""

import datetime
import decimal
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import BaseModel, Field

from graphs import Column, graph, node, run
from graphs.errors import AuthoringError, NodeError, SchemaMismatch
from graphs.ir import Port, ports_of, scalar_of, type_name
from graphs.nodes import constant
from graphs.runtimes.kernel.returned import outputs_of
from graphs.runtimes.kernel.views import column, view
from tests.library.kinds import EVERY_KIND


class Place(BaseModel):
    city: str
    square_km: float | None


class Row(BaseModel):
    id: str
    count: int
    weight: float | None
    is_good: bool = True
    raw: bytes = b"none"
    day: datetime.date = datetime.date(2026, 11, 22)
    words: list[str] = Field(default_factory=list)
    place: Place = Place(city="Bern", square_km=51.6)
    scores: dict[str, float] = {}
    at: Annotated[datetime.datetime, pa.timestamp("us", "UTC")]
    price: Annotated[decimal.Decimal, pa.decimal128(10, 2)] = decimal.Decimal("9.50")
    small: Annotated[int | None, pa.int8()] = None


def test_a_pydantic_model_declares_types_nulls_and_defaults():
    told = {
        port.name: (type_name(port.type), port.is_nullable, port.default) for port in ports_of(Row)
    }

    assert told == {
        "id": ("string", False, None),
        "count": ("int64", False, None),
        "weight": ("double", True, None),
        "is_good": ("bool", False, "true"),
        "raw": ("binary", False, '"none"'),
        "day": ("date32[day]", False, '"2026-11-22"'),
        "words": ("list<string>", False, "[]"),
        "place": (
            "struct<city: string, square_km: double>",
            False,
            '{"city": "Bern", "square_km": 51.6}',
        ),
        "scores": ("map<string, double>", False, "{}"),
        "at": ("timestamp[us, tz=UTC]", False, None),
        "price": ("decimal128(10, 2)", False, '"9.50"'),
        "small": ("int8", True, "null"),
    }


@graph(key="id", inputs=Row)
def echo(
    is_good: Column,
    raw: Column,
    day: Column,
    words: Column,
    place: Column,
    scores: Column,
    price: Column,
    small: Column,
) -> dict[str, Column]:
    return {
        "is_good": is_good,
        "raw": raw,
        "day": day,
        "words": words,
        "place": place,
        "scores": scores,
        "price": price,
        "small": small,
    }


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_an_optional_column_that_is_missing_has_its_default_in_every_row(rows):
    table = run(echo.graph, pa.table({"id": pa.array(["a"] * rows, pa.string())})).table

    assert table.schema == echo.graph.output_schema
    assert (
        table.to_pylist()
        == [
            {
                "id": "a",
                "is_good": True,
                "raw": b"none",
                "day": datetime.date(2026, 11, 22),
                "words": [],
                "place": {"city": "Bern", "square_km": 51.6},
                "scores": [],
                "price": decimal.Decimal("9.50"),
                "small": None,
            }
        ]
        * rows
    )


def test_an_optional_column_that_is_there_is_read():
    table = pa.table({"id": ["a", "b"], "small": pa.array([1, None], pa.int8())})

    assert run(echo.graph, table).table["small"].to_pylist() == [1, None]


def test_a_null_where_the_schema_has_none_rejects_its_row_and_names_the_column():
    schema = pa.schema([pa.field("id", pa.string()), pa.field("x", pa.int64(), nullable=False)])

    @graph(key="id", inputs=schema)
    def g(x: Column) -> dict[str, Column]:
        return {"x": x}

    computed = run(g.graph, pa.table({"id": ["a", None, "c", None], "x": [1, 2, None, None]}))

    assert computed.table.to_pylist() == [{"id": "a", "x": 1}]
    assert [(r.row, r.node, r.error, r.message) for r in computed.rejected] == [
        (1, "input", "NullInput", "'id' is null"),
        (2, "input", "NullInput", "'x' is null"),
        (3, "input", "NullInput", "'id' is null"),
    ]


def test_a_nested_graph_rejects_nulls_where_its_own_schema_has_none():
    @graph(key="id", inputs=pa.schema([("id", pa.string()), pa.field("x", pa.int64(), False)]))
    def inner(x: Column) -> dict[str, Column]:
        return {"x": x}

    @graph(key="id", inputs={"id": pa.string(), "y": pa.int64()})
    def outer(y: Column) -> dict[str, Column]:
        return {"x": inner(y)}

    computed = run(outer.graph, pa.table({"id": ["a", "b"], "y": [1, None]}))

    assert computed.table["x"].to_pylist() == [1]
    assert [(r.row, r.node, r.message) for r in computed.rejected] == [
        (1, "inner/input", "'x' is null")
    ]


def test_input_that_does_not_fit_is_told_column_by_column():
    table = pa.table(
        [["a"], ["b"], [1.5], [1], [2]], names=["id", "weight", "count", "small", "small"]
    )

    @graph(key="id", inputs=Row)
    def g(count: Column, weight: Column, at: Column, small: Column) -> dict[str, Column]:
        return {"count": count, "weight": weight, "at": at, "small": small}

    with pytest.raises(SchemaMismatch) as caught:
        run(g.graph, table)

    assert str(caught.value) == (
        "the table: column 'count' is double, the graph reads int64; "
        "column 'weight' is string, the graph reads double; "
        "column 'at' (timestamp[us, tz=UTC]) is missing; "
        "column 'small' is there 2 times. Graph 'g' needs these columns as it names them"
    )


def test_names_of_list_items_do_not_matter():
    inputs = {"id": pa.string(), "x": pa.list_(pa.int64())}

    @graph(key="id", inputs=inputs)
    def g(x: Column) -> dict[str, Column]:
        return {"x": x, "y": same_list(x)}

    spark = pa.list_(pa.field("element", pa.int64(), nullable=False))
    table = pa.table({"id": ["a"], "x": pa.array([[1, 2]], spark)})

    assert run(g.graph, table).table.schema == g.graph.output_schema


@node(inputs={"x": pa.list_(pa.int64())}, outputs={"y": pa.list_(pa.int64())})
def same_list(x: pa.Array) -> pa.Array:
    return x


class Odd(BaseModel):
    id: str
    shape: complex
    who: str | int


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        (
            Odd,
            "pydantic model 'Odd': no Arrow type for shape: <class 'complex'>; who: str | int. "
            "Write Annotated[<type>, <Arrow type>], or declare a pyarrow.Schema",
        ),
        (
            {"id": pa.string(), "x": int},
            "inputs of a graph: these are no Arrow types: x: <class 'int'>. "
            "Write pa.int64(), pa.string()",
        ),
        (
            pa.schema([("id", pa.string()), ("x", pa.int64()), ("x", pa.int8())]),
            "the schema has several columns named ['x']. Keep one",
        ),
        (
            7,
            "7 declares no columns. "
            "Give a pyarrow.Schema, a dict of name to Arrow type, or a pydantic model",
        ),
    ],
)
def test_what_declares_no_columns_says_what_to_write(declared, text):
    with pytest.raises(AuthoringError) as caught:
        ports_of(declared)

    assert str(caught.value) == text


@pytest.mark.parametrize("wanted", ["arrow", "list", "numpy", "pandas"])
@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_type_comes_through_every_view_unchanged(kind, wanted):
    declared, values = EVERY_KIND[kind]
    given = pa.array(values, declared)
    for array in (given, given.slice(1), given.slice(0, 0)):
        returned = column(view(array, wanted), declared)

        assert returned.type == declared
        if (kind, wanted) == ("real", "numpy"):  # where a null is not a number
            returned = pc.if_else(pc.is_nan(returned), None, returned)
        assert returned.to_pylist() == array.to_pylist()


Matrix = np.ndarray[Any, Any]
VECTOR = pa.list_(pa.float32(), 2)


@node(inputs={"x": pa.int32()}, outputs={"y": pa.int32()})
def same_integer(x: Matrix) -> Matrix:
    return x


@node(inputs={"x": pa.bool_()}, outputs={"y": pa.bool_()})
def same_flag(x: np.ndarray) -> Matrix:  # type: ignore[type-arg]
    return x


@node(inputs={"x": VECTOR}, outputs={"y": VECTOR})
def same_vector(x: "np.ndarray[Any, Any]") -> Matrix:
    return x


@pytest.mark.parametrize(
    ("same", "values"),
    [
        (same_integer, [1, None, 3]),
        (same_flag, [True, None, False]),
        (same_vector, [[1, 2], None, [3, 4]]),
    ],
)
def test_where_numpy_has_no_null_a_row_with_one_is_rejected(same, values):
    declared = same.template.inputs[0].type

    @graph(key="id", inputs={"id": pa.int64(), "x": declared})
    def g(x: Column) -> dict[str, Column]:
        return {"y": same(x)}

    computed = run(g.graph, pa.table({"id": range(3), "x": pa.array(values, declared)}))

    assert same.template.inputs[0].view == "numpy"
    assert computed.table["y"].to_pylist() == [values[0], values[2]]
    assert [(r.row, r.error, r.message) for r in computed.rejected] == [
        (1, "NullInput", f"'x' is null, and numpy's {type_name(declared)} has no null")
    ]


def test_what_a_node_sees_does_not_depend_on_whether_its_batch_has_a_null():
    with_null, without = pa.array([1, None], pa.int64()), pa.array([1, 2], pa.int64())

    assert view(with_null, "pandas").dtype == view(without, "pandas").dtype == "Int64"
    assert view(with_null.is_null(), "pandas").dtype == "boolean"


def test_a_null_among_numbers_is_nan_in_numpy():
    seen = view(pa.array([1.0, None]), "numpy")

    assert seen.dtype == np.float64
    assert np.isnan(seen[1])


def test_lists_of_one_size_are_a_matrix_in_numpy():
    seen = view(pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.float32(), 2)).slice(1), "numpy")

    assert seen.tolist() == [[3, 4], [5, 6]]
    assert seen.dtype == np.float32


@pytest.mark.parametrize(
    ("value", "declared", "expected"),
    [
        (np.array([0.1]), pa.float32(), [float(np.float32(0.1))]),
        (np.array([1, 2]), pa.int8(), [1, 2]),
        (np.array([1, 2]), pa.float64(), [1.0, 2.0]),
        (np.array([np.nan, 1.0]), pa.float64(), [None, 1.0]),
        (np.array([[1.0, 2.0]]), pa.list_(pa.float32(), 2), [[1.0, 2.0]]),
        (np.array([[1, 2], [3, 4]]), pa.list_(pa.int64()), [[1, 2], [3, 4]]),
        (np.array([[1, 2]]), pa.large_list(pa.int8()), [[1, 2]]),
        (np.zeros((0, 2)), pa.list_(pa.float32(), 2), []),
        (np.array(["a", "b"]), pa.string(), ["a", "b"]),
        (np.array([1, None], object), pa.int64(), [1, None]),
        (pd.Series([1.5, np.nan]), pa.float32(), [1.5, None]),
        (pd.Series([1, None], dtype="Int64"), pa.int32(), [1, None]),
        (pd.Series(["a", None]), pa.string(), ["a", None]),
        ([1, None], pa.float32(), [1.0, None]),
        ((1, 2), pa.int8(), [1, 2]),
        ([2**63], pa.uint64(), [2**63]),
        ([[1, None], []], pa.list_(pa.int32()), [[1, None], []]),
        ([{"a": 1}, {}], pa.struct([("a", pa.int8())]), [{"a": 1}, {"a": None}]),
    ],
)
def test_values_without_an_arrow_type_get_the_declared_one(value, declared, expected):
    made = column(value, declared)

    assert made.type == declared
    got = made.to_pylist()
    assert [None if one != one else one for one in got] == expected


WIDTH = "Cast it in the node, or change the declaration"
KIND = "Return what is declared, or change the declaration"


@pytest.mark.parametrize(
    ("value", "declared", "text"),
    [
        (pa.array([1], pa.int32()), pa.int64(), f", got int32. {WIDTH}"),
        (pa.array([1.0]), pa.float32(), f", got double. {WIDTH}"),
        (pa.array(["a"]), pa.large_string(), f", got string. {WIDTH}"),
        (
            pa.array([[1.0]], pa.list_(pa.float32(), 1)),
            pa.list_(pa.float32(), 2),
            f", got fixed_size_list<float>[1]. {WIDTH}",
        ),
        (
            pa.array([0], pa.timestamp("us", "UTC")),
            pa.timestamp("us"),
            f", got timestamp[us, tz=UTC]. {WIDTH}",
        ),
        (np.array([1.0]), pa.int64(), f", got floats. {KIND}"),
        (np.array([True]), pa.int64(), f", got booleans. {KIND}"),
        (np.array([1]), pa.string(), f", got integers. {KIND}"),
        (np.array([1]), pa.bool_(), f", got integers. {KIND}"),
        (np.array(["1"]), pa.int64(), f", got other values. {KIND}"),
        (
            np.array([2**40]),
            pa.int32(),
            f": Integer value 1099511627776 not in range: -2147483648 to 2147483647. {KIND}",
        ),
        (np.zeros((1, 3)), pa.list_(pa.float32(), 2), f", got lists of 3 values. {KIND}"),
        (np.zeros((1, 1)), pa.float32(), f", got an array of shape (1, 1). {KIND}"),
        (pd.Series([1.0]), pa.int64(), f", got floats. {KIND}"),
        ([1.0], pa.int64(), f", got floats. {KIND}"),
        ([[1.5]], pa.list_(pa.int64()), f", got floats. {KIND}"),
        ([{"a": 1.5}], pa.struct([("a", pa.int64())]), f", got floats. {KIND}"),
        (
            [2**70],
            pa.int64(),
            f": Python int too large to convert to C long. {KIND}",
        ),
        ([1], pa.string(), f": Expected bytes, got a 'int' object. {KIND}"),
        (None, pa.string(), f", got None, not a column of values. {KIND}"),
        (7, pa.int64(), f", got a int, not a column of values. {KIND}"),
        ("a", pa.string(), f", got a str, not a column of values. {KIND}"),
        (pa.scalar(7), pa.int64(), f", got a Int64Scalar, not a column of values. {KIND}"),
    ],
)
def test_what_is_not_of_the_declared_type_fails_the_run_and_says_why(value, declared, text):
    with pytest.raises(NodeError) as caught:
        outputs_of(value, (Port("made", declared),), 1, "graph 'g', node 'wrong'")

    assert str(caught.value) == (
        f"graph 'g', node 'wrong': output 'made' is declared {type_name(declared)}{text}"
    )


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        (
            {"a": [1], "c": [2]},
            "returned columns ['a', 'c'], declares ['a', 'b']. Return exactly the declared outputs",
        ),
        (
            ([1],),
            "returned a tuple of 1, declares the columns ['a', 'b']. "
            "Return a tuple in that order, or a dict",
        ),
        (
            [[1], [2]],
            "returned a list, declares the columns ['a', 'b']. "
            "Return a tuple in that order, or a dict",
        ),
        (
            ([1], [1, 2]),
            "output 'b' has 2 rows for 1 rows in. A node gives one row for each row",
        ),
    ],
)
def test_several_outputs_must_be_those_declared(returned, text):
    ports = (Port("a", pa.int64()), Port("b", pa.int64()))

    with pytest.raises(NodeError) as caught:
        outputs_of(returned, ports, 1, "graph 'g', node 'wrong'")

    assert str(caught.value) == f"graph 'g', node 'wrong': {text}"


@pytest.mark.parametrize("returned", [([1], ["p"]), {"b": ["p"], "a": [1]}])
def test_several_outputs_come_as_a_tuple_in_order_or_as_a_dict(returned):
    ports = (Port("a", pa.int64()), Port("b", pa.string()))

    outputs = outputs_of(returned, ports, 1, "graph 'g', node 'right'")

    assert outputs == {"a": pa.array([1]), "b": pa.array(["p"])}


@pytest.mark.parametrize(
    ("value", "type_", "expected"),
    [
        ("2026-11-22", pa.date32(), datetime.date(2026, 11, 22)),
        ("2026-11-22T01:02:03", pa.timestamp("us"), datetime.datetime(2026, 11, 22, 1, 2, 3)),
        ("1.50", pa.decimal128(5, 2), decimal.Decimal("1.50")),
        (1, pa.float32(), 1.0),
        (None, pa.int8(), None),
        ([1, None], pa.list_(pa.int8()), [1, None]),
        ({"a": ["x"]}, pa.struct([("a", pa.list_(pa.string()))]), {"a": ["x"]}),
        ({"a": 1}, pa.map_(pa.string(), pa.int8()), [("a", 1)]),
        ("red", pa.dictionary(pa.int8(), pa.string()), "red"),
    ],
)
@pytest.mark.parametrize("rows", [0, 2])
def test_a_json_value_is_a_constant_of_any_type(value, type_, expected, rows):
    @graph(key="id", inputs={"id": pa.int64()})
    def g() -> dict[str, Column]:
        return {"x": constant(value, type_)}

    table = run(g.graph, pa.table({"id": pa.array(range(rows), pa.int64())})).table

    assert table["x"].to_pylist() == [expected] * rows


@pytest.mark.parametrize(
    ("value", "type_", "text"),
    [
        (1.5, pa.int64(), "1.5 is no int64"),
        (1.0, pa.int64(), "1.0 is no int64"),
        (True, pa.int64(), "True is no int64"),
        (1, pa.bool_(), "1 is no bool"),
        ("1", pa.int64(), "'1' is no int64"),
        (1, pa.string(), "1 is no string"),
        (300, pa.int8(), "300 is no int8"),
        ([1.5], pa.list_(pa.int64()), "[1.5] is no list<int64>"),
        ([1.0], pa.list_(pa.float32(), 2), "[1.0] is no fixed_size_list<float>[2]"),
        ({"b": 1}, pa.struct([("a", pa.int8())]), "{'b': 1} is no struct<a: int8>"),
        ("today", pa.date32(), "'today' is no date32[day]"),
        ("1.505", pa.decimal128(5, 2), "'1.505' is no decimal128(5, 2)"),
    ],
)
def test_a_json_value_that_would_have_to_be_changed_to_fit_does_not(value, type_, text):
    with pytest.raises(ValueError, match=" is no ") as caught:
        scalar_of(value, type_)

    assert str(caught.value) == text
