"""Control over rows and items: switch, each, filter, constant and parameter."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from graphs import Column, graph, node, run
from graphs.errors import AuthoringError, GraphError
from graphs.nodes import constant, each, filter, parameter, switch
from tests.library.kinds import EVERY_KIND
from tests.library.toy import root

LIST = pa.list_(pa.int64())


@node(inputs={"number": pa.int64()}, outputs={"x": pa.int64()})
def tenfold(number: pa.Array) -> Any:
    return pc.multiply(number, 10)


@node(inputs={"number": pa.int64()}, outputs={"x": pa.int64()})
def negated(number: pa.Array) -> Any:
    return pc.negate(number)


@node(inputs={"number": pa.int64()}, outputs={"is_even": pa.bool_(), "half": pa.int64()})
def halve(number: list[int | None]) -> tuple[list[bool | None], list[int | None]]:
    return (
        [None if n is None else n % 2 == 0 for n in number],
        [None if n is None else n // 2 for n in number],
    )


@node(inputs={"number": pa.int64()}, outputs={"x": pa.int64()})
def positive(number: list[int]) -> list[int]:
    if bad := [n for n in number if n < 0]:
        raise ValueError(f"{bad[0]} is negative")
    return number


@node(inputs={"a": pa.int64(), "b": pa.int64()}, outputs={"sum": pa.int64()})
def plus(a: pa.Array, b: pa.Array) -> Any:
    return pc.add(a, b)


def made(function, **inputs):
    """A graph of a function, with an integer key."""
    return graph(key="id", inputs={"id": pa.int64(), **inputs})(function).graph


def rows(**columns):
    types = {"kind": pa.string(), "number": pa.int64(), "many": LIST, "flag": pa.bool_()}
    made = {n: pa.array(v, types.get(n, LIST)) for n, v in columns.items()}
    count = len(next(iter(made.values())))
    return pa.table({"id": pa.array(range(count), pa.int64()), **made})


def rejected(computed):
    return [(r.row, r.node, r.error, r.message) for r in computed.rejected]


# --- switch -----------------------------------------------------------------------------------


def by_kind(kind: Column, number: Column) -> dict[str, Column]:
    return {"x": switch(kind, {"a": tenfold, "b": negated}, number, default=positive)}


BY_KIND = made(by_kind, kind=pa.string(), number=pa.int64())


def test_a_switch_routes_rows_and_puts_answers_back_in_row_order():
    computed = run(BY_KIND, rows(kind=["b", "a", "c", "a", None], number=[1, 2, 3, 4, 5]))

    assert computed.table.to_pydict() == {"id": [0, 1, 2, 3, 4], "x": [-1, 20, 3, 40, 5]}


def test_a_row_that_fails_in_a_case_is_rejected_by_the_node_inside():
    computed = run(BY_KIND, rows(kind=["c", "a", "c", "b"], number=[-1, 2, 3, 4]))

    assert computed.table.to_pydict() == {"id": [1, 2, 3], "x": [20, 3, -4]}
    assert rejected(computed) == [(0, "switch/positive", "ValueError", "-1 is negative")]


def test_without_a_default_a_row_that_has_no_case_is_rejected():
    def g(kind: Column, number: Column) -> dict[str, Column]:
        return {"x": switch(kind, {"a": tenfold}, number)}

    computed = run(
        made(g, kind=pa.string(), number=pa.int64()),
        rows(kind=["a", "z", None], number=[1, 2, 3]),
    )

    assert computed.table["x"].to_pylist() == [10]
    assert rejected(computed) == [
        (1, "switch", "NoCase", "there is no case for 'z'"),
        (2, "switch", "NoCase", "there is no case for None"),
    ]


@pytest.mark.parametrize("kinds", [[], ["z"], ["z", None]])
def test_a_switch_may_keep_no_row(kinds):
    def g(kind: Column, number: Column) -> dict[str, Column]:
        return {"x": switch(kind, {"a": tenfold}, number)}

    authored = made(g, kind=pa.string(), number=pa.int64())
    computed = run(authored, rows(kind=kinds, number=[1] * len(kinds)))

    assert computed.table.num_rows == 0
    assert computed.table.schema == authored.output_schema


@pytest.mark.parametrize(
    ("type_", "values", "cases"),
    [
        (pa.bool_(), [True, False, True], (True, False)),
        (pa.int8(), [1, 2, 1], (1, 2)),
        (pa.large_string(), ["a", "b", "a"], ("a", "b")),
        (pa.float64(), [0.5, 1.5, 0.5], (0.5, 1.5)),
        (pa.dictionary(pa.int32(), pa.string()), ["a", "b", "a"], ("a", "b")),
    ],
)
def test_a_switch_goes_by_any_plain_type(type_, values, cases):
    def g(by: Column, number: Column) -> dict[str, Column]:
        return {"x": switch(by, {cases[0]: tenfold, cases[1]: negated}, number)}

    table = rows(number=[1, 2, 3]).append_column("by", pa.array(values, type_))

    assert run(made(g, by=type_, number=pa.int64()), table).table["x"].to_pylist() == [10, -2, 30]


def test_cases_with_several_outputs_give_columns():
    def swapped(number: Column) -> Any:
        return halve(negated(number)).select("half", "is_even").select("is_even", "half")

    def g(kind: Column, number: Column) -> dict[str, Column]:
        both = switch(kind, {"a": halve, "b": swapped}, number)
        return {"even": both.is_even, "half": both["half"]}

    table = run(
        made(g, kind=pa.string(), number=pa.int64()),
        rows(kind=["b", "a", "b"], number=[4, 5, 6]),
    ).table

    assert table.to_pydict() == {"id": [0, 1, 2], "even": [True, False, True], "half": [-2, 2, -3]}


def test_a_case_may_give_an_input_through_and_leave_others_unread():
    def g(kind: Column, number: Column, other: Column) -> dict[str, Column]:
        return {
            "x": switch(kind, {"a": lambda a, b: a}, number, other, default=lambda a, b: tenfold(b))
        }

    table = rows(kind=["a", "b"], number=[1, 2]).append_column("other", pa.array([3, 4]))

    assert run(made(g, kind=pa.string(), number=pa.int64(), other=pa.int64()), table).table[
        "x"
    ].to_pylist() == [1, 40]


def test_a_filter_in_a_case_drops_rows_of_that_case_alone():
    def even_only(number: Column) -> Column:
        is_even, half = halve(number)
        filter(is_even)
        return half

    def g(kind: Column, number: Column) -> dict[str, Column]:
        return {"x": switch(kind, {"a": even_only, "b": negated}, number)}

    computed = run(
        made(g, kind=pa.string(), number=pa.int64()),
        rows(kind=["a", "b", "a", "b"], number=[1, 1, 4, 4]),
    )

    assert computed.table.to_pydict() == {"id": [1, 2, 3], "x": [-1, 2, -4]}
    assert computed.filtered == {"switch/filter": 1}


def test_a_filter_in_a_case_counts_though_nobody_reads_the_switch():
    def even_only(number: Column) -> Column:
        is_even, half = halve(number)
        filter(is_even)
        return half

    def g(kind: Column, number: Column) -> dict[str, Column]:
        switch(kind, {"a": even_only, "b": negated}, number)
        return {"number": number}

    computed = run(
        made(g, kind=pa.string(), number=pa.int64()), rows(kind=["a", "b"], number=[1, 1])
    )

    assert computed.table["number"].to_pylist() == [1]
    assert computed.filtered == {"switch/filter": 1}


def test_a_switch_in_a_switch():
    def inner(number: Column) -> Column:
        return switch(number, {1: tenfold, 2: negated}, number, default=positive)

    def g(kind: Column, number: Column) -> dict[str, Column]:
        return {"x": switch(kind, {"a": inner, "b": negated}, number)}

    computed = run(
        made(g, kind=pa.string(), number=pa.int64()),
        rows(kind=["a", "b", "a", "a", "a"], number=[1, 1, 2, 3, -4]),
    )

    assert computed.table["x"].to_pylist() == [10, -1, -2, 3]
    assert rejected(computed) == [(4, "switch/switch/positive", "ValueError", "-4 is negative")]


# --- each -------------------------------------------------------------------------------------


def tenfold_each(many: Column) -> dict[str, Column]:
    return {"x": each(tenfold, many)}


@pytest.mark.parametrize(
    "type_", [LIST, pa.large_list(pa.int64()), pa.list_(pa.field("element", pa.int64(), False))]
)
def test_each_folds_back_with_empty_lists_and_nulls(type_):
    values = [[1, 2], [], None, [3], [], None]
    table = rows(number=range(6)).append_column("many", pa.array(values, type_))

    computed = run(made(tenfold_each, many=type_), table)

    assert computed.table["x"].to_pylist() == [[10, 20], [], None, [30], [], None]
    assert computed.table.schema.field("x").type == LIST


def test_items_may_be_null():
    assert run(made(tenfold_each, many=LIST), rows(many=[[1, None], [None]])).table[
        "x"
    ].to_pylist() == [[10, None], [None]]


@pytest.mark.parametrize("many", [[], [[]], [None], [[], None, []]])
def test_each_without_any_item(many):
    computed = run(made(tenfold_each, many=LIST), rows(many=many))

    assert computed.table["x"].to_pylist() == many


def test_lists_of_one_size_with_nulls():
    type_ = pa.list_(pa.int64(), 2)
    table = rows(number=[0, 1, 2]).append_column("many", pa.array([[1, 2], None, [3, 4]], type_))

    computed = run(made(tenfold_each, many=type_), table)

    assert computed.table["x"].to_pylist() == [[10, 20], None, [30, 40]]


def test_a_column_by_name_goes_to_each_item_of_its_row():
    def g(many: Column, number: Column) -> dict[str, Column]:
        return {"x": each(plus, many, b=number)}

    computed = run(
        made(g, many=LIST, number=pa.int64()),
        rows(many=[[1, 2], [], [3]], number=[100, 200, None]),
    )

    assert computed.table["x"].to_pylist() == [[101, 102], [], [None]]


def test_lists_of_a_row_go_side_by_side_and_must_be_equally_long():
    def g(many: Column, more: Column) -> dict[str, Column]:
        return {"x": each(plus, many, more)}

    computed = run(
        made(g, many=LIST, more=LIST),
        rows(many=[[1], [1, 2], None, []], more=[[10], [10], [10], []]),
    )

    assert computed.table["x"].to_pylist() == [[11], None, []]
    assert rejected(computed) == [
        (1, "each", "UnevenLists", "lists of ['a', 'b'] have different lengths")
    ]


def test_a_failing_item_rejects_its_row_and_is_named_by_its_place():
    def g(many: Column) -> dict[str, Column]:
        return {"x": each(positive, many)}

    computed = run(made(g, many=LIST), rows(many=[[1], [2, 3, -4, -5], [], [6, -7], [8, 9]]))

    assert computed.table.to_pydict() == {"id": [0, 2, 4], "x": [[1], [], [8, 9]]}
    assert rejected(computed) == [
        (1, "each/positive", "ValueError", "item 2: -4 is negative"),
        (3, "each/positive", "ValueError", "item 1: -7 is negative"),
    ]


def test_a_filter_in_an_each_drops_items_and_no_row():
    def even_only(number: Column) -> Column:
        is_even, half = halve(number)
        filter(is_even)
        return half

    def g(many: Column) -> dict[str, Column]:
        return {"x": each(even_only, many)}

    computed = run(made(g, many=LIST), rows(many=[[1, 2, 4], [3], None, []]))

    assert computed.table["x"].to_pylist() == [[1, 2], [], None, []]
    assert computed.filtered == {}


def test_each_with_several_outputs_gives_a_list_for_each():
    def g(many: Column) -> dict[str, Column]:
        both = each(halve, many)
        return {"even": both.is_even, "half": both.half}

    table = run(made(g, many=LIST), rows(many=[[1, 2], None])).table

    assert table.to_pydict() == {
        "id": [0, 1],
        "even": [[False, True], None],
        "half": [[0, 1], None],
    }


def test_an_each_in_an_each():
    deep = pa.list_(LIST)

    def inner(many: Column) -> Column:
        return each(positive, many)

    def g(deep: Column) -> dict[str, Column]:
        return {"x": each(inner, deep)}

    values = [[[1], [], None, [2, 3]], None, [], [[4], [5, -6]]]
    table = rows(number=range(4)).append_column("deep", pa.array(values, deep))
    computed = run(made(g, deep=deep), table)

    assert computed.table["x"].to_pylist() == values[:3]
    assert rejected(computed) == [
        (3, "each/each/positive", "ValueError", "item 1: item 1: -6 is negative")
    ]


def test_a_switch_in_an_each_and_an_each_in_a_switch():
    def routed(number: Column) -> Column:
        return switch(number, {1: tenfold}, number, default=negated)

    def mapped(many: Column) -> Column:
        return each(routed, many)

    def g(kind: Column, many: Column) -> dict[str, Column]:
        return {"x": switch(kind, {"map": mapped}, many, default=lambda many: many)}

    computed = run(
        made(g, kind=pa.string(), many=LIST),
        rows(kind=["map", "no", "map", "map"], many=[[1, 2, 1], [1], None, [3]]),
    )

    assert computed.table["x"].to_pylist() == [[10, -2, 10], [1], None, [-3]]


def test_an_item_without_a_case_rejects_its_row():
    def routed(number: Column) -> Column:
        return switch(number, {1: tenfold}, number)

    def g(many: Column) -> dict[str, Column]:
        return {"x": each(routed, many)}

    computed = run(made(g, many=LIST), rows(many=[[1], [1, 2]]))

    assert rejected(computed) == [(1, "each/switch", "NoCase", "item 1: there is no case for 2")]


# --- both, of every type -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_type_comes_through_a_switch_in_row_order(kind):
    type_, values = EVERY_KIND[kind]

    def g(number: Column, x: Column) -> dict[str, Column]:
        return {"x": switch(number, {1: lambda x: x, 2: lambda x: x}, x)}

    table = rows(number=[1, 2, 1, 2]).append_column("x", pa.array([*values, None], type_))
    computed = run(made(g, number=pa.int64(), x=type_), table)

    assert computed.table["x"].to_pylist() == [*values, None]
    assert computed.table.schema.field("x").type == type_


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_type_comes_through_an_each(kind):
    type_, values = EVERY_KIND[kind]

    def body(item: Column, other: Column) -> Any:
        filter(constant(True, pa.bool_()))
        return {"item": item, "other": other}

    def g(x: Column, y: Column) -> dict[str, Column]:
        both = each(body, x, other=y)
        return {"x": both.item, "y": both.other}

    lists = [values, None, [], [values[2], None]]
    table = rows(number=range(4)).append_column("x", pa.array(lists, pa.list_(type_)))
    table = table.append_column("y", pa.array([*values, values[0]], type_))
    computed = run(made(g, x=pa.list_(type_), y=type_), table)

    assert computed.table["x"].to_pylist() == lists
    assert computed.table["y"].to_pylist() == [[values[0]] * 3, None, [], [values[0]] * 2]


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_type_survives_failing_rows_and_skipped_nulls(kind):
    type_, values = EVERY_KIND[kind]

    def g(number: Column, x: Column) -> dict[str, Column]:
        return {"x": switch(positive(number), {1: lambda x: x}, x, default=lambda x: x)}

    table = rows(number=[1, -1, 2]).append_column("x", pa.array(values, type_))
    computed = run(made(g, number=pa.int64(), x=type_), table)

    assert computed.table["x"].to_pylist() == [values[0], values[2]]


# --- filter -----------------------------------------------------------------------------------


def good_only(flag: Column, number: Column) -> dict[str, Column]:
    x = root(number)
    filter(flag)
    return {"x": x}


GOOD_ONLY = made(good_only, flag=pa.bool_(), number=pa.int64())


def test_a_filter_drops_rows_and_counts_them():
    computed = run(GOOD_ONLY, rows(flag=[True, False, None, True], number=[1, 4, 9, 16]))

    assert computed.table.to_pydict() == {"id": [0, 3], "x": [1.0, 4.0]}
    assert computed.kept.tolist() == [0, 3]
    assert computed.filtered == {"filter": 2}
    assert computed.rejected == ()


def test_a_filter_runs_before_what_would_fail():
    computed = run(GOOD_ONLY, rows(flag=[False, True], number=[-1, -1]))

    assert computed.filtered == {"filter": 1}
    assert [r.row for r in computed.rejected] == [1]


@pytest.mark.parametrize("flags", [[], [False], [None, False]])
def test_a_filter_may_drop_every_row(flags):
    computed = run(GOOD_ONLY, rows(flag=flags, number=[1] * len(flags)))

    assert computed.table.num_rows == 0
    assert computed.table.schema == GOOD_ONLY.output_schema


def test_two_filters_count_a_row_once():
    def g(flag: Column, number: Column) -> dict[str, Column]:
        filter(flag)
        filter(halve(number).is_even)
        return {"number": number}

    computed = run(
        made(g, flag=pa.bool_(), number=pa.int64()),
        rows(flag=[False, False, True, True], number=[1, 2, 3, 4]),
    )

    assert computed.table["number"].to_pylist() == [4]
    assert computed.filtered == {"filter": 2, "filter_2": 1}


# --- constant and parameter -------------------------------------------------------------------


def with_limit(number: Column) -> dict[str, Column]:
    limit = parameter("limit", pa.int64(), default=5)
    return {"x": plus(number, limit), "one": constant(1, pa.int8())}


WITH_LIMIT = made(with_limit, number=pa.int64())


def test_a_parameter_has_its_default_unless_a_run_sets_it():
    table = rows(number=[1, 2])

    assert run(WITH_LIMIT, table).table["x"].to_pylist() == [6, 7]
    assert run(WITH_LIMIT, table, parameters={"limit": 10}).table["x"].to_pylist() == [11, 12]
    assert run(WITH_LIMIT, table).table["one"].to_pylist() == [1, 1]


def test_a_parameter_reaches_the_bodies_of_control_nodes():
    def above(number: Column) -> Column:
        return plus(number, parameter("limit", pa.int64(), default=5))

    def g(many: Column) -> dict[str, Column]:
        return {"x": each(above, many)}

    computed = run(made(g, many=LIST), rows(many=[[1], []]), parameters={"limit": 100})

    assert computed.table["x"].to_pylist() == [[101], []]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"limits": 1}, "'limits' is unknown"),
        ({"limit": "low"}, "'limit' is 'low', not int64"),
        ({"limit": 1.5}, "'limit' is 1.5, not int64"),
        ({"limit": True, "x": 1}, "'limit' is True, not int64; 'x' is unknown"),
    ],
)
def test_a_wrong_parameter_is_refused_before_any_row(given, text):
    with pytest.raises(GraphError) as caught:
        run(WITH_LIMIT, rows(number=[1]), parameters=given)

    assert str(caught.value) == (
        f"graph 'with_limit': run parameters: {text}. It declares ['limit']"
    )


# --- what cannot be wired ---------------------------------------------------------------------


def no_case(number):
    switch(number, {}, number)


def a_null_case(number):
    switch(number, {None: tenfold}, number)


def a_fixed_value(number):
    switch(number, {1: tenfold}, 7)


def several_columns_to_switch_by(number):
    switch(halve(number), {1: tenfold}, number)


def other_outputs(number):
    switch(number, {1: tenfold, 2: halve}, number)


def too_many(number):
    switch(number, {1: tenfold}, number, number)


def a_reserved_name(number):
    switch(number, {1: lambda case: tenfold(case)}, number)


def no_list(number):
    each(tenfold)


def an_item_that_is_no_list(number):
    each(plus, number, b=number)


def a_column_of_the_graph_around(number):
    switch(number, {1: lambda x: plus(x, number)}, number)


def a_date(number):
    import datetime

    constant(datetime.date(2026, 11, 22), pa.date32())


@pytest.mark.parametrize(
    ("author", "text"),
    [
        (no_case, "switch at HERE: has no case. Give at least one"),
        (
            a_null_case,
            "switch at HERE: cases [None] are no strings, numbers or booleans. "
            "Rows with a null, and all that have no case, go to default=",
        ),
        (
            a_fixed_value,
            "graph 'author', node 'switch' at HERE: number=7 is not a column. Pass a graph input "
            "or another node's output; a fixed value is constant(value, type), or a constructor "
            "argument of a Model",
        ),
        (
            several_columns_to_switch_by,
            "graph 'author', node 'switch' at HERE: case= got the 2 columns ['is_even', 'half']. "
            "Pass one of them",
        ),
        (
            other_outputs,
            "switch at HERE: its cases give different outputs (1: ['value']; "
            "2: ['is_even', 'half']). Use .select(...) and .rename(...) to make them alike",
        ),
        (
            too_many,
            "switch at HERE: passes 2 columns to a branch with the parameters ['number']. "
            "Pass as many as it takes",
        ),
        (
            a_reserved_name,
            "switch at HERE: an argument may not be named 'case'. Rename the branch's parameter",
        ),
        (no_list, "each at HERE: got no list column. Pass at least one"),
        (
            an_item_that_is_no_list,
            "each at HERE: input 'number' is int64, not a list. Pass a column that goes to every "
            "item by the name of the branch's parameter",
        ),
        (
            a_column_of_the_graph_around,
            "graph '1', node 'plus' at HERE: b= got input 'number', a column of another graph. "
            "Pass it into a case or a body as an argument",
        ),
        (
            a_date,
            "constant at HERE: Object of type date is not JSON serializable. "
            "Write dates, times and decimals as text, such as '2026-11-22'",
        ),
    ],
)
def test_what_cannot_be_wired_says_where_and_what_to_write(author, text):
    def traced(number: Column) -> dict[str, Column]:
        author(number)
        return {"number": number}

    traced.__name__ = "author"
    lines = range(author.__code__.co_firstlineno, author.__code__.co_firstlineno + 5)

    with pytest.raises(AuthoringError) as caught:
        made(traced, number=pa.int64())

    heres = [f"test_control.py:{line}" for line in lines if f":{line}:" in str(caught.value)]
    assert heres
    assert str(caught.value) == text.replace("HERE", heres[0])


@pytest.mark.parametrize("name", ["switch", "each", "filter", "constant", "parameter"])
def test_control_outside_a_graph_says_so(name):
    called = {
        "switch": lambda: switch(None, {1: tenfold}),  # type: ignore[arg-type]
        "each": lambda: each(tenfold),
        "filter": lambda: filter(None),  # type: ignore[arg-type]
        "constant": lambda: constant(1, pa.int64()),
        "parameter": lambda: parameter("p", pa.int64(), default=1),
    }

    with pytest.raises(AuthoringError) as caught:
        called[name]()

    assert str(caught.value) == f"{name} is called inside a @graph function only"
