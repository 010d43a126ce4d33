"""What a table's commit knows of a snapshot: its files, their runs, its columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types

from graphs.errors import StorageError
from graphs.spec import Manifest
from graphs.storage.snapshots import Dataset


def table_files(
    dataset: Dataset, manifest: Manifest | None, *, or_one: bool = False
) -> dict[str, int]:
    """A snapshot's files that hold rows, by path, with how many; none for no snapshot.

    Args:
        dataset: where the snapshot is.
        manifest: which snapshot.
        or_one: whether a snapshot without rows gives one file all the same, for its run's sake.
    """
    if manifest is None:
        return {}
    files = dataset.files(manifest)
    filled = files.filter(pc.greater(files["rows"], 0))
    listed = filled if filled.num_rows or not or_one else files.slice(0, 1)
    return dict(zip(listed["path"].to_pylist(), listed["rows"].to_pylist(), strict=True))


def rows_by_run(files: Mapping[str, int]) -> dict[str, int]:
    """Rows per run, whose key stands in a file's path: ``snapshots/<partition>/<run>/<name>``."""
    rows: Counter[str] = Counter()
    for path, count in files.items():
        rows[path.split("/")[2]] += count
    return dict(rows)


def schema_of(dataset: Dataset, manifest: Manifest) -> pa.Schema:
    """The columns of a snapshot, by its first file; even a snapshot without rows has one.

    Raises:
        StorageError: it has no files at all.
    """
    from graphs.storage.parquet import decode_table

    files = dataset.files(manifest)
    if files.num_rows == 0:
        raise StorageError(f"the snapshot of run {manifest.run_key} has no files", dataset.uri)
    smallest = files.sort_by("bytes")["path"][0].as_py()
    return decode_table(dataset.store.read(smallest)).schema


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """A schema as tables know it: dictionaries are how values are stored, not their type."""
    fields = [field.with_type(_plain(field.type)).remove_metadata() for field in schema]
    return pa.schema(fields)


def _plain(kind: pa.DataType) -> pa.DataType:
    return _plain(kind.value_type) if types.is_dictionary(kind) else kind


def check_types(
    schema: pa.Schema, has_type: Callable[[pa.DataType], bool], format: str, table: str
) -> None:
    """Refuses columns whose values a table format has no exact type for.

    Args:
        schema: the graph's output.
        has_type: whether the format has a plain type; text, bytes and nesting every format has.
        format: its name.
        table: how errors name the table.

    Raises:
        StorageError: names every such column and its type.
    """
    refused = [
        f"{field.name!r} ({field.type})" for field in schema if not _kept(field.type, has_type)
    ]
    if refused:
        raise StorageError(
            f"{format} has no type for the values of {', '.join(refused)}",
            table,
            "Cast them in the graph's last node: unsigned integers to signed ones, nanoseconds to "
            "microseconds, other time zones to UTC",
        )


def _kept(kind: pa.DataType, has_type: Callable[[pa.DataType], bool]) -> bool:
    if types.is_dictionary(kind):
        return _kept(kind.value_type, has_type)
    if types.is_nested(kind):
        if types.is_union(kind):
            return False
        return all(_kept(kind.field(index).type, has_type) for index in range(kind.num_fields))
    is_text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    is_bytes = types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind)
    return bool(is_text or is_bytes or types.is_fixed_size_binary(kind)) or has_type(kind)
