"""Two ways of doing one thing, timed in turn in one process, so that a drifting machine is fair;
or one way, held against a limit."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """One line of a benchmark's output."""

    measure: str
    ours: float
    """Median of our runs, in ``unit``."""
    theirs: float
    """Median of the runs of what we compare with, or the limit that we are held to."""
    ratio: float
    """Median of ours / theirs, pair by pair."""
    spread: float
    """(largest − smallest) / median of their runs, of ours where there is a limit: the noise of
    the machine."""
    unit: str
    runs: int
    machine: str

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def seconds(action: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def pair(
    measure: str, ours: Callable[[], object], theirs: Callable[[], object], runs: int
) -> Measure:
    """Time two actions in turn, after one uncounted call of each."""
    ours()
    theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(runs)]
    middle = statistics.median(their for _, their in pairs)
    return Measure(
        measure=measure,
        ours=statistics.median(our for our, _ in pairs),
        theirs=middle,
        ratio=statistics.median(our / their for our, their in pairs),
        spread=(max(p[1] for p in pairs) - min(p[1] for p in pairs)) / middle,
        unit="s",
        runs=runs,
        machine=machine(),
    )


def compared(measure: str, ours: Sequence[float], theirs: Sequence[float], unit: str) -> Measure:
    """What was measured already, run by run: the two were taken in turn."""
    middle = statistics.median(theirs)
    return Measure(
        measure=measure,
        ours=statistics.median(ours),
        theirs=middle,
        ratio=statistics.median(our / their for our, their in zip(ours, theirs, strict=True)),
        spread=(max(theirs) - min(theirs)) / middle,
        unit=unit,
        runs=len(ours),
        machine=machine(),
    )


def within(measure: str, ours: Callable[[], object], limit_s: float, runs: int) -> Measure:
    """Time one action that is to take less than a limit, in seconds."""
    times = [seconds(ours) for _ in range(runs)]
    middle = statistics.median(times)
    return Measure(
        measure=measure,
        ours=middle,
        theirs=limit_s,
        ratio=middle / limit_s,
        spread=(max(times) - min(times)) / middle,
        unit="s",
        runs=runs,
        machine=machine(),
    )


def machine() -> str:
    """The machine in a few words."""
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
