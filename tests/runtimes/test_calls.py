"""Does it matter in how many processes the nodes of a graph are? (Without processes here.)"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from graphs import Column, graph, node
from graphs.compiler import compile
from graphs.errors import NodeError, ParityFailed
from graphs.ir import with_defaults
from graphs.nodes import filter
from graphs.planners.online import OnlinePlan
from graphs.runtimes.inline import run
from graphs.runtimes.kernel import Computed, Kernel
from graphs.runtimes.kernel.views import blank
from graphs.runtimes.ray_serve.calls import Ask, Calls
from graphs.runtimes.ray_serve.node_server import NodeServer, Part, compute, packed, unpacked
from tests.cases.case import Case, Outcome, differences
from tests.cases.suite import CASES
from tests.runtimes import apart

NUMBER = pa.schema({"number": pa.int64()})


def rows(*numbers: int) -> pa.Table:
    columns = {"id": [f"r{n}" for n in range(len(numbers))], "number": list(numbers)}
    return pa.table(columns | {"place": [""] * len(numbers)}, schema=pa.schema(apart.INPUTS))


def here(plan: OnlinePlan, position: int) -> Ask:
    """A call made in this process, which yields to the others as one over a network does."""
    kernel = Kernel(plan.graph, plan.calls[position].nodes)

    async def ask(table: pa.Table) -> Computed:
        await asyncio.sleep(0)
        assert table.column_names == list(plan.calls[position].columns_in)
        computed = kernel.run(table)
        left = computed.table.select(plan.calls[position].columns_out)
        return Computed(left, computed.kept, computed.rejected)

    return ask


def online(authored: Any, table: pa.Table) -> Any:
    plan = compile(authored.graph, "online")
    calls = Calls(plan, [here(plan, position) for position in range(len(plan.calls))])
    return asyncio.run(calls.run(table))


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if "online" not in case.refused and not case.parameters],
    ids=lambda case: case.name,
)
def test_every_case_holds_with_every_node_in_a_process_of_its_own(case: Case) -> None:
    nodes = compile(case.graph.graph, "online").graph.nodes
    alone = {node.name: {"replicas": 1} for node in nodes}
    plan = compile(case.graph.graph, "online", {"nodes": alone})
    asks = [away(plan, position) for position in range(len(plan.calls))]
    table = with_defaults(case.table, plan.graph.input_schema)

    got = asyncio.run(Calls(plan, asks).run(table))

    rejected = tuple((row.row, row.node, row.error, row.message) for row in got.rejected)
    filtered = table.num_rows - len(got.kept) - len(rejected)
    assert len(plan.calls) == len(nodes)
    assert (
        differences(case, Outcome(got.outputs, rejected, {"": filtered} if filtered else {})) == []
    )


def away(plan: OnlinePlan, position: int) -> Ask:
    """A call as another process makes it: what crosses is bytes."""
    call = plan.calls[position]
    kernel = Kernel(plan.graph, call.nodes)

    async def ask(table: pa.Table) -> Computed:
        await asyncio.sleep(random.uniform(0, 0.001))
        (part,) = compute(kernel, call, [packed(table)])
        assert isinstance(part, Part)
        return Computed(unpacked(part.columns), part.kept, part.rejected)

    return ask


@pytest.mark.parametrize("authored", [apart.chain, apart.branches], ids=lambda g: g.graph.name)
@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param([], id="no row"),
        pytest.param([1], id="one row"),
        pytest.param([100], id="a row that is filtered"),
        pytest.param([5], id="a row that is rejected before the branches"),
        pytest.param([-1], id="a row that one branch rejects"),
        pytest.param([-7], id="a row that both branches reject: the first says why"),
        pytest.param([-71, 3], id="a row that breaks a node's word, which in order is spared it"),
        pytest.param([-5, 7, 100, 4, -7, 9], id="a bit of everything"),
        pytest.param(list(range(-100, 150)), id="many rows"),
    ],
)
def test_nodes_that_stand_apart_compute_what_they_compute_together(
    authored: Any, numbers: list[int]
) -> None:
    inline = run(authored.graph, rows(*numbers))

    got = online(authored, rows(*numbers))

    assert got.outputs.to_pylist() == inline.table.to_pylist()
    assert got.outputs.schema == authored.graph.output_schema
    assert got.kept.tolist() == inline.kept.tolist()
    assert got.rejected == inline.rejected


def test_a_broken_declaration_is_told() -> None:
    plan = compile(apart.chain.graph, "online")

    async def broken(table: pa.Table) -> Computed:
        raise NodeError("has 1 rows for 2 rows in")

    calls = Calls(plan, [here(plan, 0), broken, here(plan, 2)])

    with pytest.raises(NodeError, match="1 rows for 2"):
        asyncio.run(calls.run(rows(1, 2)))


def test_calls_that_do_not_wait_for_each_other_run_at_the_same_time() -> None:
    plan = compile(apart.branches.graph, "online")
    both_are_there = asyncio.Barrier(2)

    def meeting(position: int) -> Ask:
        ask = here(plan, position)

        async def meet(table: pa.Table) -> Computed:
            async with asyncio.timeout(10):
                await both_are_there.wait()
            return await ask(table)

        return meet

    calls = Calls(plan, [here(plan, 0), meeting(1), meeting(2), here(plan, 3)])
    got = asyncio.run(calls.run(rows(1, 2)))

    assert got.kept.tolist() == [0, 1]


def test_nobody_is_asked_about_rows_that_are_all_gone() -> None:
    plan = compile(apart.branches.graph, "online")
    asked: list[int] = []

    def counting(position: int) -> Ask:
        ask = here(plan, position)

        async def count(table: pa.Table) -> Computed:
            asked.append(position)
            return await ask(table)

        return count

    calls = Calls(plan, [counting(position) for position in range(4)])
    got = asyncio.run(calls.run(rows(100, 200)))

    assert asked == [0]
    assert (got.outputs.num_rows, got.kept.tolist(), got.rejected) == (0, [], ())


def test_a_call_shifts_positions_back_to_those_of_the_request() -> None:
    got = online(apart.chain, rows(5, 1, 10, -1, 2))

    assert [(row.row, row.node) for row in got.rejected] == [
        (0, "double"),
        (2, "double"),
        (3, "Root"),
    ]
    assert np.array_equal(got.kept, [1, 4])


def test_calls_that_come_together_are_computed_together_and_each_gets_its_own() -> None:
    plan = compile(apart.branches.graph, "online")
    describe = plan.calls[2]
    kernel = Kernel(plan.graph, describe.nodes)
    asked = [[1, 7, 2], [14], [], [-3, 21, 4]]

    parts = compute(
        kernel, describe, [packed(pa.table({"number": n}, schema=NUMBER)) for n in asked]
    )

    assert all(isinstance(part, Part) for part in parts)
    assert [part.kept.tolist() for part in parts] == [[0, 2], [], [], [0, 2]]
    assert [[row.row for row in part.rejected] for part in parts] == [[1], [0], [], [1]]
    assert [unpacked(part.columns)["describe.sign"].to_pylist() for part in parts] == [
        ["positive"] * 2,
        [],
        [],
        ["negative", "positive"],
    ]


def test_a_call_that_breaks_a_nodes_word_does_not_harm_those_that_came_with_it() -> None:
    plan = compile(apart.branches.graph, "online")
    kernel = Kernel(plan.graph, plan.calls[2].nodes)
    batches = [packed(pa.table({"number": [number]}, schema=NUMBER)) for number in (1, -71, 2)]

    parts = compute(kernel, plan.calls[2], batches)

    assert [type(part).__name__ for part in parts] == ["Part", "NodeError", "Part"]


def test_a_further_replica_that_finds_another_version_does_not_start() -> None:
    plan = compile(apart.chain.graph, "online")

    NodeServer(plan, "chain.Root", is_proved=True)
    with pytest.raises(ParityFailed, match=f"are of version {plan.version}, not 0123"):
        NodeServer(replace(plan, version="0123"), "chain.Root", is_proved=True)


def test_a_part_of_a_table_travels_alone() -> None:
    whole = pa.table({"text": ["x" * 1000] * 1000})

    assert len(packed(whole.slice(3, 2))) < 10_000
    assert unpacked(packed(whole.slice(3, 2))).equals(whole.slice(3, 2))


@pytest.mark.parametrize(
    "type_",
    [
        pa.string(),
        pa.large_binary(),
        pa.bool_(),
        pa.uint8(),
        pa.float32(),
        pa.decimal128(10, 2),
        pa.date32(),
        pa.timestamp("us", "UTC"),
        pa.duration("s"),
        pa.list_(pa.float32(), 3),
        pa.list_(pa.struct([("a", pa.string()), ("b", pa.list_(pa.int8()))])),
        pa.dictionary(pa.int8(), pa.string()),
        pa.map_(pa.string(), pa.int64()),
        pa.null(),
    ],
    ids=str,
)
def test_there_is_a_blank_row_of_every_type(type_: pa.DataType) -> None:
    assert (len(blank(type_)), blank(type_).type) == (1, type_)


def test_every_node_is_warmed_up_though_no_row_would_reach_it() -> None:
    graph = compile(warmed.graph, "online").graph
    Kernel(graph, [node.name for node in graph.nodes]).warm_up()

    assert SEEN == [""]


SEEN: list[str] = []


@node(inputs={"text": pa.string()}, outputs={"is_there": pa.bool_()})
def never(text: list[str]) -> list[bool]:
    return [False for _ in text]


@node(inputs={"text": pa.string()}, outputs={"seen": pa.string()})
def see(text: list[str]) -> list[str]:
    SEEN.extend(text)
    return text


@graph(key="id", inputs={"id": pa.string(), "text": pa.string()})
def warmed(text: Column) -> dict[str, Column]:
    filter(never(text))
    return {"seen": see(text)}
