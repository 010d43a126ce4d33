"""Ten thousand files of 20 KB."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.measure import Measure
from benchmarks.offline.place import place
from benchmarks.offline.race import race, throughput
from benchmarks.offline.tracks import track
from benchmarks.offline.tuning import BEST, PROFILES

_FILES, _QUICK_FILES = 10_000, 500
_ROWS_A_FILE = 270  # 20 KB


def measures(quick: bool) -> Iterator[Measure]:
    """``offline.small_files.vs_documented``, ``….vs_tuned``, ``….vs_pyarrow_2p``, from disk and, as
    ``offline.small_files.s3.…``, from the local S3: rows a second of whole runs.

    From S3 there are a tenth of the files, and three rounds: its server answers some hundred
    requests a second, so that it is the server that is measured.
    """
    contestants = {
        "ours": PROFILES["small_files"],
        "documented": {},
        "tuned": BEST["small_files"],
        "pyarrow_2p": {},
    }
    with place() as here:
        for where in ("disk", "s3"):
            files = _QUICK_FILES if quick else _FILES if where == "disk" else _FILES // 10
            name = "offline.small_files" if where == "disk" else "offline.small_files.s3"
            rows = files * _ROWS_A_FILE
            one = track(here, "cpu", rows, files, where=where)
            finishes = race(here, [one], contestants, 3 if quick or where == "s3" else 5)
            for rival in ("documented", "tuned", "pyarrow_2p"):
                yield throughput(
                    f"{name}.vs_{rival}", finishes["ours"][rows], finishes[rival][rows]
                )
