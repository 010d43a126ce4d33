"""What a dataset's records say of its runs, put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar

from graphs.errors import ObjectNotFound
from graphs.spec import Manifest, Progress, RunRecord
from graphs.storage.removal import is_alive
from graphs.storage.snapshots import Dataset

State = Literal["committed", "replayed", "replaced", "running", "failed", "abandoned"]
"""``replayed``: its rows stand beside those of the run that replayed it; ``replaced``: it was
committed before another run was; ``abandoned``: it neither ended nor shows a sign of life."""

_READERS = 16
"""Requests in flight; they wait on the network."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Run:
    """One run, by its records."""

    key: str
    state: State
    record: RunRecord | None
    """``None`` where it was left by a version of graphs that kept none."""

    progress: Progress | None
    manifest: Manifest | None
    """The commit, while the run's snapshot stands."""

    @property
    def partition_key(self) -> str:
        if self.manifest is not None:
            return self.manifest.partition_key
        return self.record.spec.partition_key if self.record else ""

    @property
    def version(self) -> str:
        if self.manifest is not None:
            return self.manifest.version
        return self.record.version if self.record else ""

    @property
    def graph(self) -> str:
        if self.manifest is not None:
            return self.manifest.graph
        return self.record.spec.graph if self.record else ""

    @property
    def when(self) -> datetime | None:
        """When it was committed, or else when it was last heard of."""
        if self.manifest is not None:
            return self.manifest.committed_at
        if self.progress is not None and self.progress.updated_at is not None:
            return self.progress.updated_at
        return self.record.started_at if self.record else None

    @property
    def shards(self) -> tuple[int, int]:
        """How many are done, and how many there are."""
        if self.manifest is not None:
            return self.manifest.shards, self.manifest.shards
        return (self.progress.shards_done, self.progress.shards) if self.progress else (0, 0)

    @property
    def rows(self) -> int | None:
        """Rows that went in, so far; ``None`` where nothing tells."""
        if self.manifest is not None:
            return self.manifest.counts.rows_in
        return self.progress.rows_done if self.progress else None

    @property
    def rejected(self) -> int:
        """Rows that were rejected, so far."""
        if self.manifest is not None:
            return self.manifest.counts.rows_rejected
        return self.progress.rejected if self.progress else 0


def runs_of(dataset: Dataset, partition_key: str | None = None) -> list[Run]:
    """Every run of a dataset, or of one of its partitions, the latest first."""
    partitions = dataset.partition_keys() if partition_key is None else [partition_key]
    manifests = [found[0] for found in _each(dataset.read_manifest, partitions) if found]
    standing = {manifest.run_key: manifest for manifest in manifests}
    replayed = {replay.run_key for manifest in manifests for replay in manifest.replays}
    keys = sorted({*dataset.run_keys(), *standing})
    runs = _each(lambda key: _run(dataset, key, standing.get(key), key in replayed), keys)
    wanted = [run for run in runs if partition_key in (None, run.partition_key)]
    return sorted(wanted, key=lambda run: run.when.timestamp() if run.when else 0.0, reverse=True)


def find_run(dataset: Dataset, given: str) -> Run:
    """The run of that key, or the only one whose key begins so.

    Raises:
        ObjectNotFound: there is none, or more than one.
    """
    keys = [key for key in dataset.run_keys() if key.startswith(given)]
    if given in keys:
        keys = [given]
    if len(keys) != 1:
        raise ObjectNotFound(
            f"{len(keys)} runs have keys that begin with {given!r}" if keys else "no such run",
            f"dataset {dataset.uri!r}" if keys else f"run {given!r} of dataset {dataset.uri!r}",
            f"`graphs runs ls {dataset.uri}` lists what there is",
        )
    found = _run(dataset, keys[0], None, is_replayed=False)
    if not found.partition_key or (committed := dataset.read_manifest(found.partition_key)) is None:
        return found
    manifest = committed[0]
    is_replayed = found.key in {replay.run_key for replay in manifest.replays}
    return _run(
        dataset, found.key, manifest if manifest.run_key == found.key else None, is_replayed
    )


def _run(dataset: Dataset, key: str, manifest: Manifest | None, is_replayed: bool) -> Run:
    record, progress = dataset.read_run(key), dataset.read_progress(key)
    return Run(key, _state(progress, manifest, is_replayed), record, progress, manifest)


def _state(progress: Progress | None, manifest: Manifest | None, is_replayed: bool) -> State:
    # The manifest decides: a driver can be killed between the commit and saying so.
    if manifest is not None:
        return "committed"
    if is_replayed:
        return "replayed"
    if progress is None:
        return "abandoned"
    if progress.state == "committed":
        return "replaced"
    if progress.state == "failed":
        return "failed"
    return "running" if is_alive(progress) else "abandoned"


def _each(read: Callable[[T], R], items: Iterable[T]) -> list[R]:
    with ThreadPoolExecutor(_READERS) as readers:
        return list(readers.map(read, items))
