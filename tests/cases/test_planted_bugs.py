"""Does the comparison of the suite see a runtime that is wrong?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from graphs import rewrites
from graphs.compiler import compile
from graphs.runtimes import inline as inline_runtime
from graphs.runtimes.kernel import Kernel, control
from graphs.storage.sinks.base import Written
from graphs.storage.sinks.parquet import ParquetWriter
from tests.cases.carrying_out import inline, on_ray_data, on_ray_serve
from tests.cases.case import Case, Outcome, differences
from tests.cases.conftest import private_ray
from tests.cases.graphs import plain
from tests.cases.planted import BUGS
from tests.cases.test_random_graphs import RANDOM, judge_a_random_graph, offline
from tests.promotion.cluster import free_port

CASE = Case(
    "a null, and an int that no float holds",
    plain.shifted,
    {"id": ["a", "b", "c", "d"], "number": [2**53, None, -3, 1]},
    {
        "id": ["a", "b", "c", "d"],
        "small": [2**53 + 1, None, -2, 2],
        "large": [2**54 + 200, None, 194, 202],
    },
)
RED = {
    "swap_two_rows": "row 0: id is b, not a",
    "drop_a_null": "row 1: small is 0, not None",
    "cast_an_int": f"row 0: small is {2**53}, not {2**53 + 1}",
}


def test_without_a_bug_the_comparison_is_green(tmp_path: Path) -> None:
    assert differences(CASE, inline(CASE)) == []
    assert differences(CASE, in_stages(tmp_path)) == []


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_in_the_inline_runtime_turns_a_case_red(
    bug: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong(Kernel):
        def select_outputs(self, table: pa.Table) -> pa.Table:
            return BUGS[bug](super().select_outputs(table))

    monkeypatch.setattr(inline_runtime, "Kernel", Wrong)

    assert RED[bug] in differences(CASE, inline(CASE))


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_in_what_a_stage_writes_turns_a_case_red(
    bug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(BUGS[bug], monkeypatch)

    assert RED[bug] in differences(CASE, in_stages(tmp_path))


def plant(bug: Callable[[pa.Table], pa.Table], monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes what a stage writes wrong."""
    write = ParquetWriter.write

    def written(self: ParquetWriter, table: pa.Table, **names: str) -> Written:
        return write(self, bug(table), **names)

    monkeypatch.setattr(ParquetWriter, "write", written)


def in_stages(folder: Path) -> Outcome:
    return offline(CASE.graph.graph, CASE.table, {}, folder)


def a_stage_drops_nulls(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(BUGS["drop_a_null"], monkeypatch)


def filters_run_where_they_are_wired(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = tuple(step for step in rewrites.REWRITES if step is not rewrites.push_filters_down)
    monkeypatch.setattr(rewrites, "REWRITES", steps)


def nodes_that_nobody_reads_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = tuple(step for step in rewrites.REWRITES if step is not rewrites.drop_dead_nodes)
    monkeypatch.setattr(rewrites, "REWRITES", steps)


def a_null_list_becomes_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    fold = control._fold
    none = np.zeros_like
    monkeypatch.setattr(control, "_fold", lambda i, s, nulls, t: fold(i, s, none(nulls), t))


@pytest.mark.parametrize(
    "plant",
    [
        a_stage_drops_nulls,
        filters_run_where_they_are_wired,
        nodes_that_nobody_reads_are_computed,
        a_null_list_becomes_an_empty_one,
    ],
)
def test_a_bug_turns_the_random_graphs_red(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)

    @settings(parent=RANDOM, phases=[Phase.generate])
    @given(data=st.data())
    def judged(data: st.DataObject) -> None:
        judge_a_random_graph(data)

    with pytest.raises(AssertionError):
        judged()


@pytest.fixture(scope="module")
def wrong_cluster() -> Iterator[None]:
    """A private Ray whose runs and applications have the bugs that they are named after."""
    yield from private_ray({"worker_process_setup_hook": "tests.cases.planted.plant_everywhere"})


@pytest.mark.server
@pytest.mark.usefixtures("wrong_cluster")
@pytest.mark.parametrize("bug", ["none", *BUGS])
def test_a_bug_on_ray_data_turns_a_case_red(bug: str, tmp_path: Path) -> None:
    found = differences(CASE, on_ray_data(CASE, tmp_path / bug))

    assert found == [] if bug == "none" else RED[bug] in found


@pytest.fixture(scope="module")
def deployed(wrong_cluster: None) -> Iterator[Callable[[str], str]]:
    """Brings the graph of the case online under a name, and says where."""
    from ray import serve

    from graphs.runtimes.ray_serve.deploy import deploy

    address = f"http://127.0.0.1:{free_port()}"

    def under(name: str) -> str:
        plan = compile(CASE.graph.graph, "online")
        deploy(plan, app=name, route=f"/{name}", serve_address=address)
        return f"{address}/{name}"

    yield under
    serve.shutdown()


@pytest.mark.server
@pytest.mark.parametrize("bug", ["none", *BUGS])
def test_a_bug_on_ray_serve_turns_a_case_red(bug: str, deployed: Callable[[str], str]) -> None:
    found = differences(CASE, on_ray_serve(CASE, deployed(bug), is_asked_alone=False))

    assert found == [] if bug == "none" else RED[bug] in found
