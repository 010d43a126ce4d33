"""Removing a run for good, without pulling it from under an attempt that just began.

A remover leaves a mark, then looks once more whether the run is alive, then deletes. An attempt
says that it is alive, then looks for the mark, then reads what earlier attempts left. Whichever
of the two is first is seen by the other, so no manifest comes to name a file that is being deleted.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from graphs.errors import RunFailed
from graphs.spec import Progress
from graphs.storage import layout
from graphs.storage.snapshots import Dataset

ALIVE_FOR = timedelta(minutes=3)
"""A run that said how far it is less long ago is taken for alive; it says so every few seconds."""

MARK_COUNTS_FOR = timedelta(hours=1)
"""An older mark on a run that stays was left by a remover that died."""


def is_alive(progress: Progress | None, now: datetime | None = None) -> bool:
    """Whether a run that said this is being computed, as far as anyone can tell."""
    if progress is None or progress.state != "running" or progress.updated_at is None:
        return False
    return (now or datetime.now(UTC)) - progress.updated_at < ALIVE_FOR


def refuse_if_removed(dataset: Dataset, run_key: str) -> None:
    """Stops an attempt of a run that is being removed.

    To be called after the attempt wrote that it is running, and before it reads a plan or a
    done-record.

    Raises:
        RunFailed: the run is being removed, or was left half removed.
    """
    if dataset.store.exists(mark := mark_path(run_key)):
        raise RunFailed(
            "`graphs runs gc` is removing what earlier attempts left",
            f"run {run_key}",
            f"Try again in a moment; if no gc is running, delete {dataset.store.uri_of(mark)!r}",
        )


def mark_path(run_key: str) -> str:
    """Path of the mark of a run that is being removed."""
    return f"{layout.RUNS}/{run_key}/removing"


def run_folder(run_key: str) -> str:
    """Folder of a run's records and rejected rows."""
    return f"{layout.RUNS}/{run_key}"


def snapshot_folder(run_key: str, partition_key: str) -> str:
    """Folder of a run's files; empty where the partition is not known: it has none, then."""
    return f"snapshots/{partition_key}/{run_key}" if partition_key else ""


def remove_run(dataset: Dataset, run_key: str, partition_key: str) -> bool:
    """Removes all that is left of a run that stands in no manifest.

    Returns:
        False where it was left alone: an attempt of it has begun, or was committed, meanwhile.
    """
    store, mark = dataset.store, mark_path(run_key)
    store.put(mark, datetime.now(UTC).isoformat().encode())
    # The proofs go before the files they prove: where a remover was killed, an attempt finds
    # shards pending, and computes them, instead of files missing.
    folders = [
        layout.done_folder(run_key),
        layout.packs_folder(run_key),
        snapshot_folder(run_key, partition_key),
        run_folder(run_key),
    ]
    for folder in filter(None, folders):
        if is_alive(dataset.read_progress(run_key)) or _stands(dataset, run_key, partition_key):
            store.delete(mark)
            return False
        store.delete_many([info.path for info in store.list(folder) if info.path != mark])
    store.delete(mark)
    if store.is_local:
        for folder in filter(None, folders):
            _prune(Path(store.uri, folder))
    return True


def _stands(dataset: Dataset, run_key: str, partition_key: str) -> bool:
    found = dataset.read_manifest(partition_key) if partition_key else None
    if found is None:
        return False
    return run_key in (found[0].run_key, *(replay.run_key for replay in found[0].replays))


def _prune(folder: Path) -> None:
    """Removes a folder and those in it, as far as they are empty; in S3 there are none."""
    for place, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):  # not empty, or somebody was faster
            Path(place).rmdir()
