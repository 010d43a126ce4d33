"""What a dataset no longer needs: runs that stand nowhere any more, and files that nothing names.

Only ``runs/<run key>/`` and ``snapshots/<partition>/<run key>/`` are ever touched. Reports and job
outcomes stay: they are small, and links lead to them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from graphs.errors import StorageError
from graphs.spec import Manifest
from graphs.storage import layout
from graphs.storage.aliases import Registry
from graphs.storage.objects import ObjectInfo
from graphs.storage.removal import (
    MARK_COUNTS_FOR,
    is_alive,
    mark_path,
    refuse_if_removed,
    remove_run,
    run_folder,
    snapshot_folder,
)
from graphs.storage.snapshots import Dataset

__all__ = ["Findings", "Garbage", "find_garbage", "refuse_if_removed", "remove"]

Kept = Literal[
    "its snapshot stands",
    "its rows stand in a replay's snapshot",
    "is being computed",
    "an alias or a release names its version",
    "an Iceberg table may name its files",
    "a run that stays needs it",
    "its records cannot be read",
    "younger than the bound",
]
"""Why a run stays."""

_READERS = 16
"""Requests in flight; they wait on the network."""

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Garbage:
    """What can go of one run."""

    run_key: str
    partition_key: str
    """Empty where nothing tells any more."""

    orphans: tuple[str, ...] | None
    """Paths of what can go of a run that stays; ``None``: all there is of the run."""

    objects: int
    bytes: int
    newest: datetime


@dataclass(frozen=True, slots=True)
class Findings:
    """What a search found."""

    garbage: tuple[Garbage, ...]
    kept: Mapping[Kept, int]
    """How many runs stay, and why."""


def find_garbage(
    dataset: Dataset,
    older_than: timedelta,
    *,
    registries: Iterable[Registry] = (),
    now: datetime | None = None,
) -> Findings:
    """Looks for what can go; changes nothing.

    A run can go when no manifest names it or a run that replayed it, it shows no sign of life, no
    alias or release under way names its version, and all that has been so for the bound: counted
    from its youngest object and, as readers may still be at it, from the commit that replaced it.
    Of a run whose snapshot stands, the files can go that the manifest does not name: those of
    attempts that lost.

    Args:
        dataset: where to look.
        older_than: the age bound.
        registries: whose aliases and releases keep the runs of the versions they name.
        now: what time it is; for tests.

    Raises:
        StorageError: the store refuses. A run whose records cannot be read stays.
    """
    now = now or datetime.now(UTC)
    before = now - older_than
    in_use = {version for registry in registries for version in registry.versions_in_use()}
    commits = _Commits.of(dataset)
    runs = {run.key: run for run in _look(dataset, commits, now)}
    for run in runs.values():
        run.kept = _why(run, commits, in_use, before)
    _keep_what_they_need(runs)
    garbage = [found for run in runs.values() if (found := _garbage(run, before, now))]
    return Findings(tuple(garbage), Counter(run.kept for run in runs.values() if run.kept))


def remove(dataset: Dataset, findings: Findings) -> Findings:
    """Removes what a search found, each run only if it still can go.

    Returns:
        What was removed.

    Raises:
        StorageError: the store refuses; searching and removing again goes on where this ended.
    """
    removed = []
    for found in findings.garbage:
        if found.orphans is not None:
            dataset.store.delete_many(found.orphans)
        elif not remove_run(dataset, found.run_key, found.partition_key):
            continue
        removed.append(found)
    return Findings(tuple(removed), findings.kept)


@dataclass(slots=True)
class _Commits:
    """What manifests and reports say: which runs stand, and when that began."""

    standing: dict[str, Kept] = field(default_factory=dict)
    moments: dict[str, list[datetime]] = field(default_factory=dict)

    @classmethod
    def of(cls, dataset: Dataset) -> _Commits:
        commits = cls()
        with ThreadPoolExecutor(_READERS) as readers:
            for found in readers.map(dataset.read_manifest, dataset.partition_keys()):
                if found is not None:
                    commits._enter(found[0])
        # A report is written right after the commit, and stays when another run replaces it.
        for info in dataset.store.list("reports"):
            if info.path.endswith(".json") and info.modified is not None:
                commits.moments.setdefault(info.path.split("/")[1], []).append(info.modified)
        return commits

    def _enter(self, manifest: Manifest) -> None:
        for replay in manifest.replays:
            self.standing[replay.run_key] = "its rows stand in a replay's snapshot"
        self.standing[manifest.run_key] = "its snapshot stands"
        self.moments.setdefault(manifest.partition_key, []).append(manifest.committed_at)

    def replaced_at(self, partition_key: str, newest: datetime) -> datetime:
        """When a run may last have stood: another's first commit after its own last object."""
        return min((m for m in self.moments.get(partition_key, ()) if m > newest), default=newest)


@dataclass(slots=True)
class _Run:
    """What is there of a run."""

    key: str
    partition_key: str
    version: str | None = None
    replays: str | None = None
    kept: Kept | None = None
    """Why it stays; until the last step, only what keeps it whatever its age."""

    objects: int = 0
    bytes: int = 0
    newest: datetime = _NEVER
    orphans: list[ObjectInfo] = field(default_factory=list)
    """Where its snapshot stands: the files that the manifest could name, and does not."""

    mark: ObjectInfo | None = None
    """Left by a remover."""


def _look(dataset: Dataset, commits: _Commits, now: datetime) -> list[_Run]:
    places = dict.fromkeys(dataset.run_keys(), "")
    for partition_key in dataset.store.folders("snapshots"):
        for key in dataset.store.folders(f"snapshots/{partition_key}"):
            places[key] = partition_key

    def look(key: str) -> _Run:
        run = _Run(key, places[key], kept=commits.standing.get(key))
        _read_records(dataset, run, now)
        _count_objects(dataset, run, now)
        return run

    with ThreadPoolExecutor(_READERS) as readers:
        return list(readers.map(look, sorted(places)))


def _read_records(dataset: Dataset, run: _Run, now: datetime) -> None:
    try:
        record, progress = dataset.read_run(run.key), dataset.read_progress(run.key)
    except StorageError:
        run.kept = run.kept or "its records cannot be read"
        return
    if record is not None:
        run.version, run.replays = record.version, record.spec.replay
        run.partition_key = record.spec.partition_key
        if record.spec.sink.kind == "iceberg":
            run.kept = run.kept or "an Iceberg table may name its files"
    elif (plan := dataset.store.find(layout.plan_path(run.key))) is not None:
        # Made before 0.2, whose plans this version does not read otherwise.
        run.version = json.loads(plan.data).get("version")
    if is_alive(progress, now):
        run.kept = run.kept or "is being computed"


def _count_objects(dataset: Dataset, run: _Run, now: datetime) -> None:
    named = _named(dataset, run)
    for folder in (snapshot_folder(run.key, run.partition_key), run_folder(run.key)):
        for info in dataset.store.list(folder) if folder else ():
            if info.path == mark_path(run.key):
                run.mark = info
                continue
            run.objects, run.bytes = run.objects + 1, run.bytes + info.size
            run.newest = max(run.newest, info.modified or now)
            if named is not None and _is_file(info.path, run.key) and info.path not in named:
                run.orphans.append(info)


def _named(dataset: Dataset, run: _Run) -> set[str] | None:
    """The files that the manifest of a standing run names; ``None`` where the run does not stand.

    Read again, so that only a few lists of files are in memory at once.
    """
    found = dataset.read_manifest(run.partition_key) if run.kept == "its snapshot stands" else None
    if found is None or found[0].run_key != run.key:
        return None
    manifest = found[0]
    named = {manifest.files_at.path} if manifest.files_at is not None else set()
    for files in (dataset.files(manifest), dataset.rejected_files(manifest)):
        named.update(files.column("path").to_pylist())
    return named


def _is_file(path: str, key: str) -> bool:
    return path.startswith(("snapshots/", f"{layout.RUNS}/{key}/rejected/"))


def _why(run: _Run, commits: _Commits, in_use: Collection[str], before: datetime) -> Kept | None:
    """Why a run stays; ``None`` if it can go."""
    if run.kept is not None:
        return run.kept
    if run.version in in_use:
        return "an alias or a release names its version"
    if commits.replaced_at(run.partition_key, run.newest) > before:
        return "younger than the bound"
    return None


def _keep_what_they_need(runs: Mapping[str, _Run]) -> None:
    """A replay's snapshot, or one still to come, has rows of the run that it replays."""
    for run in runs.values():
        base = runs.get(run.replays or "") if run.kept else None
        while base is not None and base.kept is None:
            base.kept = "a run that stays needs it"
            base = runs.get(base.replays or "")


def _garbage(run: _Run, before: datetime, now: datetime) -> Garbage | None:
    if run.kept is None:
        return Garbage(run.key, run.partition_key, None, run.objects, run.bytes, run.newest)
    old = [orphan for orphan in run.orphans if (orphan.modified or now) <= before]
    if run.mark is not None and now - (run.mark.modified or now) > MARK_COUNTS_FOR:
        old.append(run.mark)  # of a remover that died; it would keep attempts of the run out
    if not old:
        return None
    return Garbage(
        run.key,
        run.partition_key,
        tuple(orphan.path for orphan in old),
        len(old),
        sum(orphan.size for orphan in old),
        max(orphan.modified or now for orphan in old),
    )
