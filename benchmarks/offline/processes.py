"""Memory and CPU time of several processes together, while something runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType

import psutil

_TICK_S = 0.1


class Watch:
    """Watches processes from a thread; a context manager."""

    def __init__(self, members: Callable[[], Iterable[psutil.Process]]) -> None:
        self.peak_bytes = 0
        self._members = members
        self._cpu_before = _cpu_s(members())
        self._cpu = dict(self._cpu_before)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def cpu_s(self) -> float:
        """Seconds of CPU that they took, to within a tick for each that has ended."""
        return sum(taken - self._cpu_before.get(one, 0.0) for one, taken in self._cpu.items())

    def _watch(self) -> None:
        while not self._ended.wait(_TICK_S):
            members = [*self._members()]
            self._cpu |= _cpu_s(members)
            self.peak_bytes = max(self.peak_bytes, sum(map(_resident, members)))


def _cpu_s(members: Iterable[psutil.Process]) -> dict[psutil.Process, float]:
    taken = {}
    for one in members:
        with suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            taken[one] = times.user + times.system
    return taken


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def family(pid: int) -> list[psutil.Process]:
    """A process and its descendants; empty once it is gone."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def workers(members: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Ray's workers among some processes, idle ones too; not what Ray runs for itself."""
    names = [(one, _name(one)) for one in members]
    return [
        one
        for one, name in names
        if name.startswith("ray::") and not name.startswith("ray::_") and not name.endswith("Agent")
    ]


def busy_workers(members: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Ray's workers that belong to some driver."""
    return [one for one in workers(members) if _name(one) != "ray::IDLE"]


def _name(process: psutil.Process) -> str:
    try:
        # Ray sets the title, so the first argument; the name has 15 characters only.
        return " ".join(process.cmdline()[:1])
    except psutil.Error:
        return ""
