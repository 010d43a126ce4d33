import pyarrow as pa
import pytest

from graphs import Column, graph, node
from graphs.errors import NodeError, SchemaMismatch
from graphs.nodes import each
from graphs.runtimes.inline import run
from graphs.runtimes.kernel import Kernel
from graphs.runtimes.kernel.views import blank
from tests.library import toy


def rows(*numbers):
    return pa.table({"id": [f"r{n}" for n in range(len(numbers))], "number": list(numbers)})


def test_a_graph_runs_in_this_process():
    computed = run(toy.toy.graph, rows(4, 9))

    assert computed.table.to_pylist() == [
        {"id": "r0", "root": 2.0, "shifted": 11},
        {"id": "r1", "root": 3.0, "shifted": 21},
    ]


def test_numpy_outputs_become_the_declared_arrow_types():
    table = run(toy.described.graph, rows(1, -2)).table

    assert table.schema == toy.described.graph.output_schema
    assert table.to_pylist() == [
        {"id": "r0", "vector": [1.0, -1.0], "sign": "positive"},
        {"id": "r1", "vector": [-2.0, 2.0], "sign": "negative"},
    ]


def test_no_rows_in_gives_no_rows_of_the_declared_schema_out():
    table = run(toy.described.graph, rows().cast(pa.schema(toy.INPUTS))).table

    assert table.num_rows == 0
    assert table.schema == toy.described.graph.output_schema


def test_a_failing_row_is_rejected_and_does_not_take_its_batch_with_it():
    computed = run(toy.toy.graph, rows(1, -1, 4, -9, 16))

    assert computed.table["root"].to_pylist() == [1.0, 2.0, 4.0]
    assert computed.kept.tolist() == [0, 2, 4]
    assert [(r.row, r.node, r.error, r.message) for r in computed.rejected] == [
        (1, "root", "ValueError", "-1 has no root"),
        (3, "root", "ValueError", "-9 has no root"),
    ]


def test_when_every_row_fails_every_row_is_rejected():
    computed = run(toy.toy.graph, rows(-1, -2, -3))

    assert computed.table.num_rows == 0
    assert [row.row for row in computed.rejected] == [0, 1, 2]


@pytest.mark.parametrize("batch_rows", [1, 2, 3, 100])
def test_the_size_of_a_batch_changes_nothing(batch_rows):
    kernel = Kernel(toy.toy.graph, ["double", "root", "Shift"])
    batch = rows(1, -1, 4, 9, -3)

    computed = kernel.run(batch, batch_rows)

    assert computed.kept.tolist() == [0, 2, 3]
    assert [r.row for r in computed.rejected] == [1, 4]
    assert kernel.select_outputs(computed.table)["shifted"].to_pylist() == [5, 11, 21]


@node(inputs={"number": pa.int64()}, outputs={"x": pa.int64()})
def one_row_too_few(number: pa.Array) -> pa.Array:
    return number.slice(1)


@node(inputs={"number": pa.int64()}, outputs={"x": pa.int32()})
def another_type(number: pa.Array) -> pa.Array:
    return number


@node(inputs={"number": pa.int64()}, outputs={"x": pa.int64()})
def another_name(number: pa.Array) -> dict[str, pa.Array]:
    return {"y": number}


@node(inputs={"number": pa.int64()}, outputs={"x": pa.int64()})
def text_for_a_number(number: list[int]) -> list[str]:
    return ["one"] * len(number)


def graph_of(wrong):
    @graph(key="id", inputs=toy.INPUTS)
    def g(number: Column) -> dict[str, Column]:
        return {"x": wrong(number)}

    return g.graph


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            one_row_too_few,
            "graph 'g', node 'one_row_too_few': output 'x' has 1 rows for 2 rows in. "
            "A node gives one row for each row",
        ),
        (
            another_type,
            "graph 'g', node 'another_type': output 'x' is declared int32, got int64. "
            "Cast it in the node, or change the declaration",
        ),
        (
            another_name,
            "graph 'g', node 'another_name': returned columns ['y'], declares ['x']. "
            "Return exactly the declared outputs",
        ),
        (
            text_for_a_number,
            "graph 'g', node 'text_for_a_number': output 'x' is declared int64: "
            "Could not convert 'one' with type str: tried to convert to int64. "
            "Return what is declared, or change the declaration",
        ),
    ],
)
def test_a_node_that_breaks_its_declaration_fails_the_run(wrong, message):
    with pytest.raises(NodeError) as caught:
        run(graph_of(wrong), rows(1, 2))

    assert str(caught.value) == message


def test_every_wrong_column_of_the_input_is_named():
    with pytest.raises(SchemaMismatch) as caught:
        run(toy.toy.graph, pa.table({"number": ["1"]}))

    assert str(caught.value) == (
        "the table: column 'id' (string) is missing; "
        "column 'number' is string, the graph reads int64. "
        "Graph 'toy' needs these columns as it names them"
    )


def test_a_broken_declaration_inside_a_body_is_told_by_the_whole_graph_and_the_path():
    @graph(key="id", inputs={"id": pa.string(), "numbers": pa.list_(pa.int64())})
    def g(numbers: Column) -> dict[str, Column]:
        return {"x": each(another_name, numbers)}

    with pytest.raises(NodeError) as caught:
        run(g.graph, pa.table({"id": ["a"], "numbers": [[1]]}))

    assert str(caught.value) == (
        "graph 'g', node 'each/another_name': returned columns ['y'], declares ['x']. "
        "Return exactly the declared outputs"
    )


def test_columns_that_the_graph_does_not_read_are_left_behind():
    kernel = Kernel(toy.toy.graph, ["double", "root", "Shift"])
    table = rows(4, 9).append_column("other", pa.array([{}, {}]))

    assert kernel.run(table).table.column_names == ["id", "root.root", "Shift.shifted"]


def test_a_table_of_many_chunks_is_one_batch():
    table = pa.concat_tables([rows(4), rows(9), rows(4).slice(1)])

    assert run(toy.toy.graph, table).table["root"].to_pylist() == [2.0, 3.0]


def test_the_time_of_each_node_is_told():
    computed = run(toy.toy.graph, rows(4, 9))

    assert list(computed.seconds) == ["input", "double", "root", "Shift"]
    assert all(seconds >= 0 for seconds in computed.seconds.values())


def test_a_warm_up_shows_every_node_a_blank_row():
    kernel = Kernel(toy.toy.graph, ["double", "root", "Shift"])

    kernel.warm_up()

    assert kernel.run(rows(4)).table.num_rows == 1


EVERY_TYPE = [
    pa.int8(),
    pa.float16(),
    pa.bool_(),
    pa.string(),
    pa.large_binary(),
    pa.binary(4),
    pa.date64(),
    pa.time64("us"),
    pa.duration("s"),
    pa.timestamp("us", "UTC"),
    pa.decimal128(5, 2),
    pa.list_(pa.int8()),
    pa.list_(pa.float32(), 2),
    pa.map_(pa.string(), pa.int8()),
    pa.struct([("a", pa.dictionary(pa.int32(), pa.string()))]),
    pa.null(),
]


@pytest.mark.parametrize("type_", EVERY_TYPE, ids=str)
def test_every_type_has_a_blank_value(type_):
    assert blank(type_).type == type_
    assert len(blank(type_)) == 1
