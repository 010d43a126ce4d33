from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from graphs.cli import app
from graphs.cli.watching import bars, watching
from graphs.spec import Alias, NodeUsage, Progress, Replay, SkippedFile, StageProgress, StageUsage
from graphs.spec import Usage as UsageRecord
from graphs.storage.aliases import Registry
from graphs.storage.snapshots import Dataset, data_path
from tests.storage.worlds import (
    DAY,
    begin,
    commit,
    do_shard,
    put_file,
    refused_rows,
    rows_of,
    say,
)

USAGE = UsageRecord(
    bytes_read=3 * 2**20,
    bytes_written=10,
    requests=77,
    peak_memory_bytes=2**30,
    retries=2,
    nodes={"halve": NodeUsage(rows=600, seconds=2.0)},
    stages={"halve → Shift": StageUsage(busy_s=3, held_s=4, cpus=1)},
    cost=0.25,
)


def runs(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["runs", *(str(argument) for argument in arguments)])


def told(*arguments: object) -> dict:
    result = runs(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset(str(tmp_path / "out"))


@pytest.fixture
def committed(dataset: Dataset) -> Dataset:
    """A dataset whose only run has rejected two rows."""
    begin(dataset, "aaaa1111")
    rows = rows_of("a", "b", run="aaaa1111")
    done = do_shard(dataset, "aaaa1111", "0", rows, rejected=refused_rows("y", "z"))
    commit(dataset, "aaaa1111", [done], usage=USAGE)
    return dataset


def states(dataset: Dataset) -> dict[str, str]:
    return {run["run_key"]: run["state"] for run in told("ls", dataset.uri)["runs"]}


# --- ls ------------------------------------------------------------------------------------------


def test_ls_tells_the_state_of_each_run_by_its_records(committed):
    begin(committed, "busy", said=timedelta(seconds=5))
    begin(committed, "dead", said=timedelta(hours=1))
    begin(committed, "silent", said=None)
    begin(committed, "broke", state="failed")
    assert states(committed) == {
        "aaaa1111": "committed",
        "busy": "running",
        "dead": "abandoned",
        "silent": "abandoned",
        "broke": "failed",
    }

    begin(committed, "next")
    commit(committed, "next", [do_shard(committed, "next", "0", rows_of("a"))])
    assert states(committed)["aaaa1111"] == "replaced"
    assert states(committed)["next"] == "committed"


def test_a_run_stands_by_its_manifest_though_its_driver_was_killed_before_it_said_so(committed):
    say(committed, "aaaa1111", state="running", updated_at=datetime.now(UTC) - timedelta(days=1))

    assert states(committed) == {"aaaa1111": "committed"}


def test_a_run_whose_rows_stand_in_a_replay_says_so(committed):
    base, _ = committed.read_manifest(DAY)
    begin(committed, "again", replay="aaaa1111")
    replay = Replay(run_key="aaaa1111", version="v1", rows=2)
    done = do_shard(committed, "again", "0", rows_of("y"))
    commit(committed, "again", [done], replays=[replay], keeps=base.files)

    assert states(committed) == {"aaaa1111": "replayed", "again": "committed"}
    assert "committed (replay)" in runs("ls", committed.uri).stdout
    assert "keeps the rows of run aaaa1111" in runs("show", committed.uri, "again").stdout


def test_ls_lists_the_latest_first_with_rows_shards_and_when(committed):
    begin(committed, "busy", said=timedelta(days=2), day="2026-01-02")

    listed = told("ls", committed.uri)["runs"]
    shown = runs("ls", committed.uri).stdout

    assert [run["run_key"] for run in listed] == ["aaaa1111", "busy"]
    first, second = listed
    assert (first["rows"], first["rejected"], first["shards_done"], first["shards"]) == (4, 2, 1, 1)
    assert (second["rows"], second["shards_done"], second["shards"]) == (10, 1, 4)
    assert datetime.fromisoformat(first["when"]) > datetime.fromisoformat(second["when"])
    assert "4 (2 rejected)" in shown
    assert "1/4" in shown
    of_day = told("ls", committed.uri, "--partition", "2026-01-02")["runs"]
    assert [run["run_key"] for run in of_day] == ["busy"]


def test_a_dataset_without_runs_says_so(dataset):
    assert runs("ls", dataset.uri).stdout == f"no runs in {dataset.uri}\n"
    assert told("ls", dataset.uri)["runs"] == []


# --- show ----------------------------------------------------------------------------------------


def test_show_tells_where_rows_went_what_it_took_and_why_rows_were_rejected(committed):
    shown = " ".join(runs("show", committed.uri, "aaaa").stdout.split())

    for words in (
        "run aaaa1111 · committed · partition 2026-01-01",
        "graph toy · version v1",
        "rejected 2 50.00%",
        "halve 600 2.0 300 2 ValueError",
        "halve → Shift 75% 3.0 s 4.0 s 1 CPU",
        "read 3.0 MiB",
        "requests 77",
        "peak memory of a worker 1.0 GiB",
        "retries of shards 2",
        "cost 0.2500",
        "y halve ValueError y is odd",
        f"manifest: {committed.uri}/manifests/2026-01-01.json",
        f"rejected rows: {committed.uri}/runs/aaaa1111/rejected/",
    ):
        assert words in shown


def test_show_gives_all_of_it_as_json(committed):
    shown = told("show", committed.uri, "aaaa1111")

    assert shown["state"] == "committed"
    assert shown["counts"]["errors"] == {"halve": {"ValueError": 2}}
    assert shown["rows_per_s"] == {"halve": 300.0}
    assert shown["busy_share"] == {"halve → Shift": 0.75}
    assert shown["usage"]["cost"] == 0.25
    assert shown["record"]["spec"]["partition_key"] == DAY
    assert [(row["key"], row["input"]) for row in shown["rejected"]] == [
        ("y", {"id": "y"}),
        ("z", {"id": "z"}),
    ]


def test_show_tells_how_far_a_run_is_that_never_ended(dataset):
    begin(dataset, "dead")
    do_shard(dataset, "dead", "0", rows_of("a"), rejected=refused_rows("z"))
    put_file(dataset, "runs/dead/rejected/0-lost.parquet", refused_rows("of a lost attempt"))
    stage = StageProgress(name="halve", shards_done=1, shards_running=3, workers=2)
    problem = "RunFailed: the cluster went away"
    say(dataset, "dead", state="failed", rejected=1, stages=(stage,), problem=problem)

    shown = " ".join(runs("show", dataset.uri, "dead").stdout.split())
    listed = told("show", dataset.uri, "dead")

    assert "run dead · failed" in shown
    assert "shard 1/4 done · 10/40 rows · 1 rejected · 5 rows/s" in shown
    assert problem in shown
    assert "halve 1 3 2" in shown
    assert [row["key"] for row in listed["rejected"]] == ["z"]
    assert listed["usage"] is None


def test_show_reads_no_more_rejected_rows_than_it_shows(dataset):
    begin(dataset, "aaaa")
    many = refused_rows(*(f"row-{n:02}" for n in range(30)))
    commit(dataset, "aaaa", [do_shard(dataset, "aaaa", "0", rows_of("a"), rejected=many)])

    assert len(told("show", dataset.uri, "aaaa")["rejected"]) == 20
    assert "… and 10 more" in runs("show", dataset.uri, "aaaa").stdout


def test_input_files_that_were_left_out_are_named(committed):
    manifest, etag = committed.read_manifest(DAY)
    skipped = SkippedFile(path="day/bad.parquet", error="is no parquet file", rows=None)
    committed.commit(manifest.model_copy(update={"skipped": (skipped,)}), etag)

    assert "day/bad.parquet" in runs("show", committed.uri, "aaaa").stdout


@pytest.mark.parametrize("given", ["nope", "a"])
def test_a_key_that_names_no_run_or_two_is_refused(committed, given):
    begin(committed, "aaaa2222")

    result = runs("show", committed.uri, given)

    assert result.exit_code == 1
    assert result.stderr.startswith("ObjectNotFound: ")
    assert ("no such run" if given == "nope" else "2 runs have keys") in result.stderr


# --- gc ------------------------------------------------------------------------------------------


@pytest.fixture
def littered(committed):
    """Besides: a run that died, and what an attempt that lost left of the one that stands."""
    begin(committed, "dead")
    do_shard(committed, "dead", "0", rows_of("a"))
    put_file(committed, data_path(DAY, "aaaa1111", "0", "lost"), rows_of("a"))
    return committed


def paths(dataset: Dataset) -> set[str]:
    return {info.path for info in dataset.store.list()}


def test_gc_only_tells_unless_it_is_asked_to_delete(littered):
    before = paths(littered)

    shown = runs("gc", littered.uri, "--older-than", "0s").stdout
    assert paths(littered) == before
    assert "would remove 5 objects" in shown
    assert "--delete removes them" in shown
    assert "what lost attempts left" in shown
    assert "kept 1 run: its snapshot stands" in shown
    assert "no --registry was given" in shown

    removed = told("gc", littered.uri, "--older-than", "0s", "--delete")
    assert (removed["deleted"], removed["objects"]) == (True, 5)
    assert {one["run_key"] for one in removed["garbage"]} == {"aaaa1111", "dead"}
    gone = before - paths(littered)
    assert len(gone) == 5
    assert all("dead" in path or "lost" in path for path in gone)


def test_gc_leaves_what_is_younger_than_a_week_unless_told_otherwise(littered):
    shown = told("gc", littered.uri, "--delete")

    assert (shown["objects"], shown["kept"]["younger than the bound"]) == (0, 1)


def test_gc_keeps_runs_of_versions_that_an_alias_of_a_registry_names(littered, tmp_path):
    registry = Registry(str(tmp_path / "registry"))
    alias = Alias(
        name="champion",
        graph="toy",
        version="v1",
        release="r",
        route="/toy",
        moved_at=datetime.now(UTC),
    )
    registry.move_alias(alias, None)

    shown = told("gc", littered.uri, "--older-than", "0s", "--registry", tmp_path / "registry")

    assert [one["run_key"] for one in shown["garbage"]] == ["aaaa1111"]
    assert shown["kept"]["an alias or a release names its version"] == 1


@pytest.mark.parametrize("span", ["7", "d", "-1d", "7 years"])
def test_a_bound_that_is_no_time_span_is_wrong_usage(dataset, span):
    assert runs("gc", dataset.uri, "--older-than", span).exit_code == 2


# --- resume and replay, up to the point where Ray would start ------------------------------------


def test_resuming_a_run_without_a_record_says_what_to_do(dataset):
    dataset.store.put("runs/dead/plan.json", b"{}")

    result = runs("resume", dataset.uri, "dead")

    assert result.exit_code == 1
    assert "there is no record of what it was to do" in result.stderr


def test_replaying_needs_a_commit(dataset):
    result = runs("replay", dataset.uri, DAY)

    assert result.exit_code == 1
    assert "nothing was committed for partition '2026-01-01'" in result.stderr


def test_replaying_a_snapshot_without_rejected_rows_does_nothing(dataset):
    begin(dataset, "aaaa")
    commit(dataset, "aaaa", [do_shard(dataset, "aaaa", "0", rows_of("a"))])

    result = runs("replay", dataset.uri, DAY)

    assert (result.exit_code, "rejected no row" in result.stdout) == (0, True)
    assert told("replay", dataset.uri, DAY)["rejected"] == 0


def test_ctrl_c_says_how_to_go_on(dataset, tmp_path, monkeypatch):
    def stopped(spec, *, attempt, progress):
        progress(Progress.model_validate({**REACHED.model_dump(), "run_key": "aaaa1111"}))
        raise KeyboardInterrupt

    monkeypatch.setattr("graphs.runtimes.ray_data.run", stopped)
    options = ("--on", "ray", "--input", tmp_path, "--output", dataset.uri)
    command = ["run", "tests.library.toy:toy", *map(str, options)]
    result = CliRunner().invoke(app, command)

    assert result.exit_code == 130
    assert f"`graphs runs resume {dataset.uri} aaaa1111` goes on" in result.stderr


# --- progress ------------------------------------------------------------------------------------

REACHED = Progress(
    shards_done=5,
    shards=20,
    rows_done=500,
    rows=2000,
    rejected=3,
    rows_per_s=123.4,
    eta_s=3723,
    stages=(StageProgress(name="halve → Shift", shards_done=7, shards_running=2, workers=4),),
    nodes={"halve": 1000.0, "Shift": 250.0},
)


def shown_by(progress: Progress) -> str:
    on = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    on.print(bars(progress))
    return " ".join(on.export_text().replace("━", "").split())


def test_bars_show_the_run_its_stages_and_its_slowest_nodes():
    shown = shown_by(REACHED)

    assert "5/20 shards halve → Shift" in shown
    assert "7/20 shards 2 running, 4 workers" in shown
    assert "500/2,000 rows · 3 rejected · 123 rows/s · 1:02:03 left" in shown
    assert shown.endswith("Shift 250 rows/s · halve 1,000 rows/s")


def test_bars_need_to_know_neither_the_rows_nor_the_rest():
    shown = shown_by(REACHED.model_copy(update={"rows": None, "eta_s": None, "nodes": {}}))

    assert shown.endswith("500 rows · 3 rejected · 123 rows/s")


def test_bars_of_a_run_that_is_over_are_full():
    shown = shown_by(REACHED.model_copy(update={"shards_done": 20}))

    assert shown.count("20/20 shards") == 2
    assert "running" not in shown
    assert "left" not in shown


def test_in_a_terminal_bars_take_the_place_of_the_lines_that_say_the_same(tmp_path):
    file = (tmp_path / "terminal").open("w+")
    on = Console(file=file, force_terminal=True, width=100)
    lines = logging.getLogger("graphs.run.progress")

    with watching(on) as watch:
        silenced = not lines.isEnabledFor(logging.INFO)
        watch(REACHED)

    file.seek(0)
    assert "5/20 shards" in file.read()
    assert silenced
    assert lines.level == logging.NOTSET


def test_where_there_is_no_terminal_nothing_but_the_log_is_written(tmp_path):
    file = (tmp_path / "log").open("w+")

    with watching(Console(file=file)) as watch:
        watch(REACHED)

    file.seek(0)
    assert file.read() == ""
