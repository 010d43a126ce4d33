"""Readers of a partition that a backfill replaces all the while."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
import s3fs  # type: ignore[import-untyped]
from pyarrow.fs import FSSpecHandler, PyFileSystem

from graphs.spec import Manifest
from graphs.storage.snapshots import Dataset
from tests.chaos import scoring
from tests.chaos.world import PARTITION, World, await_condition, spec_of, write_input

pytestmark = pytest.mark.server
SHARDS = 6
COMMITS = 8
Reader = Callable[[list[str]], pa.Table]


@dataclass
class Seen:
    """What a reader that never rests saw."""

    reads: int = 0
    overtaken: int = 0
    """Reads in the middle of which another run was committed."""
    mixed: int = 0
    """Reads that gave anything but all the rows of one run."""
    backwards: int = 0
    """Reads that gave an older run than the one before did."""


def by_duckdb() -> Reader:
    connection = duckdb.connect()
    connection.register_filesystem(_file_system())
    query = "SELECT id, run FROM read_parquet($files)"
    return lambda files: connection.sql(query, params={"files": files}).to_arrow_table()


def by_pyarrow() -> Reader:
    fs = PyFileSystem(FSSpecHandler(_file_system()))
    return lambda files: ds.dataset(
        [file.removeprefix("s3://") for file in files], format="parquet", filesystem=fs
    ).to_table(columns=["id", "run"])


def _file_system() -> s3fs.S3FileSystem:
    # Nothing remembered: what is listed and read is what is there now.
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    return s3fs.S3FileSystem(
        endpoint_url=endpoint, skip_instance_cache=True, use_listings_cache=False
    )


def by_manifest(dataset: Dataset, manifest: Manifest) -> list[str]:
    """What readers are told to read."""
    return [dataset.store.uri_of(file.path) for file in manifest.files]


def by_prefix(dataset: Dataset, manifest: Manifest) -> list[str]:
    """What they would find if they listed instead."""
    found = dataset.store.list(f"snapshots/{manifest.partition_key}")
    return [dataset.store.uri_of(info.path) for info in found]


@contextmanager
def backfill(world: World, place: str, folder: Path) -> Iterator[None]:
    """A driver that replaces the partition by run after run, until the block is left."""
    stop = folder / "stop"
    command = [sys.executable, "-m", "tests.chaos.backfill"]
    command += [spec_of(place).model_dump_json(), str(stop)]
    env = {**world.env, **world.ray.client_env}
    with (world.folder / "logs" / "backfill.log").open("wb") as log:
        driver = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    try:
        yield
    finally:
        stop.touch()
        assert driver.wait(60) == 0, "the backfill failed; its log is in logs/backfill.log"


def follow(
    dataset: Dataset,
    reader: Reader,
    files: Callable[[Dataset, Manifest], list[str]],
    expected: list[str],
    enough: threading.Event,
) -> Seen:
    """Reads until enough reads were overtaken by a commit, or until told that it is enough."""
    seen, newest = Seen(), 0
    while seen.overtaken < COMMITS and not enough.is_set():
        before = _manifest(dataset)
        table = reader(files(dataset, before))
        seen.reads += 1
        seen.overtaken += _manifest(dataset).run_key != before.run_key
        runs = set(table["run"].to_pylist())
        seen.mixed += len(runs) != 1 or sorted(table["id"].to_pylist()) != expected
        seen.backwards += max(runs) < newest
        newest = max(runs)
    return seen


def _manifest(dataset: Dataset) -> Manifest:
    found = dataset.read_manifest(PARTITION)
    assert found is not None
    return found[0]


@pytest.mark.timeout(300)
def test_readers_of_the_manifest_never_see_a_mix_of_two_runs(
    world: World, place: str, tmp_path: Path
) -> None:
    expected = sorted(f"row {n}" for n in write_input(place, SHARDS) if not scoring.is_rejected(n))
    with backfill(world, place, tmp_path), ThreadPoolExecutor(3) as pool:
        dataset = Dataset(f"{place}/output")
        await_condition(lambda: dataset.read_manifest(PARTITION))
        enough = threading.Event()
        following = {
            "duckdb": pool.submit(follow, dataset, by_duckdb(), by_manifest, expected, enough),
            "pyarrow": pool.submit(follow, dataset, by_pyarrow(), by_manifest, expected, enough),
            "listing": pool.submit(follow, dataset, by_pyarrow(), by_prefix, expected, enough),
        }
        try:
            seen = {name: future.result() for name, future in following.items()}
        finally:
            enough.set()
    for name in ("duckdb", "pyarrow"):
        assert (seen[name].mixed, seen[name].backwards) == (0, 0), seen[name]
        assert seen[name].overtaken >= COMMITS
    # And who lists what is there does: so a mix would be noticed.
    assert seen["listing"].mixed > 0
