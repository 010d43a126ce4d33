"""Each rewrite as pairs of graph and rewritten graph; both are carried out and must agree."""

from dataclasses import replace

import pyarrow as pa
import pytest
from pydantic import BaseModel

from graphs import Column, Resources, graph, node
from graphs.ir import Behaviour
from graphs.nodes import constant, each, filter, switch
from graphs.rewrites import (
    REWRITES,
    drop_dead_nodes,
    gather_resource_classes,
    guard_inputs,
    inline_graphs,
    push_filters_down,
    rewrite,
)
from graphs.runtimes.kernel import Kernel
from tests.library.toy import Accelerated, double, root

INPUTS = {"id": pa.int64(), "number": pa.int64(), "flag": pa.bool_()}


@node(inputs={"number": pa.int64(), "by": pa.int64()}, outputs={"x": pa.int64()})
def plus(number: list[int], by: list[int]) -> list[int]:
    return [a + b for a, b in zip(number, by, strict=True)]


@node(
    inputs={"number": pa.int64()},
    outputs={"x": pa.int64()},
    behaviour=Behaviour(isolate=True),
)
def apart(number: pa.Array) -> pa.Array:
    return number


class Row(BaseModel):
    id: int
    number: int | None
    by: int | None = 3


@graph(key="id", inputs=Row)
def shifted(number: Column, by: Column) -> dict[str, Column]:
    """An optional input, and an output that is an input."""
    return {"moved": plus(number, by), "number": number, "by": by}


@graph(key="id", inputs=INPUTS)
def twice_shifted(number: Column) -> dict[str, Column]:
    once = shifted(number)
    again = shifted(once.moved, once.number)
    return {"x": again.moved, "y": again.by, "z": shifted(again.number).by}


@graph(key="id", inputs=INPUTS)
def nested_deeply(number: Column) -> dict[str, Column]:
    deep = twice_shifted(number)
    return {"x": deep.x, "z": shifted(deep.y, deep.z).number}


@graph(key="id", inputs=INPUTS)
def nested_in_bodies(number: Column) -> dict[str, Column]:
    return {
        "x": switch(
            number, {1: lambda number: shifted(number).moved}, number, default=lambda number: number
        )
    }


@graph(key="id", inputs=INPUTS)
def plain(number: Column) -> dict[str, Column]:
    return {"doubled": double(number)}


@graph(key="id", inputs=pa.schema([("id", pa.int64()), pa.field("number", pa.int64(), False)]))
def strict(number: Column) -> dict[str, Column]:
    return {"doubled": double(number)}


@graph(key="id", inputs=INPUTS)
def wraps_strict(number: Column) -> dict[str, Column]:
    return {"x": double(strict(double(number)))}


@graph(key="id", inputs=INPUTS)
def wasteful(number: Column, flag: Column) -> dict[str, Column]:
    root(double(number))
    filter(flag)
    return {"x": switch(number, {1: _wasteful_case}, number, default=double)}


def _wasteful_case(number: Column) -> Column:
    root(number)
    return double(number)


@graph(key="id", inputs=INPUTS)
def late_filter(number: Column, flag: Column) -> dict[str, Column]:
    halved = double(number)
    tripled = Accelerated()(number)
    filter(flag)
    return {"x": halved, "y": tripled}


@graph(key="id", inputs=INPUTS)
def filter_that_reads_a_node(number: Column, flag: Column) -> dict[str, Column]:
    unrelated = root(number)
    is_small = switch(double(number), {2: lambda flag: flag}, flag, default=_true)
    filter(is_small)
    return {"x": unrelated}


def _true(flag: Column) -> Column:
    return constant(True, pa.bool_())


@graph(key="id", inputs={**INPUTS, "many": pa.list_(pa.int64())})
def late_filter_in_a_body(many: Column) -> dict[str, Column]:
    def body(number: Column) -> Column:
        doubled = double(number)
        filter(switch(number, {1: _true}, number, default=_false))
        return doubled

    return {"x": each(body, many)}


def _false(number: Column) -> Column:
    return constant(False, pa.bool_())


@graph(key="id", inputs=INPUTS)
def back_and_forth(number: Column) -> dict[str, Column]:
    a = Accelerated()(number)
    b = double(number)
    c = Accelerated()(number)
    d = apart(number)
    return {"a": a, "b": b, "c": c, "d": d}


def names(found):
    return [node.name for node in found.nodes]


def wires(found):
    return {
        f"{e.source}.{e.source_port} > {e.target}.{e.target_port}".replace(" > .", " > out.")
        for e in found.edges
    }


TABLE = pa.table(
    {
        "id": pa.array([0, 1, None, 3, 4], pa.int64()),
        "number": pa.array([1, 4, 9, 1, 25], pa.int64()),
        "flag": [True, False, True, None, True],
        "many": [[1, 2], [], None, [3], [1]],
    }
)


def carried_out(found, drop=()):
    """What comes of the rows, and which are rejected, by a kernel that follows the graph as is."""
    kernel = Kernel(found, names(found))
    columns = [port.name for port in found.inputs if port.name in TABLE.column_names]
    computed = kernel.run(TABLE.select(columns))
    rows = {row["id"]: row for row in kernel.select_outputs(computed.table).to_pylist()}
    return {key: row for key, row in rows.items() if key not in drop}


def test_a_graph_in_a_graph_is_put_in_its_place():
    inlined = inline_graphs(twice_shifted.graph)

    assert names(inlined) == [
        "shifted/plus",
        "shifted/by (default)",
        "shifted_2/plus",
        "shifted_3/plus",
        "shifted_3/by (default)",
    ]
    assert wires(inlined) == {
        ".id > out.id",
        ".number > shifted/plus.number",
        "shifted/by (default).value > shifted/plus.by",
        "shifted/plus.x > shifted_2/plus.number",
        ".number > shifted_2/plus.by",
        "shifted_2/plus.x > out.x",
        ".number > out.y",
        "shifted/plus.x > shifted_3/plus.number",
        "shifted_3/by (default).value > shifted_3/plus.by",
        "shifted_3/by (default).value > out.z",
    }
    assert inlined.node("shifted/by (default)").parameters == '{"value": 3}'
    assert inlined.node("shifted/plus").source == shifted.body.nodes[0].source


@pytest.mark.parametrize("authored", [twice_shifted, nested_deeply, nested_in_bodies])
def test_inlining_changes_no_answer_and_leaves_no_graph(authored):
    inlined = inline_graphs(authored.graph)

    assert not any(
        inner.kind == "graph"
        for node in inlined.nodes
        for inner in (node, *(n for _, body in node.bodies for n in body.nodes))
    )
    assert carried_out(inlined) == carried_out(authored.graph)


def test_a_row_with_a_null_where_none_may_be_is_rejected_first():
    guarded = guard_inputs(strict.graph)

    assert names(guarded) == ["input", "double"]
    assert {wire for wire in wires(guarded) if "> input." in wire} == {
        ".id > input.id",
        ".number > input.number",
    }
    assert carried_out(guarded) == carried_out(strict.graph, drop=[None])


def test_a_node_that_is_called_like_the_guard_gets_another_name():
    @node(inputs={"number": pa.int64()}, outputs={"x": pa.int64()})
    def input(number: pa.Array) -> pa.Array:
        return number

    @graph(key="id", inputs=INPUTS)
    def g(number: Column) -> dict[str, Column]:
        return {"x": input(number)}

    assert names(g.graph) == ["input_2"]
    assert names(guard_inputs(g.graph)) == ["input", "input_2"]


def test_a_graph_in_a_graph_brings_its_guard():
    inlined = inline_graphs(wraps_strict.graph)

    assert names(inlined) == ["double", "strict/input", "strict/double", "double_2"]
    assert "double.doubled > strict/input.number" in wires(inlined)
    assert names(rewrite(wraps_strict.graph))[0] == "input"


def test_what_nobody_reads_is_dropped_and_filters_stay():
    dropped = drop_dead_nodes(wasteful.graph)

    assert names(wasteful.graph) == ["double", "root", "filter", "switch"]
    assert names(dropped) == ["filter", "switch"]
    assert names(dropped.node("switch").bodies[0][1]) == ["double"]
    assert carried_out(dropped) == carried_out(wasteful.graph)


def test_outputs_of_control_nodes_that_nobody_reads_are_dropped_with_what_they_need():
    @graph(key="id", inputs={**INPUTS, "many": pa.list_(pa.int64())})
    def g(number: Column, many: Column) -> dict[str, Column]:
        routed = switch(number, {1: both}, number, default=both)
        return {"x": routed.doubled, "y": each(both, many).doubled}

    dropped = drop_dead_nodes(g.graph)

    assert [[p.name for p in node.outputs] for node in dropped.nodes] == [["doubled"], ["doubled"]]
    assert [names(body) for node in dropped.nodes for _, body in node.bodies] == [["double"]] * 3
    assert carried_out(dropped) == carried_out(g.graph)


def both(number: Column) -> dict[str, Column]:
    return {"root": root(number), "doubled": double(number)}


def test_filters_go_first():
    pushed = push_filters_down(late_filter.graph)

    assert names(late_filter.graph) == ["double", "Accelerated", "filter"]
    assert names(pushed) == ["filter", "double", "Accelerated"]
    assert carried_out(pushed) == carried_out(late_filter.graph)


def test_what_a_filter_reads_goes_before_it():
    pushed = push_filters_down(filter_that_reads_a_node.graph)

    assert names(pushed) == ["double", "switch", "filter", "root"]
    assert carried_out(pushed) == carried_out(filter_that_reads_a_node.graph)


def test_filters_go_first_inside_bodies():
    pushed = push_filters_down(late_filter_in_a_body.graph)

    assert names(pushed.nodes[0].bodies[0][1]) == ["switch", "filter", "double"]
    assert carried_out(pushed) == carried_out(late_filter_in_a_body.graph)
    assert carried_out(pushed)[0]["x"] == [2]


def test_nodes_of_one_resource_class_are_gathered():
    gathered = gather_resource_classes(back_and_forth.graph)

    assert names(gathered) == ["Accelerated", "Accelerated_2", "double", "apart"]
    assert carried_out(gathered) == carried_out(back_and_forth.graph)


def test_nothing_overtakes_a_filter():
    late = late_filter.graph
    accelerator = replace(late.nodes[1], resources=Resources(cpus=1.0))
    late = replace(late, nodes=(late.nodes[0], late.nodes[2], accelerator))

    assert names(gather_resource_classes(late)) == ["double", "filter", "Accelerated"]


@pytest.mark.parametrize("step", REWRITES)
@pytest.mark.parametrize(
    "authored",
    [
        twice_shifted,
        nested_deeply,
        nested_in_bodies,
        plain,
        strict,
        wraps_strict,
        wasteful,
        late_filter,
        filter_that_reads_a_node,
        late_filter_in_a_body,
        back_and_forth,
    ],
)
def test_a_rewrite_with_nothing_left_to_do_returns_the_same_object(step, authored):
    once = step(authored.graph)

    assert step(once) is once


@pytest.mark.parametrize("step", [inline_graphs, drop_dead_nodes, push_filters_down])
def test_a_rewrite_with_nothing_to_do_returns_the_same_object(step):
    assert step(plain.graph) is plain.graph


@pytest.mark.parametrize(
    "authored",
    [
        twice_shifted,
        nested_deeply,
        nested_in_bodies,
        plain,
        wasteful,
        late_filter,
        filter_that_reads_a_node,
        late_filter_in_a_body,
        back_and_forth,
    ],
)
def test_all_rewrites_together_change_no_answer(authored):
    assert carried_out(rewrite(authored.graph)) == carried_out(authored.graph, drop=[None])
