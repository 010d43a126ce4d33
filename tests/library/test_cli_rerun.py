"""``graphs runs resume`` and ``replay`` with real runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

import graphs
from graphs.cli import app
from graphs.storage.layout import run_path
from graphs.storage.records import encode
from graphs.storage.snapshots import Dataset
from tests.library import flaky

pytestmark = pytest.mark.server

FLAKY, PATIENT = "tests.library.flaky:flaky", "tests.library.flaky:patient"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """A Ray cluster of two CPUs that this process has joined."""
    import ray

    before = dict(os.environ)
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=200 * 2**20)
    yield
    ray.shutdown()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Forty rows in four files; the last row is one that the graph rejects."""
    place = tmp_path / "in"
    place.mkdir()
    for part in range(4):
        numbers = list(range(part * 10, part * 10 + 10))
        table = pa.table({"id": [f"row-{n:02}" for n in numbers], "number": numbers})
        pq.write_table(table, place / f"{part}.parquet")
    return place


@pytest.fixture
def broken_off(rows: Path, tmp_path: Path, ray_here: None) -> tuple[Dataset, str]:
    """A run that failed at its last shard, and its key."""
    (tmp_path / "small.yaml").write_text("offline: {shard_rows: 10, workers_max: 1}")
    failed = run(
        *("run", FLAKY, "--input", rows, "--on", "ray", "--output", tmp_path / "out"),
        *("--parameter", f"flag={tmp_path / 'flag'}", "--profile", tmp_path / "small.yaml"),
    )
    assert failed.exit_code == 1, failed.output
    assert "NodeError" in failed.stderr
    (told,) = json.loads(run("runs", "ls", tmp_path / "out", "--json").stdout)["runs"]
    assert told["state"] == "failed"
    return Dataset(str(tmp_path / "out")), told["run_key"]


def test_resume_goes_on_where_a_run_ended(broken_off, tmp_path):
    dataset, key = broken_off
    (tmp_path / "flag").touch()

    result = run("runs", "resume", dataset.uri, key[:6], "--json")

    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["run_key"], told["shards"]) == (key, 4)
    assert told["shards_resumed"] >= 1
    assert told["shards_resumed"] + told["shards_computed"] == 4
    ids = graphs.read((dataset.uri, "all")).to_table().column("id").to_pylist()
    assert ids == [f"row-{n:02}" for n in range(39)]
    again = json.loads(run("runs", "resume", dataset.uri, key, "--json").stdout)
    assert again["was_committed"]


def test_resume_refuses_a_graph_or_an_input_that_has_changed(broken_off, rows):
    dataset, key = broken_off
    record = dataset.read_run(key)

    pq.write_table(pa.table({"id": ["new"], "number": [1]}), rows / "4.parquet")
    changed = run("runs", "resume", dataset.uri, key)
    other = record.model_copy(update={"version": "0123456789abcdef"})
    dataset.store.put(run_path(key), encode(other))
    edited = run("runs", "resume", dataset.uri, key)

    assert changed.exit_code == edited.exit_code == 1
    assert changed.stderr.startswith("InputChanged: ")
    assert edited.stderr.startswith("GraphError: ")
    assert "the run is of version 0123456789abcdef" in edited.stderr
    assert dataset.read_manifest("all") is None


def test_replay_runs_the_rejected_rows_again_beside_the_others(rows, tmp_path, ray_here):
    (tmp_path / "flag").touch()
    out = tmp_path / "out"
    options = ("--output", out, "--parameter", f"flag={tmp_path / 'flag'}", "--json")
    first = json.loads(run("run", FLAKY, "--input", rows, "--on", "ray", *options).stdout)
    before = graphs.read((str(out), "all")).to_table()

    result = run("runs", "replay", out, "all", "--graph", PATIENT, "--json")

    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (first["counts"]["rejected"], told["counts"]["rejected"]) == ({"halve": 1}, {})
    assert told["counts"]["rows_in"] == 40
    after = graphs.read((str(out), "all")).to_table()
    assert after.slice(0, 39).equals(before)
    assert after.slice(39).to_pylist() == [{"id": "row-39", "half": flaky.UNKNOWN}]
    listed = json.loads(run("runs", "ls", out, "--json").stdout)["runs"]
    assert {one["run_key"]: (one["state"], one["replay"]) for one in listed} == {
        first["run_key"]: ("replayed", None),
        told["run_key"]: ("committed", first["run_key"]),
    }
    nothing = json.loads(run("runs", "replay", out, "all", "--json").stdout)
    assert nothing["rejected"] == 0
    kept = json.loads(run("runs", "gc", out, "--older-than", "0s", "--delete", "--json").stdout)
    assert kept["objects"] == 0
    assert graphs.read((str(out), "all")).to_table().equals(after)
