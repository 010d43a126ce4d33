"""What a run says of itself, and what it keeps for the next attempt."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from graphs.errors import InputChanged, NodeError
from graphs.runtimes import ray_data
from graphs.runtimes.ray_data import streaming
from graphs.spec import ErrorBudget, Progress
from graphs.storage.objects import Store
from graphs.storage.parquet import encode_table
from graphs.storage.snapshots import Dataset
from tests.runtimes import scored
from tests.runtimes.test_ray_data import await_condition, rejected, rows, run, spec, write

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("cluster")]

ANY = ErrorBudget(share=1.0)


@pytest.fixture
def here(tmp_path: Path) -> str:
    """URI of an empty local place."""
    return str(tmp_path)


def the_progress(place: str) -> Progress:
    dataset = Dataset(f"{place}/output")
    (key,) = dataset.run_keys()
    found = dataset.read_progress(key)
    assert found is not None
    return found


def test_a_file_that_is_added_under_a_run_is_an_error_and_not_left_out_in_silence(
    here: str, tmp_path: Path
) -> None:
    sign = tmp_path / "go"
    write(here, "2026-01-01", a=rows(range(10), str(sign)))
    with ThreadPoolExecutor(1) as other:
        running = other.submit(run, spec(here, "waiting"))
        await_condition(lambda: Path(f"{sign}.reached").exists())
        write(here, "2026-01-01", b=rows(range(10, 20)))
        sign.touch()
        with pytest.raises(InputChanged, match=r"added: day=2026-01-01/b\.parquet"):
            running.result()
    assert Dataset(f"{here}/output").read_manifest("2026-01-01") is None


def test_rejected_rows_of_several_files_in_a_shard_keep_their_own_input(here: str) -> None:
    write(here, "2026-01-01", a=rows([1, -2, 3]), b=rows([4, 5]), c=rows([6, -7, -8, 9]))
    run(spec(here, "staged", error_budget=ANY, profile={"shard_rows": 100}))
    found = [(row["key"], row["row"], row["input"]["number"]) for row in rejected(here)]
    assert found == [("row -2", 1, -2), ("row -7", 6, -7), ("row -8", 7, -8)]


def test_a_run_says_how_it_ended(here: str) -> None:
    write(here, "2026-01-01", a=rows(range(5)))
    result = run(spec(here, "plain"))
    told = the_progress(here)
    assert (told.state, told.run_key, told.shards_done) == ("committed", result.run_key, 1)
    assert told.updated_at is not None


def test_a_run_that_fails_says_why_and_packs_what_is_done(here: str) -> None:
    # Given two shards of which the second breaks its node's declaration
    write(here, "2026-01-01", a=rows(range(10)), b=rows([*range(9), 14]))
    spoilt = spec(here, "spoilt", profile={"shard_rows": 10, "workers_max": 1})
    with pytest.raises(NodeError):
        run(spoilt)
    told = the_progress(here)
    assert told.state == "failed"
    assert told.problem.startswith("NodeError: ")
    # Then the first one's record lies in a pack, where the next attempt finds it
    packs = [*Store.open(f"{here}/output").list(f"runs/{told.run_key}/packs")]
    assert len(packs) == 1
    assert [one.shard for one in Dataset(f"{here}/output").done_records(told.run_key)] == ["00000"]


def test_a_run_costs_what_its_workers_were_held_for(here: str) -> None:
    write(here, "2026-01-01", a=rows(range(20)), b=rows(range(20, 40)))
    prices = {"cpu_hour": 3600.0}
    usage = run(spec(here, "staged", error_budget=ANY, profile={"prices": prices})).usage
    held = [stage.held_s * stage.cpus for stage in usage.stages.values()]
    assert len(held) == 3
    assert all(seconds > 0 for seconds in held)
    assert usage.cost == pytest.approx(sum(held))
    assert run(spec(here, "plain", error_budget=ANY)).usage.cost is None


def test_a_quick_stage_does_not_run_far_ahead_of_a_slow_one(
    here: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given shards of 2 MiB, room for four of them, and a model that takes none until it may
    monkeypatch.setattr(streaming, "_LEAST_BETWEEN", 8 * 2**20)
    sign, shards = tmp_path / "go", 24
    heavy = "x" * 2048
    for shard in range(shards):
        table = pa.table(
            {
                "id": [f"{shard}-{row}" for row in range(1000)],
                "number": [shard] * 1000,
                "wait_for": [str(sign)] * 1000,
                "text": [f"{shard}-{row} {heavy}" for row in range(1000)],
            },
            schema=pa.schema(scored.HEAVY_INPUTS),
        )
        Store.open(here).put(f"input/day=d/{shard:02d}.parquet", encode_table(table))
    held = spec(here, "crowding", day="d", profile={"shard_rows": 1000, "workers_max": 1})
    seen: list[int] = []
    with ThreadPoolExecutor(1) as other:
        running = other.submit(ray_data.run, held, attempt="first")
        await_condition(lambda: Path(f"{sign}.reached").exists())
        await_condition(lambda: _is_quiet(tmp_path, seen))
        ahead = len([*tmp_path.glob("go.read.*")])
        sign.touch()
        result = running.result()
    # Then only some wait for it, though all of them would fit into Ray's store
    assert ahead < shards / 2
    assert result.counts.rows_out == 1000 * shards


def _is_quiet(folder: Path, seen: list[int]) -> bool:
    """Whether the quick stage has read nothing more for the last two seconds."""
    seen.append(len([*folder.glob("go.read.*")]))
    return len(seen) > 40 and seen[-1] == seen[-40]
