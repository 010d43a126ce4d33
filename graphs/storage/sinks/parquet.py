"""The snapshot's own files, each one put of encoded bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from graphs.spec import DataFile, Manifest, ParquetSink
from graphs.storage.objects import Store
from graphs.storage.sinks.base import Written
from graphs.storage.snapshots import data_path

if TYPE_CHECKING:
    import pyarrow as pa


class ParquetWriter:
    """Writes a dataset's snapshot files. They become visible with the manifest, by nothing else."""

    def __init__(self, sink: ParquetSink, dataset_uri: str, *, copies: Store | None = None) -> None:
        """Opens the dataset; with ``copies``, each file is put there as well, at the same path."""
        self._sink = sink
        own = Store.open(dataset_uri)
        self._stores = (own,) if copies is None else (own, copies)

    def prepare(self, schema: pa.Schema) -> None:
        """Does nothing: a folder needs no making, and Parquet has every Arrow type or its like."""

    def write(self, table: pa.Table, *, partition_key: str, run_key: str, name: str) -> Written:
        from graphs.storage.sinks.encoding import encoded_files

        files = []
        for number, file in enumerate(encoded_files(table, self._sink)):
            path = snapshot_path(partition_key, run_key, name, number)
            for store in self._stores:
                store.put(path, file.data)
            files.append(DataFile(path=path, rows=file.rows, bytes=file.bytes))
        return Written(tuple(files))

    def discard(self, written: Written) -> None:
        for store in self._stores:
            for file in written.files:
                store.delete(file.path)

    def commit(self, manifest: Manifest, fragments: Sequence[str], before: Manifest | None) -> None:
        """Does nothing: the manifest is the commit."""


def snapshot_path(partition_key: str, run_key: str, name: str, number: int) -> str:
    """Path of an attempt's file below the dataset; only the first has no number in its name."""
    shard, _, attempt = name.partition("-")
    return data_path(partition_key, run_key, shard, f"{attempt}-{number}" if number else attempt)
