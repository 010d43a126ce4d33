import pytest

from graphs.compiler import compile
from graphs.errors import ProfileError
from graphs.rewrites import rewrite
from tests.library import toy


def test_nodes_of_one_resource_class_fuse_into_one_stage():
    (stage,) = compile(toy.toy.graph, "offline").stages

    assert stage.nodes == ("input", "double", "root", "Shift")
    assert stage.is_stateful
    assert stage.columns_in == ("id", "number")
    assert stage.columns_out == ("id", "root", "shifted")


def test_stages_are_cut_where_the_resource_class_changes_and_carry_only_what_is_read():
    cpu, gpu, last = compile(toy.accelerated.graph, "offline").stages

    assert [cpu.nodes, gpu.nodes, last.nodes] == [
        ("input", "double"),
        ("Accelerated",),
        ("double_2",),
    ]
    assert [cpu.is_stateful, gpu.is_stateful, last.is_stateful] == [False, True, False]
    assert set(cpu.columns_out) == {"double.doubled", "id", "number"}
    assert set(gpu.columns_out) == {"Accelerated.tripled", "id", "number"}
    assert last.columns_out == ("id", "final", "number")


def test_online_everything_shares_a_process_with_the_largest_need():
    (deployment,) = compile(toy.accelerated.graph, "online").deployments

    assert deployment.nodes == ("input", "double", "Accelerated", "double_2")
    assert deployment.resources.gpus == 1


def test_a_node_that_no_output_needs_is_dropped():
    from graphs import Column, graph

    @graph(key="id", inputs=toy.INPUTS)
    def wasteful(number: Column) -> dict[str, Column]:
        toy.root(toy.double(number))
        return {"number": number}

    assert [node.name for node in rewrite(wasteful.graph).nodes] == ["input"]


def test_a_rewrite_with_nothing_to_do_returns_the_same_object():
    once = rewrite(toy.toy.graph)

    assert rewrite(once) is once


def test_compiling_twice_gives_equal_plans():
    assert compile(toy.toy.graph, "offline") == compile(toy.toy.graph, "offline")


def test_an_unknown_profile_key_is_refused_with_the_known_ones():
    with pytest.raises(ProfileError) as caught:
        compile(toy.toy.graph, "online", {"replica": 2})

    assert str(caught.value) == (
        "OnlineProfile: replica: Extra inputs are not permitted. "
        "Known keys are replicas, max_batch_requests, batch_wait_s, max_ongoing_requests, nodes"
    )


def test_a_profile_value_out_of_range_is_refused():
    with pytest.raises(ProfileError, match="workers_min=3 > workers_max=2"):
        compile(toy.toy.graph, "offline", {"workers_min": 3})
