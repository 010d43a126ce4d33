"""Python that cannot become a graph: what its author reads, in full."""

import datetime
from typing import Any

import pyarrow as pa
import pytest

from graphs import Column, Model, graph, node
from graphs.errors import AuthoringError
from tests.library.toy import INPUTS, Shift, describe, double, toy


def made(function):
    return graph(key="id", inputs=INPUTS)(function).graph


def a_fixed_value():
    def g(number: Column) -> dict[str, Column]:
        return {"x": double(7)}

    made(g)


def too_many_columns():
    def g(number: Column) -> dict[str, Column]:
        return {"x": double(number, number)}

    made(g)


def too_few_columns():
    def g(number: Column) -> dict[str, Column]:
        return {"x": double()}

    made(g)


def two_columns_as_one():
    def g(number: Column) -> dict[str, Column]:
        return {"both": describe(number)}

    made(g)


def two_columns_as_an_argument():
    def g(number: Column) -> dict[str, Column]:
        return {"x": double(describe(number))}

    made(g)


def one_column_unpacked():
    def g(number: Column) -> dict[str, Column]:
        a, b = double(number)
        return {"a": a, "b": b}

    made(g)


def an_output_that_is_not_there():
    def g(number: Column) -> dict[str, Column]:
        return {"x": describe(number).vectors}

    made(g)


def python_that_decides():
    def g(number: Column) -> dict[str, Column]:
        return {"x": double(number) if double(number) else number}

    made(g)


def nothing_returned():
    def g(number: Column) -> None:
        double(number)

    made(g)


def an_unknown_column():
    def g(colour: Column) -> dict[str, Column]:
        return {"x": colour}

    made(g)


def a_graph_called_with_rows():
    toy(pa.array([1]))


def no_outputs_declared():
    class Silent(Model):
        def predict(self, number: pa.Array) -> pa.Array:
            return number

    def g(number: Column) -> dict[str, Column]:
        return {"x": Silent()(number)}

    made(g)


def no_predict():
    class Idle(Model, outputs={"x": pa.int64()}):
        pass


def no_outputs():
    @node(outputs={})
    def silent(number: pa.Array) -> None: ...


def a_python_type():
    @node(outputs={"x": int})
    def typed(number: pa.Array) -> None: ...


def an_input_that_is_no_parameter():
    @node(inputs={"colour": pa.string()}, outputs={"x": pa.string()})
    def plain(number: pa.Array) -> None: ...


def any_number_of_columns():
    @node(outputs={"x": pa.string()})
    def greedy(*columns: pa.Array) -> None: ...


def a_default_that_is_no_value():
    @node(outputs={"x": pa.string()})
    def dated(number: pa.Array, since: Any = datetime.date(2026, 11, 22)) -> None: ...


def a_constructor_argument_that_is_no_value():
    Shift(by={1, 2})  # type: ignore[arg-type]


def a_constructor_argument_that_json_would_change():
    Shift(by={1: "a"})  # type: ignore[arg-type]


def an_unknown_constructor_argument():
    Shift(colour="red")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("author", "text"),
    [
        (
            a_fixed_value,
            "graph 'g', node 'double' at HERE: number=7 is not a column. Pass a graph input or "
            "another node's output; a fixed value is constant(value, type), or a constructor "
            "argument of a Model",
        ),
        (
            too_many_columns,
            "node 'double' at HERE: too many positional arguments. It takes (number: 'pa.Array') "
            "-> 'Any'",
        ),
        (
            too_few_columns,
            "node 'double' at HERE: missing a required argument: 'number'. "
            "It takes (number: 'pa.Array') -> 'Any'",
        ),
        (
            two_columns_as_one,
            "graph 'g' at HERE: outputs ['both'] are not single columns. "
            "Unpack a node with several outputs: a, b = node(x)",
        ),
        (
            two_columns_as_an_argument,
            "graph 'g', node 'double' at HERE: number= got the 2 columns ['vector', 'sign']. "
            "Pass one of them",
        ),
        (
            one_column_unpacked,
            "double.doubled is one column and cannot be unpacked, at HERE. "
            "Only a node with several outputs gives several columns",
        ),
        (
            an_output_that_is_not_there,
            "there is no output 'vectors' among ['vector', 'sign'], at HERE. Take one of these",
        ),
        (
            python_that_decides,
            "double.doubled has no value while the graph is traced, so Python cannot decide by "
            "it, at HERE. Decide inside a node, or route rows with switch(...) or filter(...)",
        ),
        (
            nothing_returned,
            "graph 'g' at HERE: returned None. Return a dict of output name to column",
        ),
        (
            an_unknown_column,
            "graph 'g' at HERE: parameters ['colour'] are not among the inputs ['id', 'number']. "
            "Name parameters after input columns",
        ),
        (
            a_graph_called_with_rows,
            "graph 'toy': a graph is not called with data. "
            "Use graphs.run(graph, table) to run it in this process",
        ),
        (
            no_outputs_declared,
            "model 'Silent' at HERE: declares no outputs. Write class X(Model, outputs={...})",
        ),
        (
            no_predict,
            "model 'Idle' at HERE: declares outputs but has no predict. "
            "Write def predict(self, <a parameter for each input column>)",
        ),
        (no_outputs, "node 'silent' at HERE: declares no outputs. Give at least one"),
        (
            a_python_type,
            "node 'typed' at HERE, outputs=: these are no Arrow types: x: <class 'int'>. "
            "Write pa.int64(), pa.string()",
        ),
        (
            an_input_that_is_no_parameter,
            "node 'plain' at HERE: inputs ['colour'] are not parameters of the function. "
            "Its parameters are ['number']",
        ),
        (
            any_number_of_columns,
            "node 'greedy' at HERE: takes *args, **kwargs or positional-only parameters. "
            "Name each input column as a parameter of its own",
        ),
        (
            a_default_that_is_no_value,
            "node 'dated' at HERE: defaults of ['since'] are no JSON values. "
            "Use None, and decide in the function",
        ),
        (
            a_constructor_argument_that_is_no_value,
            "model 'Shift' at HERE: constructor arguments are no JSON values: by={1, 2}. "
            "Give numbers, strings, lists and dicts that __init__ names, since every worker makes "
            "the model anew from them",
        ),
        (
            a_constructor_argument_that_json_would_change,
            "model 'Shift' at HERE: constructor arguments are no JSON values: by={1: 'a'}. "
            "Give numbers, strings, lists and dicts that __init__ names, since every worker makes "
            "the model anew from them",
        ),
        (
            an_unknown_constructor_argument,
            "model 'Shift' at HERE: constructor arguments do not fit: got an unexpected keyword "
            "argument 'colour'. It takes (by: 'int' = 1) -> 'None'",
        ),
    ],
    ids=lambda case: getattr(case, "__name__", ""),
)
def test_what_cannot_become_a_graph_says_where_and_what_to_write(author, text):
    with pytest.raises(AuthoringError) as caught:
        author()

    first = author.__code__.co_firstlineno
    heres = [f"test_authoring_errors.py:{line}" for line in range(first, first + 8)]
    assert str(caught.value) in [text.replace("HERE", here) for here in heres]


class Base(Model, inputs={"number": pa.int64()}, outputs={"x": pa.int64()}):
    def predict(self, number: pa.Array) -> Any:
        return number


class Special(Base):
    def predict(self, number: pa.Array) -> Any:
        return pa.array([7] * len(number))


def test_a_model_that_extends_another_is_its_own_node_with_what_that_declares():
    assert Special.template.ref == "tests.library.test_authoring_errors:Special"
    assert Special.template.inputs == Base.template.inputs
    assert Special.template.outputs == Base.template.outputs
