import pickle
from dataclasses import replace

import pyarrow as pa
import pytest

from graphs import Column, graph
from graphs.checks import check
from graphs.errors import CheckFailed
from graphs.ir import GRAPH, Edge, Port
from tests.library import toy

GOOD = toy.toy.graph


def problems(wrong):
    with pytest.raises(CheckFailed) as caught:
        check(wrong)
    return caught.value.problems


def test_a_good_graph_passes():
    check(GOOD)


def test_the_key_must_be_an_input():
    assert problems(replace(GOOD, key="name")) == (
        "key 'name' is not an input; choose one of ['id', 'number']",
    )


def test_a_type_mismatch_names_both_ends_their_lines_and_types():
    @graph(key="id", inputs={"id": pa.string(), "number": pa.string()})
    def mismatched(number: Column) -> dict[str, Column]:
        vector, _ = toy.describe(toy.double(toy.root(number)))
        return {"vector": vector}

    first, second = problems(mismatched.graph)
    assert first.startswith("node 'root' (test_checks.py:")
    assert first.endswith(") expects `number: int64`, the graph's input gives `number: string`")
    assert " expects `number: int64`, node 'root' (test_checks.py:" in second
    assert second.endswith(") gives `root: double`")


def test_nodes_in_a_circle_are_named():
    edges = (
        Edge("double", "doubled", "root", "number"),
        Edge("root", "root", "double", "number"),
        Edge("root", "root", GRAPH, "root"),
    )
    nodes = tuple(replace(n, inputs=(Port("number", None),)) for n in GOOD.nodes[:2])

    found = problems(replace(GOOD, nodes=nodes, edges=edges, outputs=(Port("root", None),)))

    assert any(problem.startswith("nodes feed each other in a circle: ") for problem in found)


def test_an_input_port_must_be_fed_exactly_once():
    found = problems(replace(GOOD, edges=tuple(e for e in GOOD.edges if e.target != "root")))

    assert len(found) == 1
    assert found[0].endswith("input 'number' is fed 0 times; feed it once")


def test_edges_must_have_both_ends():
    stray = Edge("nowhere", "x", GRAPH, "y")

    assert problems(replace(GOOD, edges=(*GOOD.edges, stray))) == (
        "graph.y reads nowhere.x, which does not exist",
        "nowhere.x feeds graph.y, which does not exist",
    )


def test_node_names_must_be_unique():
    twice = replace(GOOD, nodes=(*GOOD.nodes, GOOD.nodes[0]))

    assert "2 nodes are named 'double'" in problems(twice)


def test_code_inside_a_function_cannot_be_imported_elsewhere():
    local = replace(GOOD.nodes[0], ref="tests.library.toy:f.<locals>.double")

    (problem,) = problems(replace(GOOD, nodes=(local, *GOOD.nodes[1:])))

    assert problem.endswith(
        "'f.<locals>.double' lives inside a function, so no other process can import it; "
        "define it at the top of module 'tests.library.toy'"
    )


def test_a_missing_artifact_is_found_before_work_starts():
    node = replace(GOOD.node("Shift"), artifacts=(("weights", "package:no_such_package/x"),))

    (problem,) = problems(replace(GOOD, nodes=(*GOOD.nodes[:2], node)))

    assert "artifact 'package:no_such_package/x': package 'no_such_package' is not inst" in problem


def test_all_problems_come_at_once_and_survive_pickling():
    wrong = replace(GOOD, key="name", edges=tuple(e for e in GOOD.edges if e.target != "root"))
    with pytest.raises(CheckFailed) as caught:
        check(wrong)

    again = pickle.loads(pickle.dumps(caught.value))

    assert len(again.problems) == 2
    assert str(again) == str(caught.value)
    assert str(again).startswith("graph 'tests.library.toy:toy' has 2 problems:\n  1. key 'name'")
