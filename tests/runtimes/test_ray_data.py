"""An offline run: exactly once, whatever happens meanwhile."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from graphs.authoring import load_graph
from graphs.errors import (
    CommitConflict,
    ErrorBudgetSpent,
    GraphNotFound,
    InputChanged,
    InputError,
    InputNotFound,
    NodeError,
    ProfileError,
    RunFailed,
    SchemaMismatch,
)
from graphs.runtimes import inline, ray_data
from graphs.spec import (
    ErrorBudget,
    Input,
    LargestShare,
    Progress,
    RowsConserved,
    RunResult,
    RunSpec,
)
from graphs.storage.objects import Store
from graphs.storage.parquet import decode_table, encode_table
from graphs.storage.snapshots import Dataset
from tests.runtimes import scored

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("cluster")]

SCHEMA = pa.schema(scored.INPUTS)


def rows(numbers: range | list[int], wait_for: str = "") -> pa.Table:
    return pa.table(
        {
            "id": [f"row {number}" for number in numbers],
            "number": list(numbers),
            "wait_for": [wait_for] * len(numbers),
        },
        schema=SCHEMA,
    )


@pytest.fixture(params=["s3", "local"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URI of an empty place, once per kind of store."""
    return f"s3://lake/{uuid.uuid4().hex}" if request.param == "s3" else str(tmp_path)


@pytest.fixture
def here(tmp_path: Path) -> str:
    """URI of an empty local place."""
    return str(tmp_path)


def write(place: str, day: str, **files: pa.Table) -> None:
    for name, table in files.items():
        Store.open(place).put(f"input/day={day}/{name}.parquet", encode_table(table))


def spec(place: str, graph: str = "modelled", day: str = "2026-01-01", **more: Any) -> RunSpec:
    more.setdefault("profile", {"shard_rows": 10})
    return RunSpec(
        graph=f"tests.runtimes.scored:{graph}",
        input=Input(uri=f"{place}/input", partition_by="day"),
        output=f"{place}/output",
        partition_key=day,
        **more,
    )


def run(spec: RunSpec, attempt: str = "first") -> RunResult:
    return ray_data.run(spec, attempt=attempt)


def snapshot(place: str, day: str = "2026-01-01") -> pa.Table:
    dataset = Dataset(f"{place}/output")
    found = dataset.read_manifest(day)
    assert found is not None
    return dataset.read_snapshot(found[0])


def rejected(place: str, day: str = "2026-01-01") -> list[dict[str, Any]]:
    dataset = Dataset(f"{place}/output")
    found = dataset.read_manifest(day)
    assert found is not None
    table = dataset.read_rejected(found[0])
    return [] if table is None else table.to_pylist()


@pytest.mark.parametrize("graph", ["plain", "modelled", "staged"])
def test_a_run_gives_the_rows_that_the_graph_means(here: str, graph: str) -> None:
    table = rows(range(-1, 34))
    write(here, "2026-01-01", a=table.slice(0, 10), b=table.slice(10))
    result = run(spec(here, graph, error_budget=ErrorBudget(share=0.2)))
    means = inline.run(load_graph(f"tests.runtimes.scored:{graph}"), table)
    assert snapshot(here).equals(means.table)
    assert result.counts.add_up
    assert (result.shards, result.shards_computed, result.shards_resumed) == (2, 2, 0)
    assert result.counts.rows_rejected == len(means.rejected) > 0


def test_a_committed_run_is_not_computed_again(place: str) -> None:
    write(place, "2026-01-01", a=rows(range(20)))
    first = run(spec(place))
    again = run(spec(place), attempt="second")
    assert (first.was_committed, again.was_committed) == (False, True)
    assert (again.shards_computed, again.shards_resumed) == (0, 1)
    assert again.run_key == first.run_key
    assert snapshot(place).num_rows == 20


def test_a_committed_run_gets_the_report_it_lost_or_lacks(here: str) -> None:
    write(here, "2026-01-01", a=rows(range(20)))
    first = run(spec(here, expectations=(RowsConserved(),)))
    dataset = Dataset(f"{here}/output")
    dataset.store.delete(f"reports/2026-01-01/{first.run_key}.json")
    assert run(spec(here, expectations=(RowsConserved(),))).passed
    assert dataset.read_report("2026-01-01", first.run_key) is not None
    stricter = run(spec(here, expectations=(LargestShare(column="number", maximum=0.01),)))
    assert stricter.was_committed
    assert not stricter.passed
    assert stricter.failures == ("largest_share: '9' is 5.0 % of 20 rows",)


def test_only_shards_without_a_done_record_are_computed(place: str) -> None:
    # Given a run of four shards of which two lost their done-records, and no commit
    write(place, "2026-01-01", **{f"f{n}": rows(range(10 * n, 10 * n + 10)) for n in range(4)})
    first = run(spec(place))
    store = Dataset(f"{place}/output").store
    kept = {f.path for f in Dataset(f"{place}/output").read_manifest("2026-01-01")[0].files[:2]}
    store.delete("manifests/2026-01-01.json")
    for shard in ("00002", "00003"):
        store.delete(f"runs/{first.run_key}/done/{shard}.json")
    # When it runs again
    told: list[Progress] = []
    again = ray_data.run(spec(place), attempt="second", progress=told.append)
    # Then only those two are sent to the cluster, and the others' files stand
    assert [p.shards_done for p in told] == [3, 4]
    assert (again.shards_computed, again.shards_resumed) == (2, 2)
    files = {f.path for f in Dataset(f"{place}/output").read_manifest("2026-01-01")[0].files}
    assert kept < files
    assert snapshot(place)["number"].to_pylist() == list(range(40))


def test_new_input_is_a_new_run_that_replaces_the_snapshot(place: str) -> None:
    write(place, "2026-01-01", a=rows(range(20)))
    first = run(spec(place))
    write(place, "2026-01-01", a=rows(range(5)))
    second = run(spec(place))
    assert second.run_key != first.run_key
    assert not second.was_committed
    assert snapshot(place)["number"].to_pylist() == list(range(5))
    # And going back is not computed again: the first run's shards are still there
    write(place, "2026-01-01", a=rows(range(20)))
    if place.startswith("s3"):  # where the etag is a digest
        third = run(spec(place))
        assert (third.run_key, third.shards_computed) == (first.run_key, 0)
        assert snapshot(place).num_rows == 20


def test_an_empty_partition_commits_an_empty_snapshot_and_says_so(
    here: str, caplog: pytest.LogCaptureFixture
) -> None:
    write(here, "2026-01-01", a=rows(range(5)))
    with caplog.at_level(logging.INFO, "graphs.run"):
        result = run(spec(here, "staged", day="2026-01-02", expectations=(RowsConserved(),)))
    assert "partition 2026-01-02 is empty: an empty snapshot is committed" in caplog.text
    assert result.passed
    assert result.counts.rows_in == 0
    expected = load_graph("tests.runtimes.scored:staged").output_schema.empty_table()
    assert snapshot(here, "2026-01-02").equals(expected)


def test_rejected_rows_are_kept_with_the_reason_and_their_input(here: str) -> None:
    write(here, "2026-01-01", a=rows([5, -4, 7]), b=rows([8, 9, 1999, 1]))
    result = run(spec(here, "staged", profile={"shard_rows": 4}))
    assert result.counts.rejected == {"double": 1, "Heavy": 1}
    assert snapshot(here)["number"].to_pylist() == [5, 8, 9, 1999, 1]
    negative, fourteen = rejected(here)
    assert negative.pop("attempt").startswith("first-")
    assert negative == {
        "key": "row -4",
        "shard": "00000",
        "row": 1,
        "node": "double",
        "error": "ValueError",
        "message": "-4 is negative",
        "input": {"id": "row -4", "number": -4, "wait_for": ""},
    }
    # And the position is that in the shard, though an earlier stage had dropped a row
    assert (fourteen["key"], fourteen["row"], fourteen["node"]) == ("row 7", 2, "Heavy")


def test_a_shard_of_which_every_row_is_rejected_is_still_accounted_for(here: str) -> None:
    write(here, "2026-01-01", a=rows([-1, -2, -3]), b=rows([1, 2, 3]))
    result = run(spec(here, profile={"shard_rows": 3}))
    assert (result.counts.rows_in, result.counts.rows_out) == (6, 3)
    assert result.counts.rejected == {"double": 3}


def test_a_run_that_rejects_too_many_rows_is_given_up_and_commits_nothing(here: str) -> None:
    write(here, "2026-01-01", a=rows([-1, -2, 3, 4]), b=rows(range(96)))
    budget = ErrorBudget(share=0.01, floor=4)
    for _ in range(2):  # the second time from the done-records
        with pytest.raises(ErrorBudgetSpent, match=r"2 of \d+ rows so far were rejected"):
            run(spec(here, error_budget=budget, profile={"shard_rows": 4, "workers_max": 1}))
    assert Dataset(f"{here}/output").read_manifest("2026-01-01") is None
    # And a larger budget continues where it ended
    result = run(spec(here, error_budget=ErrorBudget(share=0.02), profile={"shard_rows": 4}))
    assert result.shards_resumed > 0
    assert result.counts.rows_rejected == 2


def test_twins_of_one_run_commit_once_and_double_nothing(place: str) -> None:
    write(place, "2026-01-01", **{f"f{n}": rows(range(10 * n, 10 * n + 10)) for n in range(6)})
    with ThreadPoolExecutor(2) as twins:
        one, two = twins.map(lambda name: run(spec(place), attempt=name), ["one", "two"])
    assert one.run_key == two.run_key
    assert one.counts == two.counts
    # Every shard counts for one of them, and the losers' files are gone
    assert one.shards_computed + two.shards_computed == 6
    assert snapshot(place)["number"].to_pylist() == list(range(60))
    dataset = Dataset(f"{place}/output")
    stored = [info.path for info in dataset.store.list(f"snapshots/2026-01-01/{one.run_key}")]
    assert stored == [file.path for file in dataset.read_manifest("2026-01-01")[0].files]


def test_a_run_that_was_overtaken_does_not_overwrite_the_newer_snapshot(
    here: str, tmp_path: Path
) -> None:
    # Given a run of one graph that is not finished
    sign = tmp_path / "go"
    write(here, "2026-01-01", a=rows(range(10), str(sign)))
    with ThreadPoolExecutor(1) as other:
        old = other.submit(run, spec(here, "waiting"))
        await_condition(lambda: Path(f"{sign}.reached").exists())
        # When a run of another commits first
        newer = run(spec(here, "modelled"), attempt="newer")
        sign.touch()
        # Then the old one is told, and what is committed stands
        with pytest.raises(CommitConflict, match=newer.run_key):
            old.result()
    assert snapshot(here).column_names == ["id", "shifted", "number"]


def test_a_run_that_is_given_up_leaves_no_worker_behind(here: str) -> None:
    import ray

    write(here, "2026-01-01", **{f"f{n}": rows([-1] * 5) for n in range(6)})
    with pytest.raises(ErrorBudgetSpent):
        run(spec(here, error_budget=ErrorBudget(floor=1), profile={"shard_rows": 5}))
    await_condition(lambda: ray.available_resources().get("CPU") == 2)


DRIVER = """
import ray, sys
from graphs.runtimes import inline, ray_data
from graphs.spec import RunSpec
ray.init(address=sys.argv[1])
ray_data.run(RunSpec.model_validate_json(sys.argv[2]), attempt="killed")
"""


def test_after_a_driver_was_killed_only_unfinished_shards_are_computed(
    place: str, cluster: str, tmp_path: Path
) -> None:
    # Given a run whose last two shards wait for a sign
    sign = tmp_path / "go"
    files = {
        f"f{n}": rows(range(10 * n, 10 * n + 10), str(sign) if n > 3 else "") for n in range(6)
    }
    write(place, "2026-01-01", **files)
    doomed = spec(place, "waiting", profile={"shard_rows": 10, "workers_max": 1})
    command = [sys.executable, "-c", DRIVER, cluster, doomed.model_dump_json()]
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # When its driver is killed after the others are done, in the middle of one
    await_condition(lambda: Path(f"{sign}.reached").exists() or driver.poll() is not None)
    assert driver.poll() is None
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert Dataset(f"{place}/output").read_manifest("2026-01-01") is None
    sign.touch()
    # Then the next attempt computes those two and every row is there once
    result = run(doomed, attempt="next")
    assert (result.shards_computed, result.shards_resumed) == (2, 4)
    assert snapshot(place)["doubled"].to_pylist() == [2 * n for n in range(60)]
    assert (result.counts.rows_in, result.counts.rows_out) == (60, 60)


def await_condition(condition: Any, timeout_s: float = 90) -> None:
    pause = threading.Event()
    for _ in range(int(timeout_s / 0.05)):
        if condition():
            return
        pause.wait(0.05)
    raise TimeoutError


def test_input_that_changes_under_a_run_is_an_error_of_its_own(here: str, tmp_path: Path) -> None:
    sign = tmp_path / "go"
    write(here, "2026-01-01", a=rows(range(10), str(sign)), b=rows(range(10, 20)))
    changing = spec(here, "waiting", profile={"shard_rows": 10, "workers_max": 1})
    with ThreadPoolExecutor(1) as other:
        running = other.submit(run, changing)
        await_condition(lambda: Path(f"{sign}.reached").exists())
        write(here, "2026-01-01", b=rows(range(10, 21)))
        sign.touch()
        with pytest.raises(InputChanged, match=r"b\.parquet: changed since this run was planned"):
            running.result()
    assert Dataset(f"{here}/output").read_manifest("2026-01-01") is None


def test_a_node_that_breaks_its_declaration_fails_the_run_by_name(here: str) -> None:
    write(here, "2026-01-01", a=rows(range(5)))
    said = r"at version [0-9a-f]{16}, node 'short': output 'passed' has 4 rows for 5 rows in"
    with pytest.raises(NodeError, match=said):
        run(spec(here, "breaking"))


def test_a_model_that_does_not_load_fails_the_run_by_name(here: str) -> None:
    write(here, "2026-01-01", a=rows(range(5)))
    with pytest.raises(NodeError, match=r"node 'Unloadable': loading failed.*weights\.bin"):
        run(spec(here, "unloadable"))


@pytest.mark.parametrize("graph", ["dying", "fragile"], ids=["a task", "a model's actor"])
def test_a_shard_that_keeps_killing_its_worker_ends_the_run(here: str, graph: str) -> None:
    write(here, "2026-01-01", a=rows(range(5), "never"))
    with pytest.raises(RunFailed, match="a worker failed") as caught:
        run(spec(here, graph))
    assert caught.value.is_retryable


def test_a_model_whose_worker_dies_is_loaded_again_and_no_row_is_lost(
    here: str, tmp_path: Path
) -> None:
    for n in range(4):
        table = rows(range(10 * n, 10 * n + 10), str(tmp_path / f"died{n}") if n % 2 else "")
        write(here, "2026-01-01", **{f"f{n}": table})
    result = run(spec(here, "fragile"))
    assert (tmp_path / "died1").exists()
    assert (tmp_path / "died3").exists()
    assert result.shards_computed == 4
    assert snapshot(here)["passed"].to_pylist() == list(range(40))


def test_progress_is_told_shard_by_shard(here: str, caplog: pytest.LogCaptureFixture) -> None:
    write(here, "2026-01-01", **{f"f{n}": rows(range(10 * n, 10 * n + 10)) for n in range(3)})
    told: list[Progress] = []
    with caplog.at_level(logging.INFO, "graphs.run"):
        ray_data.run(spec(here), attempt="first", progress=told.append)
    assert [(p.shards_done, p.rows_done, p.rows) for p in told] == [
        (1, 10, 30),
        (2, 20, 30),
        (3, 30, 30),
    ]
    assert "shard 3/3 done · 30/30 rows · " in caplog.text


@pytest.mark.parametrize(
    ("change", "error", "names"),
    [
        ({"graph": "tests.runtimes.scored:nothing"}, GraphNotFound, "nothing"),
        ({"profile": {"worker": 1}}, ProfileError, "worker"),
        ({"input": Input(uri="/no/such/place")}, InputNotFound, "/no/such/place"),
        ({"input": Input(uri="s3://no-such-lake/x")}, InputNotFound, "no-such-lake"),
    ],
)
def test_a_wrong_spec_is_refused_before_anything_is_written(
    here: str, change: dict[str, Any], error: type[Exception], names: str
) -> None:
    write(here, "2026-01-01", a=rows(range(5)))
    with pytest.raises(error, match=names):
        run(spec(here).model_copy(update=change))
    assert not Path(here, "output").exists()


def test_an_output_inside_its_input_is_refused(here: str) -> None:
    write(here, "2026-01-01", a=rows(range(5)))
    with pytest.raises(InputError, match="lies inside the input"):
        run(spec(here).model_copy(update={"input": Input(uri=here)}))


def test_a_column_of_the_wrong_type_is_refused_before_anything_is_computed(here: str) -> None:
    good = rows(range(5))
    wrong = good.set_column(1, "number", good["number"].cast(pa.string())).drop_columns(["id"])
    write(here, "2026-01-01", a=good, b=wrong)
    with pytest.raises(SchemaMismatch, match=r"b\.parquet.*'id'.*missing.*'number'"):
        run(spec(here))
    assert list(Dataset(f"{here}/output").store.list()) == []


def test_the_models_of_a_stage_get_the_threads_they_asked_for(here: str) -> None:
    import ray

    threads = ray.remote(num_cpus=1)(lambda: os.environ.get("OMP_NUM_THREADS"))
    assert ray.get(threads.remote()) == "1"


def test_files_are_plain_parquet(here: str) -> None:
    write(here, "2026-01-01", a=rows(range(5)))
    run(spec(here))
    (file,) = Dataset(f"{here}/output").read_manifest("2026-01-01")[0].files
    assert decode_table(Path(here, "output", file.path).read_bytes()).num_rows == 5
