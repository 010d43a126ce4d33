"""Processes of the stack: started under a reaper, found again after a crash, ended for good."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from demo.reaper import POLITE_S

PROJECT = Path(__file__).resolve().parent.parent
MARK = "GRAPHS_DEMO_FOLDER"  # every process of a stack inherits it, naming the stack's folder
STARTED = "processes.jsonl"
TICK_S = 0.1


class NotReady(Exception):
    """A part of the stack did not become ready, or ended; carries the last lines of its log."""

    def __init__(self, name: str, problem: str, log: Path) -> None:
        super().__init__(name, problem, log)
        self.name, self.problem, self.log = name, problem, log

    def __str__(self) -> str:
        return f"{self.headline}\n{self.tail()}"

    @property
    def headline(self) -> str:
        """What happened, in a line."""
        return f"{self.name} {self.problem}; its log is {self.log}"

    def tail(self, lines: int = 25) -> str:
        """The last lines of the log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@dataclass(frozen=True)
class Process:
    """One started component: its reaper, and where it logs."""

    name: str
    pid: int
    created_at: float  # with the pid, names a process for good: pids are used again
    log: str

    @property
    def is_running(self) -> bool:
        reaper = self.reaper()
        return reaper is not None and reaper.status() != psutil.STATUS_ZOMBIE

    def to_json(self) -> str:
        """One line of the record of what was started."""
        return json.dumps(asdict(self))

    def reaper(self) -> psutil.Process | None:
        """The reaper, unless it ended and its pid now means another process."""
        try:
            found = psutil.Process(self.pid)
            return found if abs(found.create_time() - self.created_at) < 1.0 else None
        except psutil.NoSuchProcess:
            return None

    def members(self) -> list[psutil.Process]:
        """Every living process of this component except the reaper, its main one first."""
        reaper = self.reaper()
        return living_below(reaper) if reaper else []


def living_below(process: psutil.Process) -> list[psutil.Process]:
    """Descendants of a process that have not ended, parents before children."""
    try:
        return [one for one in process.children(recursive=True) if _is_living(one)]
    except psutil.NoSuchProcess:
        return []


def _is_living(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def start(name: str, command: Sequence[str], env: Mapping[str, str], folder: Path) -> Process:
    """Start a component under a reaper, in a session of its own, logging to a file."""
    log = folder / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        reaper = subprocess.Popen(
            [sys.executable, "-m", "demo.reaper", "--", *command],
            env={**env, MARK: str(folder), "PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    process = Process(name, reaper.pid, psutil.Process(reaper.pid).create_time(), str(log))
    with (folder / STARTED).open("a") as record:  # at once: this process may be killed any time
        record.write(process.to_json() + "\n")
    return process


def started_in(folder: Path) -> list[Process]:
    """Every component that was started in a folder and not yet ended by :func:`end`."""
    record = folder / STARTED
    if not record.exists():
        return []
    return [Process(**json.loads(line)) for line in record.read_text().splitlines()]


def await_ready(process: Process, is_ready: Callable[[], bool], *, within_s: float) -> None:
    """Wait until a component answers.

    Raises:
        NotReady: it ended, or did not answer in time.
    """
    deadline = time.monotonic() + within_s
    while not is_ready():
        if not process.is_running:
            raise NotReady(process.name, "ended while starting", Path(process.log))
        if time.monotonic() > deadline:
            problem = f"was not ready after {within_s:.0f} s"
            raise NotReady(process.name, problem, Path(process.log))
        time.sleep(TICK_S)


def end(folder: Path) -> None:
    """End every component that was started in a folder, with all that it started itself."""
    known = started_in(folder)
    left = [*_reapers(known), *_strays(known, folder)]
    _send(left, psutil.Process.terminate)
    _, left = psutil.wait_procs(left, timeout=POLITE_S + 5)
    while left := [*left, *_strays(known, folder)]:
        _send(left, psutil.Process.kill)
        _, left = psutil.wait_procs(left, timeout=1)
    (folder / STARTED).unlink(missing_ok=True)


def leftovers(folder: Path) -> list[psutil.Process]:
    """What still runs of what was started in a folder; empty once it was ended."""
    known = started_in(folder)
    return [*_reapers(known), *_strays(known, folder)]


def _reapers(processes: Sequence[Process]) -> list[psutil.Process]:
    return [one for process in processes if process.is_running and (one := process.reaper())]


def _strays(processes: Sequence[Process], folder: Path) -> list[psutil.Process]:
    """Processes of a stack that no living reaper will end, because it was killed from outside.

    They are known by the session that the reaper led, or by the mark in their environment.
    """
    reapers = _reapers(processes)
    cared_for = {os.getpid(), *(reaper.pid for reaper in reapers)}
    cared_for |= {child.pid for reaper in reapers for child in living_below(reaper)}
    dead = {process.pid for process in processes if not psutil.pid_exists(process.pid)}
    return [
        process
        for process in psutil.process_iter()
        if process.pid not in cared_for and _is_stray(process, dead, folder)
    ]


def _is_stray(process: psutil.Process, dead: set[int], folder: Path) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return os.getsid(process.pid) in dead or process.environ().get(MARK) == str(folder)
    except (psutil.Error, OSError):
        return False  # it ended meanwhile, or is another user's


def _send(targets: Iterable[psutil.Process], signal: Callable[[psutil.Process], None]) -> None:
    for process in targets:
        with contextlib.suppress(psutil.NoSuchProcess):
            signal(process)
