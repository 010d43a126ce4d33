"""The races are fair: everyone computes the same, and the arithmetic on times is right."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.measure import compared
from benchmarks.offline import by_ray_data
from benchmarks.offline.race import Finish, Line, throughput
from benchmarks.offline.tuning import BEST, PROFILES, TRIED
from benchmarks.offline.workloads import GROUP_ROWS, WORKLOADS, write_input
from graphs import compile, load_graph
from graphs.runtimes.kernel import Kernel

ROWS = 500


def _input(rows: int = ROWS) -> pa.Table:
    buffer = io.BytesIO()
    write_input(buffer, rows)
    return pq.read_table(pa.BufferReader(buffer.getvalue()))


def _by_graph(workload: str, table: pa.Table) -> pa.Table:
    graph = load_graph(WORKLOADS[workload].graph)
    kernel = Kernel(graph, compile(graph, "inline").nodes)
    return kernel.select_outputs(kernel.run(table, 64).table)


def _assert_same(found: pa.Table, expected: pa.Table) -> None:
    assert set(found.column_names) == set(expected.column_names)
    for name in expected.column_names:
        given, wanted = found.column(name).to_pylist(), expected.column(name).to_pylist()
        if isinstance(wanted[0], float):
            assert np.allclose(given, wanted, rtol=1e-4, atol=1e-5), name
        else:
            assert given == wanted, name


@pytest.mark.parametrize("workload", WORKLOADS)
def test_the_graph_and_the_script_give_the_same_rows(workload: str) -> None:
    table = _input()
    _assert_same(WORKLOADS[workload].by_hand(table), _by_graph(workload, table))


def test_what_the_documentation_would_write_gives_the_same_rows() -> None:
    table = _input()
    batch = {name: table.column(name).to_numpy() for name in table.column_names}
    _assert_same(pa.table(by_ray_data._cpu(dict(batch))), _by_graph("cpu", table))
    scored = by_ray_data._Perceptron()(by_ray_data._features(dict(batch)))
    _assert_same(pa.table(by_ray_data._labelled(scored)), _by_graph("model", table))


def test_ids_of_an_input_begin_where_they_are_told_to() -> None:
    buffer = io.BytesIO()
    write_input(buffer, GROUP_ROWS + 1, first=7)
    file = pq.ParquetFile(pa.BufferReader(buffer.getvalue()))
    assert file.num_row_groups == 2
    ids = file.read(columns=["id"]).column("id")
    assert ids.to_pylist() == [*range(7, 7 + GROUP_ROWS + 1)]


def test_start_up_and_steady_state_are_told_apart() -> None:
    line = Line.through(Finish(100, 3.0, 0), Finish(400, 6.0, 0))
    assert line.startup_s == pytest.approx(2.0)
    assert line.rows_per_s == pytest.approx(100.0)


def test_a_round_in_which_less_took_longer_is_taken_as_a_whole() -> None:
    line = Line.through(Finish(100, 9.0, 0), Finish(400, 8.0, 0))
    assert (line.startup_s, line.rows_per_s) == (0.0, 50.0)


def test_of_rows_a_second_a_ratio_above_one_says_that_we_are_faster() -> None:
    ours = [Finish(100, seconds, 0) for seconds in (1.0, 2.0, 1.0)]
    theirs = [Finish(100, seconds, 0) for seconds in (2.0, 4.0, 20.0)]
    assert throughput("x", ours, theirs).ratio == 2.0
    assert compared("x", [3.0], [2.0], "s").ratio == 1.5


def test_what_was_chosen_is_among_what_was_tried() -> None:
    for workload, knobs in BEST.items():
        assert knobs in TRIED[workload].values()
    assert set(PROFILES) == set(BEST)
