"""What a node's behaviour promises: bounds, timeouts, retries, nulls, isolation of failing rows."""

import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from graphs import Column, Model, compile, graph, node, run
from graphs.authoring.declaring import NodeFunction
from graphs.errors import NodeError
from graphs.ir import Behaviour
from graphs.runtimes.inline import HOPELESS_AFTER
from graphs.runtimes.kernel import Kernel

NUMBER = {"number": pa.int64()}
INPUTS = {"id": pa.int64(), **NUMBER}

calls: list[list[object]] = []
"""What each call of a node here got."""


@pytest.fixture(autouse=True)
def no_calls():
    calls.clear()


def rows(*numbers):
    return pa.table(
        {"id": range(len(numbers)), "number": pa.array(numbers, pa.int64())},
        schema=pa.schema(INPUTS),
    )


def with_behaviour(step, **behaviour):
    """A graph of one node, as if it had been declared with a behaviour."""
    changed = NodeFunction(step.function, replace(step.template, behaviour=Behaviour(**behaviour)))

    @graph(key="id", inputs=INPUTS)
    def g(number: Column) -> dict[str, Column]:
        return {"x": changed(number)}

    return g.graph


@node(inputs=NUMBER, outputs={"x": pa.int64()})
def same(number: pa.Array) -> pa.Array:
    calls.append(number.to_pylist())
    return number


@node(inputs=NUMBER, outputs={"x": pa.int64()})
def positive(number: pa.Array) -> pa.Array:
    calls.append(number.to_pylist())
    for one in number.to_pylist():
        if one is not None and one < 0:
            raise ValueError(f"{one} is negative")
    return number


stuck = threading.Event()


@node(inputs=NUMBER, outputs={"x": pa.int64()})
def sometimes_stuck(number: list[int]) -> list[int]:
    if -1 in number:
        stuck.wait()
    return number


failures: list[Exception] = []
"""What the next calls of ``flaky`` raise."""


@node(inputs=NUMBER, outputs={"x": pa.int64()})
def flaky(number: pa.Array) -> pa.Array:
    calls.append(number.to_pylist())
    if failures:
        raise failures.pop(0)
    return number


@pytest.fixture
def waits(monkeypatch):
    """Seconds waited between attempts, instead of waiting."""
    waited: list[float] = []
    monkeypatch.setattr("graphs.runtimes.kernel.attempts.time.sleep", waited.append)
    return waited


def test_batch_rows_bounds_a_call():
    computed = run(with_behaviour(same, batch_rows=2), rows(1, 2, 3, 4, 5))

    assert calls == [[1, 2], [3, 4], [5]]
    assert computed.table["x"].to_pylist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("limit", [1, 8, 20, 64])
def test_batch_bytes_bounds_a_call_and_a_larger_row_goes_alone(limit):
    run(with_behaviour(same, batch_bytes=limit), rows(*range(10)))

    assert [number for call in calls for number in call] == list(range(10))
    assert all(8 * len(call) <= limit or len(call) == 1 for call in calls)


@node(
    inputs={"text": pa.string()}, outputs={"size": pa.int64()}, behaviour=Behaviour(batch_bytes=50)
)
def size(text: list[str]) -> list[int]:
    calls.append(text)
    return [len(one) for one in text]


def test_batch_bytes_holds_for_rows_of_very_different_sizes():
    @graph(key="id", inputs={"id": pa.int64(), "text": pa.string()})
    def g(text: Column) -> dict[str, Column]:
        return {"size": size(text)}

    texts = ["a", "b", "c" * 1000, "d", "e", "f" * 30]
    computed = run(g.graph, pa.table({"id": range(6), "text": texts}))

    assert computed.table["size"].to_pylist() == [1, 1, 1000, 1, 1, 30]
    assert ["c" * 1000] in calls
    assert all(sum(map(len, call)) <= 50 for call in calls if len(call) > 1)


def test_bounds_hold_for_a_batch_with_failing_rows():
    computed = run(with_behaviour(positive, batch_rows=3), rows(1, -2, 3, 4, -5))

    assert computed.table["x"].to_pylist() == [1, 3, 4]
    assert computed.kept.tolist() == [0, 2, 3]
    assert [(r.row, r.message) for r in computed.rejected] == [
        (1, "-2 is negative"),
        (4, "-5 is negative"),
    ]


def test_one_failing_row_of_many_is_found_in_about_two_calls_for_each_halving():
    numbers = list(range(1024))
    numbers[700] = -1

    computed = run(with_behaviour(positive), rows(*numbers))

    assert [r.row for r in computed.rejected] == [700]
    assert computed.table.num_rows == 1023
    assert len(calls) == 1 + 2 * 10


def test_a_failure_of_the_batch_alone_loses_no_row():
    failures[:] = [RuntimeError("too many at once")]

    computed = run(with_behaviour(flaky), rows(1, 2, 3, 4))

    assert computed.table["x"].to_pylist() == [1, 2, 3, 4]
    assert computed.rejected == ()
    assert calls == [[1, 2, 3, 4], [1, 2], [3, 4]]


def test_a_row_that_takes_too_long_is_rejected_and_the_others_are_kept():
    computed = run(with_behaviour(sometimes_stuck, timeout_s=0.2), rows(1, -1, 3))

    stuck.set()
    assert computed.table["x"].to_pylist() == [1, 3]
    assert [(r.row, r.error, r.message) for r in computed.rejected] == [
        (1, "TimeoutError", "took longer than 0.2 s")
    ]


def test_calls_after_a_timeout_work():
    stuck.clear()
    authored = with_behaviour(sometimes_stuck, timeout_s=0.2)
    kernel = Kernel(authored, [n.name for n in authored.nodes])

    late = kernel.run(rows(-1))
    computed = kernel.run(rows(1, 2))

    stuck.set()
    assert [r.error for r in late.rejected] == ["TimeoutError"]
    assert kernel.select_outputs(computed.table)["x"].to_pylist() == [1, 2]


def test_a_call_that_never_ends_does_not_keep_the_process_alive():
    code = (
        "from tests.library import test_behaviour as b; from graphs import run; "
        "print(len(run(b.with_behaviour(b.sometimes_stuck, timeout_s=0.01), b.rows(-1)).rejected))"
    )

    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )

    assert ended.stdout == "1\n"


def test_an_error_within_the_time_is_the_error_of_the_row():
    computed = run(with_behaviour(positive, timeout_s=30.0), rows(1, -1))

    assert [(r.row, r.error) for r in computed.rejected] == [(1, "ValueError")]


def test_a_retry_heals_what_passes(waits):
    failures[:] = [ConnectionError("gone"), ConnectionError("gone")]

    computed = run(with_behaviour(flaky, retries=2), rows(1, 2))

    assert computed.table["x"].to_pylist() == [1, 2]
    assert calls == [[1, 2]] * 3
    assert len(waits) == 2


def test_waits_grow_within_bounds_and_differ(waits):
    failures[:] = [ConnectionError("gone")] * 9

    run(with_behaviour(flaky, retries=9), rows(1))

    bounds = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert all(0 <= wait <= bound for wait, bound in zip(waits, bounds, strict=True))
    assert len(set(waits)) == 9


def test_after_the_last_attempt_the_row_is_rejected_with_the_last_error(waits):
    failures[:] = [ConnectionError("first"), ConnectionError("second")]

    computed = run(with_behaviour(flaky, retries=1), rows(1))

    assert [(r.error, r.message) for r in computed.rejected] == [("ConnectionError", "second")]
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("listed", "attempts"),
    [(("ConnectionError",), 3), (("OSError",), 3), (("ValueError", "KeyError"), 1), ((), 3)],
)
def test_only_listed_exceptions_and_their_kinds_are_worth_a_retry(waits, listed, attempts):
    failures[:] = [ConnectionResetError("gone")] * 3

    run(with_behaviour(flaky, retries=2, retry_on=listed), rows(1))

    assert len(calls) == attempts


def test_a_broken_declaration_is_not_tried_again(waits):
    @graph(key="id", inputs=INPUTS)
    def g(number: Column) -> dict[str, Column]:
        return {"x": short(number)}

    with pytest.raises(NodeError):
        run(g.graph, rows(1, 2))
    assert waits == []


@node(inputs=NUMBER, outputs={"x": pa.int64()}, behaviour=Behaviour(retries=3))
def short(number: pa.Array) -> pa.Array:
    return number[:1]


def test_by_default_a_node_sees_nulls():
    computed = run(with_behaviour(same), rows(1, None, 3))

    assert calls == [[1, None, 3]]
    assert computed.table["x"].to_pylist() == [1, None, 3]


def test_a_skipped_null_gives_nulls_without_a_call():
    computed = run(with_behaviour(positive, nulls="skip"), rows(1, None, -3, None, 5))

    assert computed.table["x"].to_pylist() == [1, None, None, 5]
    assert computed.kept.tolist() == [0, 1, 3, 4]
    assert [r.row for r in computed.rejected] == [2]
    assert all(None not in call for call in calls)


def test_when_every_row_is_skipped_the_node_is_not_called():
    computed = run(with_behaviour(same, nulls="skip"), rows(None, None))

    assert computed.table["x"].to_pylist() == [None, None]
    assert calls == []


def test_a_null_can_reject_its_row():
    computed = run(with_behaviour(positive, nulls="reject"), rows(1, None, -3, 4))

    assert computed.table["x"].to_pylist() == [1, 4]
    assert [(r.row, r.node, r.error, r.message) for r in computed.rejected] == [
        (1, "positive", "NullInput", "'number' is null"),
        (2, "positive", "ValueError", "-3 is negative"),
    ]


@node(
    inputs={"a": pa.int64(), "b": pa.string()},
    outputs={"x": pa.int64(), "y": pa.string()},
    behaviour=Behaviour(nulls="skip"),
)
def pair(a: pa.Array, b: pa.Array) -> tuple[pa.Array, pa.Array]:
    return a, b


def test_a_null_in_any_input_skips_every_output():
    @graph(key="id", inputs={"id": pa.int64(), "a": pa.int64(), "b": pa.string()})
    def g(a: Column, b: Column) -> dict[str, Column]:
        x, y = pair(a, b)
        return {"x": x, "y": y}

    table = pa.table({"id": range(3), "a": [1, None, 3], "b": ["p", "q", None]})

    assert run(g.graph, table).table.to_pylist() == [
        {"id": 0, "x": 1, "y": "p"},
        {"id": 1, "x": None, "y": None},
        {"id": 2, "x": None, "y": None},
    ]


def test_a_node_that_fails_for_every_row_fails_the_run_early_with_one_message():
    with pytest.raises(NodeError) as caught:
        run(with_behaviour(positive), rows(*[-7] * 5000))

    assert str(caught.value) == (
        f"graph 'g', node 'positive': failed for each of the first {HOPELESS_AFTER} rows: "
        "ValueError: -7 is negative. Try it on one of these rows with graphs.run"
    )
    assert len(calls) < 3 * HOPELESS_AFTER


def test_small_batches_do_not_hide_that_every_row_fails():
    with pytest.raises(NodeError, match="failed for each of the first 100 rows"):
        run(with_behaviour(positive, batch_rows=4), rows(*[-7] * 5000))


def test_a_node_that_ever_succeeded_is_not_hopeless():
    computed = run(with_behaviour(positive), rows(*[1] * 1024, *[-7] * 200))

    assert len(computed.rejected) == 200


def test_online_every_row_may_fail():
    authored = with_behaviour(positive)
    kernel = Kernel(authored, [n.name for n in authored.nodes])

    assert len(kernel.run(rows(*[-7] * 150)).rejected) == 150


class Broken(Model, inputs=NUMBER, outputs={"x": pa.int64()}):
    def load(self) -> None:
        raise FileNotFoundError("weights.bin")

    def predict(self, number: pa.Array) -> pa.Array:
        return number


def test_a_model_that_does_not_load_says_so_before_any_row():
    @graph(key="id", inputs=INPUTS)
    def g(number: Column) -> dict[str, Column]:
        return {"x": Broken()(number)}

    with pytest.raises(NodeError) as caught:
        run(g.graph, rows(1))

    assert str(caught.value) == (
        "graph 'g', node 'Broken': loading failed: FileNotFoundError: weights.bin"
    )


@pytest.mark.parametrize(
    "behaviour", [{}, {"batch_rows": 1}, {"nulls": "skip"}, {"timeout_s": 9.0}]
)
def test_no_rows_make_no_call(behaviour):
    computed = run(with_behaviour(same, **behaviour), rows())

    assert computed.table.schema.field("x").type == pa.int64()
    assert computed.table.num_rows == 0
    assert calls == []


@pytest.mark.parametrize("batch_rows", [1, 2, 3, 7])
def test_answers_do_not_depend_on_how_rows_are_batched(batch_rows):
    numbers = (1, None, -3, 4, None, -6, 7)
    authored = with_behaviour(positive, nulls="skip")
    whole = run(authored, rows(*numbers))

    kernel = Kernel(authored, [n.name for n in authored.nodes])
    computed = kernel.run(rows(*numbers), batch_rows)

    assert kernel.select_outputs(computed.table).to_pylist() == whole.table.to_pylist()
    assert np.array_equal(computed.kept, whole.kept)
    assert computed.rejected == whole.rejected


def test_an_isolated_node_shares_no_process():
    @graph(key="id", inputs=INPUTS)
    def g(number: Column) -> dict[str, Column]:
        return {"x": same(alone(same(number)))}

    offline, online = compile(g.graph, "offline"), compile(g.graph, "online")

    assert [stage.nodes for stage in offline.stages] == [("input", "same"), ("alone",), ("same_2",)]
    assert [deployment.nodes for deployment in online.deployments] == [
        ("input", "same", "same_2"),
        ("alone",),
    ]


@node(inputs=NUMBER, outputs={"number": pa.int64()}, behaviour=Behaviour(isolate=True))
def alone(number: pa.Array) -> pa.Array:
    return number


def test_a_long_message_is_cut():
    failures[:] = [ValueError("x" * 10_000)]

    computed = run(with_behaviour(flaky), rows(1))

    assert len(computed.rejected[0].message) == 500
