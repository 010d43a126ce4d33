"""A snapshot's list of files reads the same from the manifest and from an object beside it."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from graphs.errors import StorageError
from graphs.spec import Counts, DataFile, Input, Manifest
from graphs.storage.file_lists import SCHEMA, listed, records
from graphs.storage.parquet import encode_table
from graphs.storage.snapshots import Dataset, data_path, rejected_path

KEY, RUN = "2026-01-01", "r1"


def manifest(**lists: object) -> Manifest:
    return Manifest(
        run_key=RUN,
        graph="g",
        version="v1",
        key="id",
        partition_key=KEY,
        input=Input(uri="in"),
        counts=Counts(),
        statistics={},
        committed_at=datetime.now(UTC),
        **lists,
    )


def written(dataset: Dataset, *, is_rejected: bool = False) -> tuple[DataFile, ...]:
    """Three files of one row each."""
    files = []
    for number in range(3):
        path = (
            rejected_path(RUN, f"{number:05d}", "a")
            if is_rejected
            else data_path(KEY, RUN, f"{number:05d}", "a")
        )
        data = encode_table(pa.table({"id": [f"{'bad' if is_rejected else 'r'}{number}"]}))
        dataset.store.put(path, data)
        files.append(DataFile(path=path, rows=1, bytes=len(data)))
    return tuple(files)


@pytest.mark.parametrize("is_inline", [True, False])
def test_files_and_rejected_files_are_told_apart(root: str, is_inline: bool) -> None:
    dataset = Dataset(root)
    files, rejected = written(dataset), written(dataset, is_rejected=True)
    if is_inline:
        committed = manifest(files=files, rejected_files=rejected)
    else:
        at = dataset.write_files(KEY, RUN, listed(files), listed(rejected))
        committed = manifest(files_at=at)
    assert dataset.files(committed).schema == dataset.rejected_files(committed).schema == SCHEMA
    assert records(dataset.files(committed)) == files
    assert records(dataset.rejected_files(committed)) == rejected
    assert dataset.read_snapshot(committed).to_pydict() == {"id": ["r0", "r1", "r2"]}
    assert dataset.read_rejected(committed).to_pydict() == {"id": ["bad0", "bad1", "bad2"]}


def test_a_snapshot_without_rejected_rows_has_none_to_read(root: str) -> None:
    dataset = Dataset(root)
    at = dataset.write_files(KEY, RUN, listed(written(dataset)), listed(()))
    assert dataset.read_rejected(manifest(files_at=at)) is None
    assert dataset.read_rejected(manifest()) is None


def test_two_attempts_lists_do_not_overwrite_one_another(root: str) -> None:
    dataset = Dataset(root)
    lists = [dataset.write_files(KEY, RUN, listed(written(dataset)), listed(())) for _ in range(2)]
    assert lists[0].path != lists[1].path
    assert lists[0].path.startswith(f"snapshots/{KEY}/{RUN}/_")


def test_an_object_that_is_no_list_of_files_is_refused_by_name(root: str) -> None:
    dataset = Dataset(root)
    for name, data in {
        "text": b"no parquet",
        "rows": encode_table(pa.table({"path": ["p"], "id": [1]})),
    }.items():
        dataset.store.put(name, data)
        at = manifest(files_at=DataFile(path=name, rows=1, bytes=len(data)))
        with pytest.raises(StorageError, match=f"{name}: is not a list of a snapshot's files"):
            dataset.files(at)
