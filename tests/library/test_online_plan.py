"""What answers a request, and in how many processes?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from graphs import Behaviour, Column, Model, Resources, graph, node
from graphs.compiler import compile
from graphs.errors import ProfileError
from graphs.nodes import constant, filter, switch
from graphs.planners.online import Call, Deployment, OnlinePlan, plan_online
from graphs.profiles import OnlineProfile
from tests.library import toy

APART = Behaviour(isolate=True)


@node(inputs={"number": pa.int64()}, outputs={"negated": pa.int64()}, behaviour=APART)
def negate(number: pa.Array) -> Any:
    return pc.negate(number)


@node(inputs={"number": pa.int64()}, outputs={"is_even": pa.bool_()})
def even(number: np.ndarray[Any, Any]) -> Any:
    return number % 2 == 0


class Apart(Model, inputs={"number": pa.int64()}, outputs={"shifted": pa.int64()}, behaviour=APART):
    def predict(self, number: pa.Array) -> Any:
        return pc.add(number, 1)


class OnH100(
    Model,
    inputs={"number": pa.int64()},
    outputs={"x": pa.int64()},
    resources=Resources(gpus=1, accelerator="H100"),
):
    def predict(self, number: pa.Array) -> Any:
        return number


class OnL4(OnH100, resources=Resources(gpus=0.5, accelerator="L4")):
    pass


def plan(authored: Any, **profile: Any) -> OnlinePlan:
    return compile(authored.graph, "online", profile)


def cut(found: OnlinePlan) -> list[tuple[str, tuple[str, ...], tuple[int, ...]]]:
    return [(call.deployment, call.nodes, call.after) for call in found.calls]


def test_a_plan_is_data() -> None:
    @graph(key="id", inputs=toy.INPUTS)
    def g(number: Column) -> dict[str, Column]:
        return {"x": toy.double(Apart()(toy.double(number))), "y": number}

    assert plan(g, replicas=2) == OnlinePlan(
        graph=plan(g).graph,
        version=plan(g).version,
        deployments=(
            Deployment("g", ("input", "double", "double_2"), Resources(), 2, True),
            Deployment("g.Apart", ("Apart",), Resources(), 2, True),
        ),
        calls=(
            Call("g", ("input", "double"), ("id", "number"), ("double.doubled",), ()),
            Call("g.Apart", ("Apart",), ("double.doubled",), ("Apart.shifted",), (0,)),
            Call("g", ("double_2",), ("Apart.shifted",), ("double_2.doubled",), (0, 1)),
        ),
        profile=OnlineProfile(replicas=2),
    )


def test_what_can_share_a_process_is_one_deployment_and_one_call() -> None:
    found = plan(toy.toy)

    assert [deployment.name for deployment in found.deployments] == ["toy"]
    assert cut(found) == [("toy", ("input", "double", "root", "Shift"), ())]
    assert found.calls[0].columns_out == ("root.root", "Shift.shifted")


def test_a_node_that_wants_an_accelerator_keeps_its_neighbours() -> None:
    found = plan(toy.accelerated)

    assert [d.resources.gpus for d in found.deployments] == [1]
    assert len(found.calls) == 1


def test_nodes_that_want_different_accelerators_are_not_on_one_machine() -> None:
    @graph(key="id", inputs=toy.INPUTS)
    def g(number: Column) -> dict[str, Column]:
        return {"x": OnL4()(OnH100()(toy.double(number)))}

    found = plan(g)

    assert [(d.name, d.nodes, d.resources.accelerator) for d in found.deployments] == [
        ("g", ("input", "double", "OnH100"), "H100"),
        ("g.L4", ("OnL4",), "L4"),
    ]


def test_branches_that_stand_apart_do_not_wait_for_each_other() -> None:
    @graph(key="id", inputs=toy.INPUTS)
    def g(number: Column) -> dict[str, Column]:
        return {"a": negate(number), "b": Apart()(number)}

    found = plan(g)

    assert cut(found) == [
        ("g", ("input",), ()),
        ("g.negate", ("negate",), (0,)),
        ("g.Apart", ("Apart",), (0,)),
    ]
    assert [d.is_batched for d in found.deployments] == [True, False, True]


def test_every_call_waits_for_the_filters_before_it() -> None:
    @graph(key="id", inputs=toy.INPUTS)
    def g(number: Column) -> dict[str, Column]:
        filter(even(negate(number)))
        return {"b": Apart()(number), "number": number}

    assert cut(plan(g)) == [
        ("g", ("input",), ()),
        ("g.negate", ("negate",), (0,)),
        ("g", ("even", "filter"), (0, 1)),
        ("g.Apart", ("Apart",), (0, 2)),
    ]


def test_a_scaled_node_has_a_deployment_with_its_own_replicas() -> None:
    found = plan(toy.toy, replicas=2, nodes={"root": {"replicas": 5}})

    assert [(d.name, d.nodes, d.replicas) for d in found.deployments] == [
        ("toy", ("input", "double", "Shift"), 2),
        ("toy.root", ("root",), 5),
    ]
    assert found.version == plan(toy.toy).version


def test_a_case_that_stands_apart_takes_its_switch_with_it() -> None:
    @graph(key="id", inputs=toy.INPUTS)
    def g(number: Column) -> dict[str, Column]:
        return {"x": switch(number, {1: negate}, number, default=negate), "number": number}

    assert [d.nodes for d in plan(g).deployments] == [("input",), ("switch",)]


def test_nodes_of_an_inlined_graph_are_scaled_by_their_path() -> None:
    @graph(key="id", inputs=toy.INPUTS)
    def inner(number: Column) -> dict[str, Column]:
        return {"x": toy.double(number)}

    @graph(key="id", inputs=toy.INPUTS)
    def outer(number: Column) -> dict[str, Column]:
        return {"x": inner(number)}

    found = plan(outer, nodes={"inner/double": {"replicas": 2}})

    assert [d.name for d in found.deployments] == ["outer", "outer.inner.double"]


def test_a_call_that_reads_nothing_gets_the_key() -> None:
    @graph(key="id", inputs=toy.INPUTS)
    def g(number: Column) -> dict[str, Column]:
        return {"x": Apart()(constant(3, pa.int64())), "number": number}

    first, _ = plan_online(g.graph, "v", OnlineProfile()).calls

    assert (first.nodes, first.columns_in) == (("constant",), ("id",))


def test_scaling_a_node_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(ProfileError) as caught:
        plan(toy.toy, nodes={"roots": {"replicas": 2}})

    assert str(caught.value) == (
        "OnlineProfile: nodes.roots: there is no such node. "
        "The nodes of graph 'toy' are input, double, root, Shift"
    )


def test_a_node_named_like_its_graph_has_another_deployment() -> None:
    @graph(key="id", inputs=toy.INPUTS)
    def g(number: Column) -> dict[str, Column]:
        return {"x": negate(number)}

    found = plan_online(replace(g.graph, name="negate"), "v", OnlineProfile())

    assert [(d.name, d.nodes) for d in found.deployments] == [
        ("negate", ()),
        ("negate.negate", ("negate",)),
    ]
