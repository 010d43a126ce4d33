"""CPU → model → CPU: features, a perceptron in workers of its own, labels."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.measure import Measure
from benchmarks.offline.place import place
from benchmarks.offline.race import race, throughput
from benchmarks.offline.tracks import track
from benchmarks.offline.tuning import BEST, PROFILES

_ROWS, _QUICK_ROWS = 3_200_000, 400_000
_S3_ROWS = 1_600_000
_FILES = 8


def measures(quick: bool) -> Iterator[Measure]:
    """``offline.model.vs_documented``, ``….vs_tuned``, and ``offline.model.s3.…`` from the local
    S3: rows a second of whole runs, starting included."""
    runs = 3 if quick else 5
    contestants = {"ours": PROFILES["model"], "documented": {}, "tuned": BEST["model"]}
    with place() as here:
        for where, rows in (("disk", _ROWS), ("s3", _S3_ROWS)):
            size = _QUICK_ROWS if quick else rows
            name = "offline.model" if where == "disk" else "offline.model.s3"
            one = track(here, "model", size, _FILES, where=where)
            finishes = race(here, [one], contestants, runs)
            for rival in ("documented", "tuned"):
                yield throughput(
                    f"{name}.vs_{rival}", finishes["ours"][size], finishes[rival][size]
                )
