"""A Delta table over copies of the snapshot's files.

Delta's files lie below the table's own folder, so workers put each snapshot file there a second
time, at the same path. The driver's commit is one Delta transaction that removes the files of the
partition's earlier run and adds the new ones. It carries a Delta ``txn`` of application
``graphs/<partition key>`` with the next version: of two writers that start from the same state
Delta's own conflict check refuses the second (protocol, "Transaction Identifiers"), even where
neither removes a file of the other.

Copies that no commit names are removed by Delta's ``VACUUM``, once they are older than its
retention; keep that longer than a run can take.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from graphs.errors import StorageError
from graphs.spec import DeltaSink, Manifest, ParquetSink
from graphs.storage.objects import Store
from graphs.storage.sinks.base import Written, library, mapped_errors
from graphs.storage.sinks.commits import Raced, commit_once
from graphs.storage.sinks.parquet import ParquetWriter
from graphs.storage.sinks.rows import (
    check_types,
    plain_schema,
    rows_by_run,
    schema_of,
    table_files,
)
from graphs.storage.snapshots import Dataset

if TYPE_CHECKING:
    import pyarrow as pa

_DATASET = "graphs.dataset"
"""Table property: the dataset whose snapshots the table holds; no other may write to it."""

_HISTORY = 1000
"""Commits looked back at to see when a rival's was made; ten minutes of a busy table."""


class DeltaWriter:
    """Writes snapshot files and their copies, and commits these to a Delta table."""

    def __init__(self, sink: DeltaSink, dataset_uri: str) -> None:
        self._dataset = Dataset(dataset_uri)
        self._table = Store.open(sink.uri)
        self._files = ParquetWriter(ParquetSink(), dataset_uri, copies=self._table)
        self._name = f"Delta table {self._table.uri}"

    def prepare(self, schema: pa.Schema) -> None:
        check_types(schema, _has_type, "Delta", self._name)
        library("deltalake", "delta")
        with mapped_errors(self._name):
            table = self._find() or self._make(schema)
            self._check_owner(table)
            self._check_columns(table, schema)

    def write(self, table: pa.Table, *, partition_key: str, run_key: str, name: str) -> Written:
        return self._files.write(table, partition_key=partition_key, run_key=run_key, name=name)

    def discard(self, written: Written) -> None:
        self._files.discard(written)

    def commit(self, manifest: Manifest, fragments: Sequence[str], before: Manifest | None) -> None:
        library("deltalake", "delta")
        files = table_files(self._dataset, manifest, or_one=True)
        with mapped_errors(self._name):
            is_missing = self._find() is None
        if is_missing:
            self.prepare(schema_of(self._dataset, manifest))

        def look() -> _Look:
            with mapped_errors(self._name):
                table = self._open()
                self._check_owner(table)
                return _Look(table, self._table, self._dataset.store, self._name, manifest, files)

        earlier = rows_by_run(table_files(self._dataset, before, or_one=True))
        commit_once(look, manifest, before, earlier, self._name)

    def _open(self) -> Any:
        from deltalake import DeltaTable

        return DeltaTable(self._table.uri, storage_options=_s3_of_environment())

    def _find(self) -> Any | None:
        from deltalake.exceptions import TableNotFoundError

        try:
            return self._open()
        except TableNotFoundError:
            return None

    def _make(self, schema: pa.Schema) -> Any:
        from deltalake import DeltaTable

        # A twin may be quicker; "ignore" leaves its table alone, or the loser is told.
        try:
            DeltaTable.create(
                self._table.uri,
                plain_schema(schema),
                mode="ignore",
                configuration={_DATASET: self._dataset.uri},
                storage_options=_s3_of_environment(),
                raise_if_key_not_exists=False,
            )
        except Exception:
            if self._find() is None:
                raise
        return self._open()

    def _check_owner(self, table: Any) -> None:
        owner = table.metadata().configuration.get(_DATASET, self._dataset.uri)
        if owner != self._dataset.uri:
            raise StorageError(
                f"it holds the snapshots of dataset {owner!r}, this run writes dataset "
                f"{self._dataset.uri!r}",
                self._name,
                "Give each dataset a table of its own",
            )

    def _check_columns(self, table: Any, schema: pa.Schema) -> None:
        from deltalake import Schema

        theirs = {field.name: field for field in table.schema().fields}
        ours = {field.name: field for field in Schema.from_arrow(plain_schema(schema)).fields}
        problems = [f"it has no column {name!r}" for name in ours if name not in theirs]
        problems += [
            f"its column {name!r} is {theirs[name].type}, the graph's is {ours[name].type}"
            for name in ours
            if name in theirs and theirs[name].type != ours[name].type
        ]
        problems += [
            f"its column {name!r} may not be null, the graph has none"
            for name, field in theirs.items()
            if name not in ours and not field.nullable
        ]
        if table.metadata().partition_columns:
            problems.append(f"it is partitioned by {', '.join(table.metadata().partition_columns)}")
        if problems:
            raise StorageError(
                "; ".join(problems), self._name, "Alter the table, or write to another one"
            )


@dataclass(frozen=True, slots=True)
class _Look:
    """The table at one of its versions."""

    table: Any
    copies: Store
    snapshot: Store
    name: str
    manifest: Manifest
    files: Mapping[str, int]

    def is_done(self) -> bool:
        return self.rows() == rows_by_run(self.files)

    def rows(self) -> dict[str, int]:
        with mapped_errors(self.name):
            return rows_by_run(self._there())

    def changed_after(self, moment: datetime) -> bool:
        with mapped_errors(self.name):
            history = self.table.history(_HISTORY)
        return any(
            entry.get("graphs.partition-key") == self.manifest.partition_key
            and entry["timestamp"] > moment.timestamp() * 1000
            for entry in history
        )

    def replace(self) -> None:
        from deltalake.exceptions import CommitFailedError

        with mapped_errors(self.name):
            there, wanted = set(self._there()), set(self.files)
            try:
                self._commit(sorted(there - wanted), sorted(wanted - there))
            except CommitFailedError as error:
                raise Raced from error

    def _commit(self, removed: Sequence[str], added: Sequence[str]) -> None:
        """One Delta commit; refused when the partition's ``txn`` moved since the look."""
        from deltalake import CommitProperties, Transaction
        from deltalake.transaction import AddAction, RemoveAction

        now = int(time.time() * 1000)
        sizes = self._sizes(added)
        actions: list[AddAction | RemoveAction] = [
            RemoveAction(path, True, now, partition_values={}) for path in removed
        ]
        actions += [
            AddAction(
                path=path,
                size=sizes[path],
                partition_values={},
                modification_time=now,
                data_change=True,
                stats=json.dumps({"numRecords": self.files[path]}),
            )
            for path in added
        ]
        application = f"graphs/{self.manifest.partition_key}"
        version = (self.table.transaction_version(application) or 0) + 1
        self.table.create_write_transaction(
            actions,
            "append",
            self.table.schema(),
            commit_properties=CommitProperties(
                custom_metadata={
                    "graphs.run-key": self.manifest.run_key,
                    "graphs.partition-key": self.manifest.partition_key,
                    "graphs.version": self.manifest.version,
                },
                app_transactions=[Transaction(application, version)],
            ),
        )

    def _there(self) -> dict[str, int]:
        """The partition's files that the table lists, of whatever run."""
        import pyarrow as pa

        prefix = f"snapshots/{self.manifest.partition_key}/"
        listed = pa.table(self.table.get_add_actions())
        rows = zip(listed["path"].to_pylist(), listed["num_records"].to_pylist(), strict=True)
        return {path: count or 0 for path, count in rows if path.startswith(prefix)}

    def _sizes(self, added: Sequence[str]) -> dict[str, int]:
        """Sizes of the copies; one that ``VACUUM`` took since the run wrote it is made again."""
        folders = {path.rpartition("/")[0] for path in added}
        sizes = {i.path: i.size for folder in folders for i in self.copies.list(folder)}
        for path in added:
            if path not in sizes:
                data = self.snapshot.read(path)
                self.copies.put(path, data)
                sizes[path] = len(data)
        return sizes


def _s3_of_environment() -> dict[str, str]:
    """Endpoint for deltalake; credentials and region it finds in the environment itself."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    return {"AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true"} if endpoint else {}


def _has_type(kind: pa.DataType) -> bool:
    """Whether Delta keeps a plain type's values: protocol, "Primitive Types"."""
    import pyarrow.types as types

    if types.is_timestamp(kind):
        # Without a zone it needs a table feature that is not every reader's; deltalake turns it on.
        return kind.unit == "us" and kind.tz in (None, "UTC", "+00:00", "Etc/UTC", "Z")
    return bool(
        types.is_boolean(kind)
        or types.is_signed_integer(kind)
        or types.is_float32(kind)
        or types.is_float64(kind)
        or types.is_date32(kind)
        or types.is_decimal128(kind)
    )
