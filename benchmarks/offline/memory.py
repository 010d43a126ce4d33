"""Memory at ten times the data."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.measure import Measure, compared
from benchmarks.offline.place import place
from benchmarks.offline.race import race
from benchmarks.offline.tracks import track
from benchmarks.offline.tuning import BEST

_ROWS, _QUICK_ROWS = 3_200_000, 800_000
_FILE_ROWS = 400_000


def measures(quick: bool) -> Iterator[Measure]:
    """``offline.memory_10x``: most resident memory of driver and workers together, at ten times the
    data (``ours``) over that at the data itself (``theirs``), on the graph without a model;
    ``offline.memory_10x_model`` on the one with a model; ``offline.memory.vs_tuned`` and
    ``….vs_documented``: ours over that of Ray Data, at ten times the data.

    Every round runs both sizes, with the default profile: the smaller one has enough shards to keep
    every worker busy for a while.
    """
    runs = 1 if quick else 5
    rows = _QUICK_ROWS if quick else _ROWS
    with place() as here:
        for workload in ("cpu", "model"):
            tracks = [track(here, workload, size, size // _FILE_ROWS) for size in (rows, 10 * rows)]
            rivals = {"tuned": BEST["cpu"], "documented": {}} if workload == "cpu" else {}
            finishes = race(here, tracks, {"ours": {}, **rivals}, runs)
            peaks = {
                who: {size: [one.peak_bytes / 2**20 for one in found] for size, found in by.items()}
                for who, by in finishes.items()
            }
            ours = peaks["ours"]
            name = "offline.memory_10x" + ("" if workload == "cpu" else "_model")
            yield compared(name, ours[10 * rows], ours[rows], "MiB, less is better")
            for who in rivals:
                yield compared(
                    f"offline.memory.vs_{who}",
                    ours[10 * rows],
                    peaks[who][10 * rows],
                    "MiB, less is better",
                )
