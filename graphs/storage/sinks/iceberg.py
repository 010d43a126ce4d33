"""An Iceberg table over the snapshot's own files.

The workers write nothing but the snapshot; the driver's commit takes the files of the partition's
earlier run out of the table and puts the new ones in, in one Iceberg snapshot, by name mapping.
In the same transaction the table property ``graphs.partition.<partition key>`` becomes the run key:
that is what a retry looks at first. The transaction requires the branch to be where it was when
the table was looked at, so no two commits can both build on the same state.

The catalog is pyiceberg's, configured where the driver runs; what its configuration leaves open of
S3 comes from the same ``AWS_…`` variables as everywhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from graphs.errors import StorageError
from graphs.spec import IcebergSink, Manifest, ParquetSink
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

_RUN_OF = "graphs.partition."
"""Table property, followed by a partition key: the run whose rows stand for it."""

_DATASET = "graphs.dataset"
"""Table property: the dataset whose snapshots the table lists; no other may write to it."""

_NAME_MAPPING = "schema.name-mapping.default"
"""Columns by name: the snapshot's files have no field ids (Iceberg spec, column projection)."""

_FOOTERS_AT_ONCE = 16


class IcebergWriter:
    """Writes snapshot files, and commits them to a table of a catalog."""

    def __init__(self, sink: IcebergSink, dataset_uri: str) -> None:
        self._sink = sink
        self._dataset = Dataset(dataset_uri)
        self._files = ParquetWriter(ParquetSink(), dataset_uri)
        self._name = f"Iceberg table {sink.table!r} of catalog {sink.catalog!r}"

    def prepare(self, schema: pa.Schema) -> None:
        check_types(schema, _has_type, "Iceberg", self._name)
        with mapped_errors(self._name):
            catalog = self._catalog()
            table = _find(catalog, self._sink.table) or self._make(catalog, schema)
            self._check_owner(table)
            self._check_columns(table, schema)

    def write(self, table: pa.Table, *, partition_key: str, run_key: str, name: str) -> Written:
        return self._files.write(table, partition_key=partition_key, run_key=run_key, name=name)

    def discard(self, written: Written) -> None:
        self._files.discard(written)

    def commit(self, manifest: Manifest, fragments: Sequence[str], before: Manifest | None) -> None:
        files = table_files(self._dataset, manifest)
        with mapped_errors(self._name):
            catalog = self._catalog()
            is_missing = _find(catalog, self._sink.table) is None
        if is_missing:
            self.prepare(schema_of(self._dataset, manifest))

        def look() -> _Look:
            with mapped_errors(self._name):
                table = catalog.load_table(self._sink.table)
                self._check_owner(table)
                return _Look(table, self._name, manifest, _folder(self._dataset.uri), files)

        earlier = rows_by_run(table_files(self._dataset, before))
        commit_once(look, manifest, before, earlier, self._name)

    def _catalog(self) -> Any:
        name = self._sink.catalog
        load_catalog = library("pyiceberg.catalog", "iceberg").load_catalog
        # Read anew, not as it was when pyiceberg was imported first.
        configured = library("pyiceberg.utils.config", "iceberg").Config().get_catalog_config(name)
        if configured is None:
            raise StorageError(
                f"no catalog {name!r} is configured here",
                self._name,
                f"Set PYICEBERG_CATALOG__{name.upper()}__URI (and what else it needs) where the "
                "run's driver runs, or write it into ~/.pyiceberg.yaml",
            )
        return load_catalog(name, **(_s3_of_environment() | configured))

    def _make(self, catalog: Any, schema: pa.Schema) -> Any:
        errors = library("pyiceberg.exceptions", "iceberg")
        namespace = self._sink.table.rpartition(".")[0]
        try:
            catalog.create_namespace_if_not_exists(namespace)
            table = catalog.create_table(
                self._sink.table, plain_schema(schema), properties={_DATASET: self._dataset.uri}
            )
        except errors.TableAlreadyExistsError:  # a twin was quicker
            return catalog.load_table(self._sink.table)
        return table

    def _check_owner(self, table: Any) -> None:
        owner = table.properties.get(_DATASET, self._dataset.uri)
        if owner != self._dataset.uri:
            raise StorageError(
                f"it lists the snapshots of dataset {owner!r}, this run writes dataset "
                f"{self._dataset.uri!r}",
                self._name,
                "Give each dataset a table of its own",
            )

    def _check_columns(self, table: Any, schema: pa.Schema) -> None:
        to_iceberg = library("pyiceberg.io.pyarrow", "iceberg").pyarrow_to_schema
        theirs = {field.name: field for field in table.schema().fields}
        unknown = sorted(set(schema.names) - set(theirs))
        missing = sorted(n for n, f in theirs.items() if f.required and n not in schema.names)
        problems = [f"it has no column {name!r}" for name in unknown]
        problems += [f"its column {name!r} is required, the graph has none" for name in missing]
        if not unknown:
            ours = to_iceberg(plain_schema(schema), name_mapping=table.schema().name_mapping)
            problems += [
                f"its column {field.name!r} is {theirs[field.name].field_type}, the graph's is "
                f"{field.field_type}"
                for field in ours.fields
                if theirs[field.name].field_type != field.field_type
            ]
        if problems:
            raise StorageError(
                "; ".join(problems), self._name, "Alter the table, or write to another one"
            )


@dataclass(frozen=True, slots=True)
class _Look:
    """The table at one of its snapshots."""

    table: Any
    name: str
    manifest: Manifest
    folder: str
    files: Mapping[str, int]

    def is_done(self) -> bool:
        return self._recorded == self.manifest.run_key

    @property
    def _recorded(self) -> str | None:
        recorded: str | None = self.table.properties.get(_RUN_OF + self.manifest.partition_key)
        return recorded

    def rows(self) -> dict[str, int]:
        with mapped_errors(self.name):
            start = len(self.folder) + 1
            found = rows_by_run({f.file_path[start:]: f.record_count for f in self._there()})
        return {self._recorded: 0, **found} if self._recorded else found

    def changed_after(self, moment: datetime) -> bool:
        recent = (s for s in self.table.snapshots() if s.timestamp_ms > moment.timestamp() * 1000)
        return any(
            snapshot.summary is not None
            and snapshot.summary.additional_properties.get("graphs.partition-key")
            == self.manifest.partition_key
            for snapshot in recent
        )

    def replace(self) -> None:
        errors = library("pyiceberg.exceptions", "iceberg")
        # pyiceberg would build the same files onto whatever state it finds; only a look decides.
        self.table.metadata.properties["commit.retry.num-retries"] = "0"
        with mapped_errors(self.name):
            wanted = {f"{self.folder}/{path}" for path in self.files}
            there = {file.file_path: file for file in self._there()}
            try:
                self._commit(
                    [file for path, file in there.items() if path not in wanted],
                    sorted(wanted - set(there)),
                )
            except errors.CommitFailedException as error:
                raise Raced from error

    def _commit(self, removed: Sequence[Any], added: Sequence[str]) -> None:
        """One Iceberg snapshot, required to follow the one that was looked at."""
        summary = {
            "graphs.run-key": self.manifest.run_key,
            "graphs.partition-key": self.manifest.partition_key,
            "graphs.version": self.manifest.version,
        }
        properties = {
            _RUN_OF + self.manifest.partition_key: self.manifest.run_key,
            _DATASET: self.table.properties.get(_DATASET, _uri(self.folder)),
        }
        if self.table.name_mapping() is None:
            properties[_NAME_MAPPING] = self.table.schema().name_mapping.model_dump_json()
        data_file = library("pyiceberg.io.pyarrow", "iceberg").parquet_file_to_data_file
        with self.table.transaction() as transaction:
            transaction.set_properties(properties)
            metadata = transaction.table_metadata
            with (
                ThreadPoolExecutor(_FOOTERS_AT_ONCE) as readers,
                transaction.update_snapshot(snapshot_properties=summary).overwrite() as update,
            ):
                for file in removed:
                    update.delete_data_file(file)
                for file in readers.map(lambda p: data_file(self.table.io, metadata, p), added):
                    update.append_data_file(file)

    def _there(self) -> Iterator[Any]:
        """The partition's files that the table lists, of whatever run."""
        prefix = f"{self.folder}/snapshots/{self.manifest.partition_key}/"
        for task in self.table.scan().plan_files():
            if task.file.file_path.startswith(prefix):
                yield task.file


def _find(catalog: Any, table: str) -> Any | None:
    errors = library("pyiceberg.exceptions", "iceberg")
    try:
        return catalog.load_table(table)
    except (errors.NoSuchTableError, errors.NoSuchNamespaceError):
        return None


def _folder(dataset_uri: str) -> str:
    """The dataset's URI as Iceberg writes it into its metadata, for every engine to read."""
    return dataset_uri if "://" in dataset_uri else f"file://{dataset_uri}"


def _uri(folder: str) -> str:
    return folder.removeprefix("file://")


def _s3_of_environment() -> dict[str, str]:
    """Endpoint and region for pyiceberg's files; credentials it finds in the environment itself."""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    found = {"s3.endpoint": os.environ.get("AWS_ENDPOINT_URL"), "s3.region": region}
    return {name: value for name, value in found.items() if value}


def _has_type(kind: pa.DataType) -> bool:
    """Whether Iceberg (format 2) keeps a plain type's values: specification, "Primitive Types"."""
    import pyarrow.types as types

    if types.is_timestamp(kind):
        return kind.unit != "ns" and kind.tz in (None, "UTC", "+00:00", "Etc/UTC", "Z")
    return bool(
        types.is_boolean(kind)
        or types.is_signed_integer(kind)
        or types.is_float32(kind)
        or types.is_float64(kind)
        or types.is_date32(kind)
        or (types.is_time64(kind) and kind.unit == "us")
        or types.is_decimal128(kind)
    )
