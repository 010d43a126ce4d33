"""A Lance dataset over fragments that the workers write.

Each shard's rows are one fragment or more, whose files are named after partition, run and attempt;
their metadata travels in the done-records. The driver's commit is one Lance transaction: where the
partition has rows, an *Update* that removes its fragments and adds the new ones (Lance refuses it
when any of them was removed meanwhile); where it has none, a *Merge*, which Lance refuses after any
other change of rows. An *Append* would let two racing first runs both in.

Fragments that no commit names are removed by ``LanceDataset.cleanup_old_versions``, once they are
older than seven days: no run may take longer than that.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from graphs.errors import StorageError
from graphs.spec import LanceSink, Manifest, ParquetSink
from graphs.storage.objects import Store
from graphs.storage.sinks.base import Written, library, mapped_errors
from graphs.storage.sinks.commits import Raced, commit_once
from graphs.storage.sinks.parquet import ParquetWriter
from graphs.storage.sinks.rows import rows_by_run, schema_of, table_files
from graphs.storage.snapshots import Dataset

if TYPE_CHECKING:
    import pyarrow as pa

_BETWEEN = "@"
"""Parts the names of fragment files; no partition key holds it."""

_DATASET = "graphs.dataset"
"""Table metadata: the dataset whose snapshots the table holds; no other may write to it."""


class LanceWriter:
    """Writes snapshot files and fragments, and commits these to a Lance dataset."""

    def __init__(self, sink: LanceSink, dataset_uri: str) -> None:
        self._dataset = Dataset(dataset_uri)
        self._table = Store.open(sink.uri)
        self._files = ParquetWriter(ParquetSink(), dataset_uri)
        self._name = f"Lance dataset {self._table.uri}"

    def prepare(self, schema: pa.Schema) -> None:
        library("lance", "lance")
        with mapped_errors(self._name):
            table = self._find() or self._make(schema)
            self._check_owner(table)
            self._check_columns(table, schema)

    def write(self, table: pa.Table, *, partition_key: str, run_key: str, name: str) -> Written:
        library("lance", "lance")
        files = self._files.write(table, partition_key=partition_key, run_key=run_key, name=name)
        if table.num_rows == 0:
            return files
        prefix = _BETWEEN.join((partition_key, run_key, name))
        with mapped_errors(self._name):
            fragments = self._write_fragments(table)
        return Written(files.files, tuple(self._named(fragments, prefix)))

    def discard(self, written: Written) -> None:
        self._files.discard(written)
        for fragment in written.fragments:
            for file in json.loads(fragment)["files"]:
                self._table.delete(f"data/{file['path']}")

    def commit(self, manifest: Manifest, fragments: Sequence[str], before: Manifest | None) -> None:
        library("lance", "lance")
        with mapped_errors(self._name):
            is_missing = self._find() is None
        if is_missing:
            self.prepare(schema_of(self._dataset, manifest))
        wanted = rows_by_run(table_files(self._dataset, manifest))

        def look() -> _Look:
            with mapped_errors(self._name):
                table = self._open()
                self._check_owner(table)
                return _Look(table, self._table, self._name, manifest, fragments, wanted)

        earlier = rows_by_run(table_files(self._dataset, before))
        commit_once(look, manifest, before, earlier, self._name)

    def _write_fragments(self, table: pa.Table) -> Sequence[Any]:
        from lance.fragment import write_fragments

        there = self._find() or self._make(table.schema)
        fragments: Sequence[Any] = write_fragments(table, there, mode="append")
        return fragments

    def _named(self, fragments: Sequence[Any], prefix: str) -> list[str]:
        """Renames the fragments' files, so that the table itself says whose they are."""
        named = []
        for number, fragment in enumerate(fragments):
            metadata = fragment.to_json()
            for file in metadata["files"]:
                name = f"{prefix}{_BETWEEN}{number}.lance"
                _move(self._table, f"data/{file['path']}", f"data/{name}")
                file["path"] = name
            named.append(json.dumps(metadata))
        return named

    def _open(self) -> Any:
        import lance

        return lance.dataset(self._table.uri, storage_options=_s3_of_environment())

    def _find(self) -> Any | None:
        try:
            return self._open()
        except ValueError as error:  # lance has no error of its own for it
            if "was not found" not in str(error):
                raise
            return None

    def _make(self, schema: pa.Schema) -> Any:
        import lance

        try:
            table = lance.write_dataset(
                schema.remove_metadata().empty_table(),
                self._table.uri,
                mode="create",
                storage_options=_s3_of_environment(),
            )
        except OSError:  # a twin was quicker
            if self._find() is None:
                raise
        else:
            table.update_metadata({_DATASET: self._dataset.uri})
        return self._open()

    def _check_owner(self, table: Any) -> None:
        owner = table.metadata.get(_DATASET, self._dataset.uri)
        if owner != self._dataset.uri:
            raise StorageError(
                f"it holds the snapshots of dataset {owner!r}, this run writes dataset "
                f"{self._dataset.uri!r}",
                self._name,
                "Give each dataset a table of its own",
            )

    def _check_columns(self, table: Any, schema: pa.Schema) -> None:
        ours = {field.name: field.type for field in schema}
        theirs = {field.name: field.type for field in table.schema}
        problems = [f"it has no column {name!r}" for name in ours if name not in theirs]
        problems += [
            f"its column {name!r} is not the graph's" for name in theirs if name not in ours
        ]
        problems += [
            f"its column {name!r} is {theirs[name]}, the graph's is {kind}"
            for name, kind in ours.items()
            if name in theirs and theirs[name] != kind
        ]
        if problems:
            raise StorageError(
                "; ".join(problems), self._name, "Alter the table, or write to another one"
            )


@dataclass(frozen=True, slots=True)
class _Look:
    """The table at one of its versions."""

    table: Any
    objects: Store
    name: str
    manifest: Manifest
    fragments: Sequence[str]
    wanted: dict[str, int]

    def is_done(self) -> bool:
        return self.rows() == self.wanted

    def rows(self) -> dict[str, int]:
        return _rows_by_run([fragment for fragment, _ in self._there()])

    def changed_after(self, moment: datetime) -> bool:
        with mapped_errors(self.name):
            for version in reversed(self.table.versions()):
                if version["timestamp"].timestamp() <= moment.timestamp():
                    return False
                transaction = self.table.read_transaction(version["version"])
                made_for = transaction and transaction.transaction_properties.get(
                    "graphs.partition-key"
                )
                if made_for == self.manifest.partition_key:
                    return True
        return False

    def replace(self) -> None:
        from lance.commit import CommitConflictError

        with mapped_errors(self.name):
            there = self._there()
            removed = [fragment.id for fragment, run in there if run not in self.wanted]
            added = self._added({_file(fragment) for fragment, _ in there})
            self._check_whole([f for f, run in there if run in self.wanted] + added)
            try:
                self._commit(removed, added)
            except CommitConflictError as error:
                raise Raced from error

    def _commit(self, removed: Sequence[int], added: Sequence[Any]) -> None:
        """One Lance transaction that cannot pass another one of the same partition."""
        from lance import LanceDataset, LanceOperation
        from lance.dataset import Transaction

        operation: Any
        if removed:
            operation = LanceOperation.Update(
                removed_fragment_ids=list(removed), new_fragments=list(added)
            )
        elif added:
            # Ids of 0 are given out by the commit, past the highest that was ever in use.
            kept = [fragment.metadata for fragment in self.table.get_fragments()]
            operation = LanceOperation.Merge([*kept, *added], self.table.lance_schema)
        else:
            return
        properties = {
            "graphs.run-key": self.manifest.run_key,
            "graphs.partition-key": self.manifest.partition_key,
            "graphs.version": self.manifest.version,
        }
        LanceDataset.commit(
            self.table.uri,
            Transaction(self.table.version, operation, transaction_properties=properties),
            storage_options=_s3_of_environment(),
        )

    def _added(self, there: set[str]) -> list[Any]:
        from lance.fragment import FragmentMetadata

        parsed = [FragmentMetadata.from_json(fragment) for fragment in self.fragments]
        added = [fragment for fragment in parsed if _file(fragment) not in there]
        stored = {info.path for info in self.objects.list("data")} if added else set()
        gone = [name for name in map(_file, added) if f"data/{name}" not in stored]
        if gone:
            raise StorageError(
                f"the fragment {gone[0]!r} and {len(gone) - 1} more of run {self.manifest.run_key} "
                "are gone, as cleanup_old_versions removes what was replaced or never committed",
                self.name,
                "Write to another table, or run with another parameter, so that rows are computed "
                "anew",
            )
        return added

    def _check_whole(self, fragments: Sequence[Any]) -> None:
        rows = _rows_by_run(fragments)
        short = sorted(run for run in self.wanted if rows.get(run) != self.wanted[run])
        if short:
            raise StorageError(
                f"of the rows of run {', '.join(short)} that the snapshot keeps, some have no "
                "fragments in the table",
                self.name,
                "Replay into the sink that the snapshot was written to",
            )

    def _there(self) -> list[tuple[Any, str]]:
        """The partition's fragments in the table, each with its run."""
        found = []
        for fragment in self.table.get_fragments():
            partition, *rest = _file(fragment.metadata).split(_BETWEEN)
            if rest and partition == self.manifest.partition_key:
                found.append((fragment.metadata, rest[0]))
        return found


def _rows_by_run(fragments: Sequence[Any]) -> dict[str, int]:
    rows: Counter[str] = Counter()
    for fragment in fragments:
        rows[_file(fragment).split(_BETWEEN)[1]] += fragment.physical_rows
    return dict(rows)


def _move(store: Store, path: str, to: str) -> None:
    store.put(to, store.read(path))
    store.delete(path)


def _file(fragment: Any) -> str:
    """Name of a fragment's first file; columns that were added later are in further ones."""
    return str(fragment.files[0].path)


def _s3_of_environment() -> dict[str, str]:
    """Endpoint for Lance; credentials and region it finds in the environment itself."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    return {"aws_endpoint": endpoint, "allow_http": "true"} if endpoint else {}
