"""A graph without a model: read, cheap arithmetic and a small matrix product, write."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.measure import Measure, compared
from benchmarks.offline.place import place
from benchmarks.offline.race import Finishes, lines, race, throughput
from benchmarks.offline.tracks import track
from benchmarks.offline.tuning import BEST, PROFILES

_ROWS, _QUICK_ROWS = 12_800_000, 1_600_000
_S3_ROWS = 3_200_000
_FILES = 8

_RIVALS = ("documented", "tuned", "pyarrow_1p", "pyarrow_2p", "pyarrow_2p_tuned")


def measures(quick: bool) -> Iterator[Measure]:
    """``offline.cpu.…`` from disk, ``offline.cpu.s3.…`` from the local S3.

    * ``vs_documented``, ``vs_tuned``: rows a second of whole runs at the larger of two sizes, from
      joining Ray to the commit: what somebody waits for.
    * ``vs_pyarrow_1p``, ``vs_pyarrow_2p`` and ``vs_pyarrow_2p_tuned`` (which knows the columns that
      want a dictionary): rows a second in the steady state. Each round runs two sizes, one four
      times the other; seconds over rows is a straight line through them, its slope the steady
      state, where it meets zero rows the start-up.
    * ``startup_s``: that start-up, of ours and of Ray Data as documented; ``startup_tuned_s`` of
      ours and of tuned Ray Data.
    """
    runs = 3 if quick else 5
    contestants = {"ours": PROFILES["cpu"], **{rival: {} for rival in _RIVALS}}
    contestants["tuned"] = BEST["cpu"]
    with place() as here:
        for where, rows in (("disk", _ROWS), ("s3", _S3_ROWS)):
            large = min(rows, _QUICK_ROWS) if quick else rows
            name = "offline.cpu" if where == "disk" else "offline.cpu.s3"
            tracks = [track(here, "cpu", size, _FILES, where=where) for size in (large // 4, large)]
            yield from _told(name, race(here, tracks, contestants, runs))


def _told(name: str, finishes: Finishes) -> Iterator[Measure]:
    ours = finishes["ours"]
    large = max(ours)
    for rival in ("documented", "tuned"):
        yield throughput(f"{name}.vs_{rival}", ours[large], finishes[rival][large])
    steady = {who: lines(by_rows) for who, by_rows in finishes.items()}
    for rival in ("pyarrow_1p", "pyarrow_2p", "pyarrow_2p_tuned", "tuned"):
        yield compared(
            f"{name}.vs_{rival}" + ("_steady" if rival == "tuned" else ""),
            [line.rows_per_s for line in steady["ours"]],
            [line.rows_per_s for line in steady[rival]],
            "rows/s steady state, more is better",
        )
    for rival, told in (("documented", "startup_s"), ("tuned", "startup_tuned_s")):
        yield compared(
            f"{name}.{told}",
            [line.startup_s for line in steady["ours"]],
            [line.startup_s for line in steady[rival]],
            "s, less is better",
        )
