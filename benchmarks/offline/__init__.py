"""Ours against hand-written Ray Data and plain pyarrow: ``python -m benchmarks offline``.

Everyone reads the same files and writes the same columns with the same codec, level and rows of a
row group, one run after another in turn, each in a process of its own, and every output is checked
row by row. Of rows a second, a ratio above 1 says that ours is faster; of seconds and bytes, one
below 1. The suites can be run alone, as ``offline.cpu``.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from benchmarks.measure import Measure

SUITES = ("cpu", "model", "small_files", "large_file", "memory", "commit")


def measures(quick: bool) -> Iterator[Measure]:
    """All of them, in turn."""
    for name in SUITES:
        yield from importlib.import_module(f"benchmarks.offline.{name}").measures(quick)
