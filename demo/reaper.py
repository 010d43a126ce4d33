"""Runs one command and leaves nothing of it behind.

    python -m demo.reaper -- <command …>

Ray and Airflow start processes in sessions of their own and leave them orphaned when they are
told to end, so ending a process group is not enough. The reaper asks the kernel to hand it every
orphan of its command (Linux: PR_SET_CHILD_SUBREAPER), and when it is told to end, or its command
ends by itself, it ends all of them: first politely, then for good.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from types import FrameType

import psutil

PR_SET_CHILD_SUBREAPER = 36
POLITE_S = 10.0  # Ray's and Airflow's own endings take up to about 8 s
TICK_S = 0.1


def adopt_orphans() -> None:
    """Become the parent of every descendant whose parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def collect_ended() -> set[int]:
    """Pids of children, our own and adopted, that ended since the last call."""
    ended = set()
    try:
        while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
            ended.add(pid)
    except ChildProcessError:
        pass  # there are none at all
    return ended


def descendants() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def send(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def end_descendants(polite_s: float = POLITE_S) -> None:
    """TERM to every descendant, then KILL to those that stay, until there are none."""
    send(descendants(), signal.SIGTERM)
    polite_until = time.monotonic() + polite_s
    while True:
        collect_ended()
        left = descendants()
        if not left:
            return
        if time.monotonic() > polite_until:
            send(left, signal.SIGKILL)
        time.sleep(TICK_S)


def run(command: list[str]) -> None:
    """Run the command until it ends or this process is told to; then end all it started."""
    asked_to_end = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal asked_to_end
        asked_to_end = True

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, note)
    adopt_orphans()
    main = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while not asked_to_end and main.pid not in collect_ended():
        time.sleep(TICK_S)
    end_descendants()


if __name__ == "__main__":
    run(sys.argv[2:])
