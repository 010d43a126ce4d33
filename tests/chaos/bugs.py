"""Bugs that the commit protocol might have, planted in a driver and in the workers of its job."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pyarrow.parquet as pq

from graphs.spec import DataFile, DoneRecord, Manifest
from graphs.storage.objects import Store
from graphs.storage.snapshots import Dataset

NAME = "CHAOS_BUG"
"""Environment variable that names the bug of a worker."""


def plant(bug: str) -> None:
    """Makes this process wrong in one way."""
    BUGS[bug]()


def plant_named_in_environment() -> None:
    """The same in a worker; Ray calls this when it starts the process."""
    plant(os.environ[NAME])


def done_record_before_data() -> None:
    """A shard's data files are put only after its done-record."""
    held: dict[str, Any] = {}
    put, write_done = Store.put, Dataset.write_done

    def later(self: Store, path: str, data: Any) -> str:
        if not path.startswith("snapshots/"):
            return put(self, path, data)
        held[path] = bytes(data)
        return "no etag yet"

    def then_data(self: Dataset, record: DoneRecord) -> DoneRecord:
        published = write_done(self, record)
        for file in record.files:
            put(self.store, file.path, held.pop(file.path))
        return published

    _replace(Store, "put", later)
    _replace(Dataset, "write_done", then_data)


def manifest_without_condition() -> None:
    """The manifest is put whatever is there."""
    create, replace = Store.create, Store.replace

    def created(self: Store, path: str, data: bytes) -> str:
        return self.put(path, data) if _is_manifest(path) else create(self, path, data)

    def replaced(self: Store, path: str, data: bytes, etag: str) -> str:
        return self.put(path, data) if _is_manifest(path) else replace(self, path, data, etag)

    _replace(Store, "create", created)
    _replace(Store, "replace", replaced)


def files_by_prefix() -> None:
    """The manifest lists whatever files lie in the run's folder, in place of its done-records'."""
    commit = Dataset.commit

    def listed(self: Dataset, manifest: Manifest, replacing: str | None) -> Manifest:
        prefix = f"snapshots/{manifest.partition_key}/{manifest.run_key}"
        files = tuple(_as_file(self.store, info.path) for info in self.store.list(prefix))
        return commit(self, manifest.model_copy(update={"files": files}), replacing)

    _replace(Dataset, "commit", listed)


def run_key_without_version() -> None:
    """A run goes by the same name after its graph has changed, and so resumes what is no longer
    its own."""
    import_module("graphs.runtimes.ray_data.driver")
    right = import_module("graphs.storage.inputs").run_key

    def wrong(version: str, *others: Any, **more: Any) -> Any:
        return right("any", *others, **more)

    for name, module in [*sys.modules.items()]:
        if name.startswith("graphs.") and getattr(module, "run_key", None) is right:
            _replace(module, "run_key", wrong)


BUGS: dict[str, Callable[[], None]] = {
    bug.__name__: bug
    for bug in (
        done_record_before_data,
        manifest_without_condition,
        files_by_prefix,
        run_key_without_version,
    )
}


def _replace(owner: Any, name: str, by: Callable[..., Any]) -> None:
    setattr(owner, name, by)


def _is_manifest(path: str) -> bool:
    return path.startswith("manifests/")


def _as_file(store: Store, path: str) -> DataFile:
    data = store.read(path)
    return DataFile(path=path, rows=pq.read_metadata(io.BytesIO(data)).num_rows, bytes=len(data))
