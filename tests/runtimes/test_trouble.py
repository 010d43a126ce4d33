"""What a run makes of rows, files and nodes that cannot be computed, by its policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graphs.errors import NodeStalled, SchemaMismatch, WorkerLost
from graphs.runtimes import ray_data
from graphs.spec import ErrorBudget, RunResult, Trouble
from graphs.storage.objects import Store
from graphs.storage.snapshots import Dataset
from tests.runtimes.test_ray_data import rejected, rows, snapshot, spec, write

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("cluster")]

ANY = ErrorBudget(share=1.0)


@pytest.fixture
def here(tmp_path: Path) -> str:
    """URI of an empty local place."""
    return str(tmp_path)


def run(place: str, graph: str, **more: Any) -> RunResult:
    return ray_data.run(spec(place, graph, error_budget=ANY, **more), attempt="first")


def test_rows_that_keep_killing_their_worker_are_rejected_where_the_run_may(here: str) -> None:
    doomed = rows(range(5, 9), "never")
    write(here, "2026-01-01", a=rows(range(5)), b=doomed, c=rows(range(9, 11)))
    result = run(here, "fragile", profile={"shard_rows": 5}, trouble=Trouble(lost_worker="reject"))
    assert [*result.counts.errors.values()] == [{"WorkerLost": 4}]
    assert snapshot(here)["passed"].to_pylist() == [0, 1, 2, 3, 4, 9, 10]
    assert [row["key"] for row in rejected(here)] == [f"row {n}" for n in range(5, 9)]
    assert result.usage.retries > 0


def test_a_shard_that_keeps_killing_its_worker_fails_the_run_with_a_name(here: str) -> None:
    write(here, "2026-01-01", a=rows(range(5)), b=rows([5, 6], "never"))
    with pytest.raises(WorkerLost, match=r"run [0-9a-f]{16}, partition 2026-01-01"):
        run(here, "fragile")
    assert Dataset(f"{here}/output").read_manifest("2026-01-01") is None


def test_a_node_that_hangs_ends_the_run_and_is_named(here: str) -> None:
    write(here, "2026-01-01", a=rows(range(5)), b=rows([5, 6], f"{here}/never"))
    with pytest.raises(NodeStalled, match=r"node 'wait' has not come back from a batch of 2 rows"):
        run(here, "waiting", profile={"shard_rows": 5, "stall_s": 2})
    # And once it does not hang any more, the next attempt goes on
    Path(here, "never").touch()
    result = run(here, "waiting", profile={"shard_rows": 5, "stall_s": 60})
    assert result.counts.rows_out == 7
    assert result.shards_resumed == 1


def test_rows_on_which_a_node_hangs_are_rejected_where_the_run_may(here: str) -> None:
    write(here, "2026-01-01", a=rows(range(5)), b=rows([5, 6], f"{here}/never"))
    result = run(
        here,
        "waiting",
        profile={"shard_rows": 5, "stall_s": 2},
        trouble=Trouble(lost_worker="reject"),
    )
    assert {error for node in result.counts.errors.values() for error in node} == {"NodeStalled"}
    assert result.counts.rows_rejected == 2
    assert snapshot(here)["doubled"].to_pylist() == [0, 2, 4, 6, 8]


def test_a_batch_that_does_not_fit_the_memory_is_computed_in_smaller_ones(here: str) -> None:
    write(here, "2026-01-01", a=rows(range(100)))
    result = run(here, "greedy", profile={})
    assert result.counts.rows_out == 100
    assert snapshot(here)["passed"].to_pylist() == list(range(100))


def test_a_file_that_cannot_be_read_fails_the_run_or_is_left_out_by_name(here: str) -> None:
    write(here, "2026-01-01", a=rows(range(5)), c=rows(range(5, 9)))
    Store.open(here).put("input/day=2026-01-01/b.parquet", b"PAR1 not really PAR1")
    with pytest.raises(SchemaMismatch, match=r"b\.parquet"):
        run(here, "plain")
    result = run(here, "plain", trouble=Trouble(bad_file="skip"))
    manifest, _ = Dataset(f"{here}/output").read_manifest("2026-01-01") or (None, "")
    assert manifest is not None
    assert [skipped.path.rpartition("/")[2] for skipped in manifest.skipped] == ["b.parquet"]
    assert result.counts.rows_in == result.counts.rows_out == 9
