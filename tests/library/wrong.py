"""Graphs that are wrong, each in one way. A comment at the end of a line is how tests name it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel

from graphs import Column, Graph, Model, Resources, graph, node
from graphs.ir import GRAPH, Behaviour, Edge, Port
from graphs.nodes import constant, filter, parameter, switch
from tests.library import toy
from tests.library.toy import INPUTS, double, root

TEXT = {"id": pa.string(), "text": pa.string()}


@graph(key="name", inputs=INPUTS)
def key_is_no_input(number: Column) -> dict[str, Column]:
    return {"doubled": double(number)}


@graph(key="id", inputs={"id": pa.list_(pa.string()), "number": pa.int64()})
def key_is_a_list(number: Column) -> dict[str, Column]:
    return {"doubled": double(number)}


@graph(key="number", inputs=INPUTS)
def key_is_changed(number: Column) -> dict[str, Column]:
    return {"number": double(number)}


@graph(key="id", inputs=INPUTS)
def odd_names(number: Column) -> dict[str, Column]:
    limit = parameter("the.limit", pa.int64(), default=1)  # limit
    return {"a/b": double(number), "limit": limit}


@graph(key="id", inputs={**INPUTS, "number again": pa.int64()})
def two_outputs(number: Column) -> dict[str, Column]:
    return {"x": double(number), "y": root(number)}  # two outputs


def two_columns_of_one_name() -> Graph:
    good = two_outputs.graph
    return replace(good, inputs=(*good.inputs, good.inputs[1]))


def two_nodes_of_one_name() -> Graph:
    first, second = two_outputs.graph.nodes
    return replace(two_outputs.graph, nodes=(first, second, first))


def an_edge_from_nowhere() -> Graph:
    stray = (Edge("nowhere", "x", GRAPH, "z"), Edge(GRAPH, "colour", "double", "number"))
    good = two_outputs.graph
    feeding = [edge for edge in good.edges if edge.target != "double"]
    return replace(good, edges=(*feeding, *stray))


def an_input_that_nobody_feeds() -> Graph:
    good = two_outputs.graph
    return replace(good, edges=tuple(edge for edge in good.edges if edge.target != "root"))


def an_input_that_two_feed() -> Graph:
    good = two_outputs.graph
    return replace(good, edges=(*good.edges, Edge("double", "doubled", "root", "number")))


@graph(key="id", inputs={**INPUTS, "colour": pa.string()})
def an_input_that_nobody_reads(number: Column, colour: Column) -> dict[str, Column]:
    return {"doubled": double(number)}


def a_circle() -> Graph:
    good = two_outputs.graph
    nodes = tuple(replace(n, inputs=(Port("number", None),)) for n in good.nodes)
    edges = (
        Edge(GRAPH, "id", GRAPH, "id"),
        Edge("double", "doubled", "root", "number"),
        Edge("root", "root", "double", "number"),
        Edge(GRAPH, "number", GRAPH, "x"),
    )
    return replace(good, nodes=nodes, edges=edges, outputs=good.outputs[:2])


class MiniLM(Model, inputs={"text": pa.string()}, outputs={"vector": pa.list_(pa.float32(), 768)}):
    def predict(self, text: list[str]) -> np.ndarray[Any, Any]:
        return np.zeros((len(text), 768), np.float32)


@node(inputs={"vector": pa.list_(pa.float32(), 384)}, outputs={"topic": pa.string()})
def classify(vector: np.ndarray[Any, Any]) -> list[str]:
    return ["sports"] * len(vector)


@graph(key="id", inputs=TEXT)
def another_size(text: Column) -> dict[str, Column]:
    vector = MiniLM()(text)  # MiniLM
    return {"topic": classify(vector)}  # classify


@graph(key="id", inputs=TEXT)
def a_wrong_graph_used_twice(text: Column) -> dict[str, Column]:
    return {"a": another_size(text), "b": another_size(text)}


@graph(key="id", inputs=TEXT)
def another_type_of_input(text: Column) -> dict[str, Column]:
    return {"doubled": double(text)}  # double of text


@graph(key="id", inputs=INPUTS)
def a_filter_by_a_number(number: Column) -> dict[str, Column]:
    filter(number)  # filter
    return {"number": number}


def an_output_without_a_type() -> Graph:
    good = two_outputs.graph
    untyped = tuple(
        replace(n, outputs=tuple(Port(port.name, None) for port in n.outputs)) for n in good.nodes
    )
    outputs = (*good.outputs[:2], Port("y", None))
    return replace(good, nodes=(good.nodes[0], untyped[1]), outputs=outputs)


class Row(BaseModel):
    id: str
    number: int
    weight: Annotated[int, pa.int8()] = 300


@graph(key="id", inputs=Row)
def a_default_that_does_not_fit(number: Column, weight: Column) -> dict[str, Column]:
    return {"doubled": double(number), "weight": weight}


@graph(key="id", inputs=INPUTS)
def a_constant_that_does_not_fit(number: Column) -> dict[str, Column]:
    return {
        "number": number,
        "half": constant(0.5, pa.int64()),  # half
        "limit": parameter("limit", pa.float64(), default="low"),  # low
    }


@graph(key="id", inputs=INPUTS)
def one_parameter_declared_twice(number: Column) -> dict[str, Column]:
    return {
        "number": number,
        "a": parameter("limit", pa.int64(), default=1),  # limit 1
        "b": parameter("limit", pa.int64(), default=2),  # limit 2
    }


@graph(key="id", inputs=INPUTS)
def a_case_that_cannot_be(number: Column) -> dict[str, Column]:
    return {"x": switch(number, {1: double, "two": double, 2.5: double}, number)}  # switch


@node(inputs={"number": pa.int64()}, outputs={"doubled": pa.float64()})
def double_as_float(number: pa.Array) -> Any:
    return pc.multiply(number, 2.0)


@graph(key="id", inputs=INPUTS)
def cases_of_other_types(number: Column) -> dict[str, Column]:
    return {"x": switch(number, {1: double}, number, default=double_as_float)}  # cases


@node(inputs={"text": pa.string()}, outputs={"size": pa.int64()})
def size(text: list[str]) -> list[int]:
    return [len(one) for one in text]


@graph(key="id", inputs=INPUTS)
def a_problem_inside_a_case(number: Column) -> dict[str, Column]:
    def measured(number: Column) -> Column:
        return size(number)  # size

    return {"x": switch(number, {1: measured}, number)}


shout = node(inputs={"text": pa.string()}, outputs={"loud": pa.string()})(
    lambda text: pc.utf8_upper(text)
)


@graph(key="id", inputs=TEXT)
def a_lambda(text: Column) -> dict[str, Column]:
    return {"loud": shout(text)}  # shout


def times(factor: int) -> Any:
    @node(inputs={"number": pa.int64()}, outputs={"scaled": pa.int64()})
    def scale(number: pa.Array) -> Any:
        return pc.multiply(number, factor)

    return scale


@graph(key="id", inputs=INPUTS)
def code_inside_a_function(number: Column) -> dict[str, Column]:
    return {"scaled": times(3)(number)}  # scale


def code_that_is_not_installed() -> Graph:
    first, second = two_outputs.graph.nodes
    elsewhere = replace(first, ref="no_such_package.nodes:double")
    return replace(two_outputs.graph, nodes=(elsewhere, second))


@node(inputs={"number": pa.int64()}, outputs={"plus": pa.int64()})
def plus(number: pa.Array) -> Any:
    return pc.add(number, 1)


plus_one = plus


def plus(number: int) -> int:  # type: ignore[no-redef]
    """Takes the name of the node."""
    return number + 1


@graph(key="id", inputs=INPUTS)
def a_name_taken_by_something_else(number: Column) -> dict[str, Column]:
    return {"plus": plus_one(number)}  # plus


def _scaled(factor: int) -> Callable[[pa.Array], Any]:
    def scale(number: pa.Array) -> Any:
        return pc.multiply(number, factor)

    scale.__qualname__ = scale.__name__ = "tripled"
    return scale


tripled = node(inputs={"number": pa.int64()}, outputs={"tripled": pa.int64()})(_scaled(3))


@graph(key="id", inputs=INPUTS)
def a_closure(number: Column) -> dict[str, Column]:
    return {"tripled": tripled(number)}  # tripled


class Weights(
    Model,
    inputs={"number": pa.int64()},
    outputs={"weighed": pa.int64()},
    artifacts={"weights": "package:no_such_package/weights", "words": "/no/such/words.txt"},
):
    def predict(self, number: pa.Array) -> Any:
        return number


@graph(key="id", inputs=INPUTS)
def artifacts_that_are_not_there(number: Column) -> dict[str, Column]:
    return {"weighed": Weights()(number)}  # Weights


def constructor_arguments_of_another_time() -> Graph:
    good = toy.toy.graph
    shift = replace(good.node("Shift"), parameters='{"by": 3, "colour": "red"}')
    return replace(good, nodes=(*good.nodes[:2], shift))


@node(
    inputs={"number": pa.int64()},
    outputs={"x": pa.int64()},
    resources=Resources(cpus=-1, gpus=1.5, memory_bytes=-5),
)
def needy(number: pa.Array) -> pa.Array:
    return number


@node(
    inputs={"number": pa.int64()},
    outputs={"x": pa.int64()},
    resources=Resources(accelerator="H100"),
)
def accelerated(number: pa.Array) -> pa.Array:
    return number


@graph(key="id", inputs=INPUTS)
def impossible_resources(number: Column) -> dict[str, Column]:
    return {
        "x": needy(number),  # needy
        "y": accelerated(number),  # accelerated
    }


@node(
    inputs={"number": pa.int64()},
    outputs={"x": pa.int64()},
    behaviour=Behaviour(batch_rows=0, timeout_s=-1.0, retries=-1, nulls="drop"),  # type: ignore[arg-type]
)
def bounded(number: pa.Array) -> pa.Array:
    return number


@node(
    inputs={"number": pa.int64()},
    outputs={"x": pa.int64()},
    behaviour=Behaviour(retry_on=(OSError,)),  # type: ignore[arg-type]
)
def retried(number: pa.Array) -> pa.Array:
    return number


@graph(key="id", inputs=INPUTS)
def impossible_bounds(number: Column) -> dict[str, Column]:
    return {
        "x": bounded(number),  # bounded
        "y": retried(number),  # retried
    }


@node(
    inputs={"number": pa.int64()},
    outputs={"score": pa.float64(), "label": pa.string()},
    behaviour=Behaviour(tolerance=(("label", 0.1), ("score", -0.1))),
)
def judge(number: list[int]) -> tuple[list[float], list[str]]:
    return [0.5 for _ in number], ["good" for _ in number]


@graph(key="id", inputs=INPUTS)
def a_tolerance_for_text(number: Column) -> dict[str, Column]:
    score, label = judge(number)  # judge
    return {"score": score, "label": label}


@node(inputs={"number": pa.int64()}, outputs={"span": pa.month_day_nano_interval()})
def span(number: pa.Array) -> pa.Array:
    return pa.nulls(len(number), pa.month_day_nano_interval())


@graph(key="id", inputs=INPUTS)
def an_output_without_a_parquet_form(number: Column) -> dict[str, Column]:
    return {"span": span(number)}


@graph(key="id", inputs={**INPUTS, "at": pa.timestamp("ns")})
def a_column_without_a_json_form(number: Column, at: Column) -> dict[str, Column]:
    return {"times": switch(number, {1: lambda at: {"at": at}}, at), "number": number}


@graph(key="id", inputs=INPUTS)
def a_reserved_name(number: Column) -> dict[str, Column]:
    return {"error": double(number), "filtered": number}


def in_the_script(number: pa.Array) -> pa.Array:
    return number


in_the_script.__module__ = "__main__"
script_node = node(inputs={"number": pa.int64()}, outputs={"x": pa.int64()})(in_the_script)


@graph(key="id", inputs=INPUTS)
def code_in_the_script(number: Column) -> dict[str, Column]:
    return {"x": script_node(number)}  # script
