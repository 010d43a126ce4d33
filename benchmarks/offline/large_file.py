"""One file of 5 GB."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from benchmarks.measure import Measure
from benchmarks.offline.place import place
from benchmarks.offline.race import race, throughput
from benchmarks.offline.tracks import large_file
from benchmarks.offline.tuning import BEST, PROFILES

_ROWS, _QUICK_ROWS = 70_000_000, 2_000_000  # 5 GB, 143 MB
_BYTES_A_ROW = 72
_SPACE = 4  # times the input: itself, an output, and what Ray may spill


def measures(quick: bool) -> Iterator[Measure]:
    """``offline.large_file.vs_documented``, ``….vs_tuned`` and ``….vs_pyarrow_2p``: rows a second
    of whole runs, from disk; three rounds. Where the disk has no room, the file is smaller."""
    with place() as here:
        rows = _QUICK_ROWS if quick else _ROWS
        fits = here.free_bytes() // (_SPACE * _BYTES_A_ROW)
        if fits < rows:
            print(f"the disk takes {fits * _BYTES_A_ROW / 1e9:.1f} GB only", file=sys.stderr)
            rows = fits
        one, size = large_file(here, rows)
        contestants = {
            "ours": PROFILES["cpu"],
            "documented": {},
            "tuned": BEST["cpu"],
            "pyarrow_2p": {},
        }
        finishes = race(here, [one], contestants, 3)
        print(f"the large file has {size / 1e9:.2f} GB", file=sys.stderr)
        for rival in ("documented", "tuned", "pyarrow_2p"):
            yield throughput(
                f"offline.large_file.vs_{rival}", finishes["ours"][rows], finishes[rival][rows]
            )
