"""A snapshot's list of files as columns: in the manifest while short, else a parquet object."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from graphs.errors import StorageError
from graphs.spec import DataFile
from graphs.storage.objects import Store
from graphs.storage.packs import in_order
from graphs.storage.parquet import concatenated, decode_table

SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
    ]
)
"""Columns of a list of files: those of :class:`graphs.spec.DataFile`."""

_STORED = SCHEMA.append(pa.field("is_rejected", pa.bool_(), nullable=False))


def listed(files: Iterable[DataFile]) -> pa.Table:
    """A list of files as columns."""
    rows = [(file.path, file.rows, file.bytes) for file in files]
    columns = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)],
        schema=SCHEMA,
    )


def records(files: pa.Table) -> tuple[DataFile, ...]:
    """A list of files as records."""
    columns = (files.column(name).to_pylist() for name in SCHEMA.names)
    return tuple(
        DataFile(path=path, rows=rows, bytes=size)
        for path, rows, size in zip(*columns, strict=True)
    )


def encode_files(files: pa.Table, rejected: pa.Table) -> bytes:
    """A snapshot's files and files of rejected rows as one parquet object."""
    sides = [
        side.append_column(_STORED.field("is_rejected"), pa.repeat(flag, side.num_rows))
        for side, flag in ((files, pa.scalar(False)), (rejected, pa.scalar(True)))
    ]
    sink = pa.BufferOutputStream()
    # Paths differ in a few characters each: as deltas they take a fraction of a dictionary.
    pq.write_table(
        pa.concat_tables(sides),
        sink,
        compression="zstd",
        use_dictionary=["rows", "bytes", "is_rejected"],
        column_encoding={"path": "DELTA_BYTE_ARRAY"},
    )
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def decode_files(data: bytes, is_rejected: bool, where: str) -> pa.Table:
    """One side of what :func:`encode_files` wrote.

    Raises:
        StorageError: the bytes are no list of files.
    """
    try:
        table = pq.read_table(pa.BufferReader(data)).select(_STORED.names).cast(_STORED)
    except (pa.ArrowException, KeyError) as error:
        raise StorageError(f"is not a list of a snapshot's files ({error})", where) from error
    flags = table.column("is_rejected")
    return table.filter(flags if is_rejected else pc.invert(flags)).select(SCHEMA.names)


def read_rows(store: Store, files: pa.Table, columns: Sequence[str] | None) -> pa.Table:
    """The rows of some files, file by file.

    Raises:
        StorageError: a file is missing, or holds other than the listed number of rows.
    """

    def read(file: tuple[str, int]) -> pa.Table:
        path, rows = file
        table = decode_table(store.read(path), columns)
        if table.num_rows != rows:
            raise StorageError(
                f"holds {table.num_rows} rows, the manifest says {rows}", store.uri_of(path)
            )
        return table

    paths, rows = (files.column(name).to_pylist() for name in ("path", "rows"))
    return concatenated(list(in_order(read, zip(paths, rows, strict=True))))
