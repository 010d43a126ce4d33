"""The rows that parity asks about: keys of a snapshot, with the inputs they were computed from."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from graphs.errors import GateFailed
from graphs.spec import DataFile, Manifest
from graphs.storage.inputs import Source
from graphs.storage.layout import maker_of
from graphs.storage.parquet import concatenated
from graphs.storage.snapshots import Dataset

_FILES = 16
"""Files a sample is drawn from, at most: so that its cost does not grow with the snapshot."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The same keys in the same order: what went in, and what came out offline."""

    inputs: pa.Table
    offline: pa.Table

    def first(self, rows: int) -> Sample:
        """A part of the sample."""
        return Sample(self.inputs.slice(0, rows), self.offline.slice(0, rows))


def draw(dataset: Dataset, manifest: Manifest, size: int, input_schema: pa.Schema) -> Sample:
    """Draw keys by smallest hash, so every attempt at a promotion asks about the same rows.

    Keys that are null or name several rows are left out: their answers could not be matched.

    Args:
        dataset: where the snapshot is.
        manifest: the snapshot.
        size: rows of the sample, at most.
        input_schema: what the graph reads, its key among it.

    Raises:
        GateFailed: no key of the snapshot names one row.
        InputChanged: the input is not any more what the snapshot was computed from.
    """
    filled = (file for file in dataset.files(manifest).to_pylist() if file["rows"])
    files = [
        DataFile.model_validate(file)
        for file in heapq.nsmallest(_FILES, filled, key=lambda file: _hash(file["path"]))
    ]
    # Twice the size, because some keys may turn out to name several rows.
    keys = _smallest(_keys(dataset, manifest, files), 2 * size)
    wanted = pa.array(keys, input_schema.field(manifest.key).type)
    found = [
        (file, rows)
        for file in files
        if (rows := _rows_of(_read(dataset, manifest, [file]), manifest.key, wanted)).num_rows
    ]
    offline = concatenated([rows for _, rows in found]) if found else None
    inputs = _inputs(dataset, manifest.key, [file for file, _ in found], input_schema, wanted)
    if offline is not None and inputs is not None:
        unique = _unique(offline, manifest.key) & _unique(inputs, manifest.key)
        kept = [key for key in keys if key in unique][:size]
        if kept:
            return Sample(
                _ordered(inputs, manifest.key, kept), _ordered(offline, manifest.key, kept)
            )
    raise GateFailed(
        f"no value of the key column {manifest.key!r} names exactly one row, so online answers "
        "cannot be compared with offline rows",
        dataset.manifest_uri(manifest.partition_key),
        "Choose a key column that is unique",
    )


def _keys(dataset: Dataset, manifest: Manifest, files: Sequence[DataFile]) -> Iterable[Any]:
    for file in files:
        column = _read(dataset, manifest, [file], [manifest.key]).column(manifest.key)
        yield from (key for key in column.unique().to_pylist() if key is not None)


def _smallest(keys: Iterable[Any], size: int) -> list[Any]:
    """The keys of smallest hash, each once."""
    return heapq.nsmallest(size, dict.fromkeys(keys), key=lambda key: _hash(repr(key)))


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()


def _read(
    dataset: Dataset,
    manifest: Manifest,
    files: Sequence[DataFile],
    columns: Sequence[str] | None = None,
) -> pa.Table:
    part = manifest.model_copy(update={"files": tuple(files), "files_at": None})
    return dataset.read_snapshot(part, columns)


def _inputs(
    dataset: Dataset, key: str, files: Sequence[DataFile], schema: pa.Schema, wanted: pa.Array
) -> pa.Table | None:
    """The input rows with the wanted keys, of the shards that some files were computed from."""
    makers: dict[str, set[str]] = {}
    for run_key, shard in map(maker_of, (file.path for file in files)):
        makers.setdefault(run_key, set()).add(shard)
    tables = []
    for run_key, ids in makers.items():
        found = dataset.read_plan(run_key)
        if found is None:
            continue
        plan, shards = found
        source = Source.open(plan.input)
        tables += [
            _rows_of(source.read(shards[i], schema.names, schema, "skip").table, key, wanted)
            for i in map(shards.index_of, sorted(ids))
        ]
    return concatenated(tables) if tables else None


def _rows_of(table: pa.Table, key: str, wanted: pa.Array) -> pa.Table:
    return table.filter(pc.is_in(table.column(key), value_set=wanted))


def _unique(table: pa.Table, key: str) -> set[Any]:
    counts = Counter(table.column(key).to_pylist())
    return {value for value, count in counts.items() if count == 1}


def _ordered(table: pa.Table, key: str, keys: Sequence[Any]) -> pa.Table:
    place = {value: row for row, value in enumerate(table.column(key).to_pylist())}
    return table.take(pa.array([place[value] for value in keys], pa.int64()))
