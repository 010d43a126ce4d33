import pyarrow as pa
import pytest
from pydantic import BaseModel

from graphs import Column, Graph, graph, load_graph
from graphs.errors import GraphNotFound
from graphs.ir import GRAPH, Edge
from tests.library import toy


def test_a_graph_function_traces_into_nodes_and_edges():
    traced = toy.toy.graph

    assert [node.name for node in traced.nodes] == ["double", "root", "Shift"]
    assert Edge("double", "doubled", "Shift", "number") in traced.edges
    assert Edge(GRAPH, "number", "root", "number") in traced.edges
    assert traced.ref == "tests.library.toy:toy"


def test_the_key_comes_first_in_the_outputs_by_itself():
    assert toy.toy.graph.output_schema == pa.schema(
        {"id": pa.string(), "root": pa.float64(), "shifted": pa.int64()}
    )


def test_a_node_used_twice_gets_two_names():
    traced = toy.accelerated.graph

    assert [node.name for node in traced.nodes] == ["double", "Accelerated", "double_2"]


def test_outside_a_graph_a_node_is_an_ordinary_function():
    assert toy.double(pa.array([1, 2])).to_pylist() == [2, 4]


def test_constructor_arguments_of_a_model_become_parameters():
    assert toy.toy.graph.node("Shift").parameters == '{"by": 3}'


def test_annotations_choose_the_batch_view():
    assert toy.double.template.inputs[0].view == "arrow"
    assert toy.root.template.inputs[0].view == "list"
    assert toy.describe.template.inputs[0].view == "numpy"


def test_each_node_remembers_the_line_that_called_it():
    source = toy.toy.graph.node("Shift").source

    assert source is not None
    assert source.file == "toy.py"


def test_inputs_can_be_a_pydantic_model():
    class Row(BaseModel):
        id: str
        number: int

    @graph(key="id", inputs=Row)
    def from_model(number: Column) -> dict[str, Column]:
        return {"doubled": toy.double(number)}

    assert from_model.graph.input_schema == pa.schema(
        [pa.field("id", pa.string(), False), pa.field("number", pa.int64(), False)]
    )


def test_a_graph_is_a_part_of_another_graph():
    @graph(key="id", inputs=toy.INPUTS)
    def outer(number: Column) -> dict[str, Column]:
        return {"again": toy.double(toy.toy(number).shifted)}

    assert [n.name for n in outer.graph.nodes] == ["toy", "double"]
    assert outer.graph.node("toy").bodies[0][1] == toy.toy.body


def test_a_graph_survives_pickling_equal():
    import pickle

    assert pickle.loads(pickle.dumps(toy.toy.graph)) == toy.toy.graph


def test_a_reference_loads_its_graph():
    assert isinstance(load_graph("tests.library.toy:toy"), Graph)


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("toy", "graph reference 'toy': is not of the form 'module:name'"),
        (
            "tests.library.toy:missing",
            "graph reference 'tests.library.toy:missing': "
            "module 'tests.library.toy' has no 'missing'",
        ),
        (
            "tests.library.toy:FACTOR",
            "graph reference 'tests.library.toy:FACTOR': is a int, not a @graph function",
        ),
        (
            "no.such.module:x",
            "graph reference 'no.such.module:x': importing 'no.such.module' failed: "
            "ModuleNotFoundError: No module named 'no'. It must be importable where the graph "
            "runs: install it there, or ship it in the runtime environment",
        ),
    ],
)
def test_a_reference_that_does_not_load_says_why(ref, message):
    with pytest.raises(GraphNotFound) as caught:
        load_graph(ref)

    assert str(caught.value) == message


def test_a_cluster_refuses_modules_that_are_not_on_its_list(monkeypatch):
    monkeypatch.setenv("GRAPHS_ALLOW", "graphs.examples, acme")

    with pytest.raises(GraphNotFound, match=r"'tests\.library\.toy' is not allowed here"):
        load_graph("tests.library.toy:toy")
