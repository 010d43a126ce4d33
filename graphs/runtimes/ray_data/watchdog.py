"""Ends a worker whose node does not come back from a batch, and says which node it was.

Python cannot interrupt a call that hangs in native code, so the process ends itself and Ray starts
another. Before that it leaves a note in the store, by which the retry and the driver name the node.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time

from graphs.errors import NodeStalled, StorageError
from graphs.runtimes.kernel import Calculating, Kernel
from graphs.storage.objects import Store

log = logging.getLogger("graphs.run")

_EXIT_CODE = 70
"""EX_SOFTWARE of sysexits.h; seen in Ray's message about the lost worker."""


class Watchdog:
    """Watches one worker's kernel from a thread of its own.

    Args:
        kernel: what it watches.
        store: the dataset's.
        run_key: the run.
        stall_s: longest time a node may take for one batch.
    """

    def __init__(self, kernel: Kernel, store: Store, run_key: str, stall_s: float) -> None:
        self._kernel = kernel
        self._store = store
        self._run_key = run_key
        self._stall_s = stall_s
        self._shard = ""
        self._has_warned_of: Calculating | None = None
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def now_at(self, shard: str) -> None:
        """Which shard the kernel is given next."""
        self._shard = shard

    def _watch(self) -> None:
        pause = threading.Event()
        while not pause.wait(min(5.0, self._stall_s / 4)):
            busy = self._kernel.busy_with
            if busy is None:
                continue
            seconds = time.perf_counter() - busy.since
            if seconds > self._stall_s:
                self._end(busy)
            if seconds > self._stall_s / 2 and busy is not self._has_warned_of:
                self._has_warned_of = busy
                log.warning("%s", self._told(busy, seconds))

    def _told(self, busy: Calculating, seconds: float) -> str:
        return (
            f"node {busy.node!r} has not come back from a batch of {busy.rows} rows "
            f"for {seconds:.0f} s (shard {self._shard})"
        )

    def _end(self, busy: Calculating) -> None:
        told = self._told(busy, self._stall_s)
        log.error("%s: its worker ends", told)
        note = {"node": busy.node, "problem": told}
        try:
            self._store.put(_note(self._run_key, self._shard), json.dumps(note).encode())
        except StorageError as error:
            log.error("%s", error)
        os._exit(_EXIT_CODE)


def stalled(store: Store, run_key: str, shard: str) -> NodeStalled | None:
    """What a watchdog noted of a shard, as the error it is; ``None`` if it never did."""
    found = store.find(_note(run_key, shard))
    return None if found is None else _error(found.data, run_key)


def any_stalled(store: Store, run_key: str) -> NodeStalled | None:
    """The first such note of a run, if there is one."""
    for info in store.list(f"runs/{run_key}/stalled"):
        found = store.find(info.path)
        if found is not None:
            return _error(found.data, run_key)
    return None


def forget_stalls(store: Store, run_key: str) -> None:
    """Removes an earlier attempt's notes, so that each shard gets its chance again."""
    for info in store.list(f"runs/{run_key}/stalled"):
        store.delete(info.path)


def _error(note: bytes, run_key: str) -> NodeStalled:
    told = json.loads(note)
    return NodeStalled(
        told["problem"],
        f"run {run_key}, node {told['node']!r}",
        "Mend the node, give it a timeout_s, or raise stall_s in the profile",
    )


def _note(run_key: str, shard: str) -> str:
    return f"runs/{run_key}/stalled/{shard}.json"
