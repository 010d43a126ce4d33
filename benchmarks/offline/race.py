"""Contestants on the same data, one after the other, round after round."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow import fs

from benchmarks.measure import Measure, compared
from benchmarks.offline.contestants import Job
from benchmarks.offline.place import Place

_LIMIT_S = 900.0


@dataclass(frozen=True)
class Track:
    """An input that everyone reads. Its ids are 0, 1, 2 and so on."""

    workload: str
    uri: str
    rows: int


@dataclass(frozen=True)
class Finish:
    """What one run came to."""

    rows: int
    seconds: float
    peak_bytes: int
    """Most resident memory of driver and workers together; shared pages count in each."""
    cpu_s: float = 0.0
    """Seconds of CPU of the same: a busy machine changes that less than the time."""

    @property
    def rows_per_s(self) -> float:
        return self.rows / self.seconds


Finishes = dict[str, dict[int, list[Finish]]]
"""By contestant and rows of the track, in the order of the rounds."""


def race(
    place: Place, tracks: Sequence[Track], contestants: Mapping[str, Mapping[str, Any]], runs: int
) -> Finishes:
    """Every contestant on every track, in turn, ``runs`` times over.

    Args:
        place: where.
        tracks: each with another number of rows.
        contestants: the knobs of each.
        runs: rounds.
    """
    finishes: Finishes = {who: {track.rows: [] for track in tracks} for who in contestants}
    for number in range(runs):
        for track in tracks:
            for who, knobs in contestants.items():
                output = f"{place.root(track.uri)}/out/{who}-{number}"
                job = Job(who, track.workload, track.uri, output, dict(knobs))
                finishes[who][track.rows].append(finish(place, job, track.rows))
    return finishes


def finish(place: Place, job: Job, rows: int) -> Finish:
    """Runs a job in a process of its own, checks its output and removes that.

    Raises:
        RuntimeError: it failed, or its output is not what it must be.
    """
    command = [sys.executable, "-m", "benchmarks.offline.contestants", json.dumps(asdict(job))]
    log = place.folder / "contestant.log"
    with log.open("w") as errors:
        child = subprocess.Popen(
            command,
            env=place.env,
            cwd=place.folder,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        with place.watching(child.pid) as watch:
            out, _ = child.communicate(timeout=_LIMIT_S)
    if child.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        raise RuntimeError(f"{job.who} on {job.input} failed:\n{tail}")
    place.await_idle()
    store, folder = place.filesystem(job.output)
    try:
        _check(job, store, folder, rows)
    finally:
        _remove(store, folder)
    seconds = json.loads(out.splitlines()[-1])["seconds"]
    return Finish(rows, seconds, watch.peak_bytes, watch.cpu_s)


def _check(job: Job, store: fs.FileSystem, folder: str, rows: int) -> None:
    """Every id is there once, and every row has a score."""
    # Beside the rows there is what a run of ours keeps about itself.
    folder = f"{folder}/snapshots" if job.who == "ours" else folder
    files = [
        info.path
        for info in store.get_file_info(fs.FileSelector(folder, recursive=True))
        if info.path.endswith(".parquet")
    ]
    found = ds.dataset(files, filesystem=store, format="parquet").to_table(["id", "score"])
    ids = found.column("id")
    sums = (found.num_rows, pc.count_distinct(ids).as_py(), pc.sum(ids).as_py())
    scores = pc.is_finite(found.column("score"))
    if sums != (rows, rows, rows * (rows - 1) // 2) or pc.sum(scores).as_py() != rows:
        raise RuntimeError(f"{job.who} wrote {sums[0]} rows of {rows}, {sums[1]} different ones")


def _remove(store: fs.FileSystem, folder: str) -> None:
    if isinstance(store, fs.LocalFileSystem):
        shutil.rmtree(folder, ignore_errors=True)
    else:
        store.delete_dir(folder)


def throughput(measure: str, ours: Sequence[Finish], theirs: Sequence[Finish]) -> Measure:
    """Rows a second of whole runs, starting included; a ratio above 1 says that we are faster."""
    return compared(
        measure,
        [one.rows_per_s for one in ours],
        [one.rows_per_s for one in theirs],
        "rows/s, more is better",
    )


@dataclass(frozen=True)
class Line:
    """Seconds of a run as a straight line over its rows, through two sizes of the same round."""

    startup_s: float
    """Seconds of a run of no rows."""
    rows_per_s: float
    """Rows a second once it is running."""

    @staticmethod
    def through(small: Finish, large: Finish) -> Line:
        slope = (large.seconds - small.seconds) / (large.rows - small.rows)
        # A noisy machine may take longer for less; then nothing better is known than the whole.
        slope = slope if slope > 0 else large.seconds / large.rows
        return Line(max(0.0, large.seconds - slope * large.rows), 1 / slope)


def lines(by_rows: Mapping[int, Sequence[Finish]]) -> list[Line]:
    """The line of each round."""
    small, large = min(by_rows), max(by_rows)
    return [Line.through(a, b) for a, b in zip(by_rows[small], by_rows[large], strict=True)]


def median_line(by_rows: Mapping[int, Sequence[Finish]]) -> Line:
    """The line through the medians, which a round that was disturbed does not move."""
    small, large = (
        Finish(rows, statistics.median(one.seconds for one in by_rows[rows]), 0)
        for rows in (min(by_rows), max(by_rows))
    )
    return Line.through(small, large)
