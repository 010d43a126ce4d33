"""The input of a run: listed, pinned by etag, cut into shards, and read one shard at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from graphs.errors import (
    BucketNotFound,
    InputChanged,
    InputNotFound,
    ObjectNotFound,
    SchemaMismatch,
    Superseded,
)
from graphs.ir import with_defaults
from graphs.spec import Input, Piece, Shard
from graphs.storage.objects import ObjectInfo, Store
from graphs.storage.parquet import concatenated, open_parquet

_READERS = 16
"""Requests in flight while footers or pieces are read; they wait on the network."""


def list_input(input: Input, partition_key: str) -> tuple[ObjectInfo, ...]:
    """The parquet objects that a run reads, sorted by path; none if its partition is empty.

    Names that start with ``_`` or ``.`` are not data, as everywhere around parquet.

    Raises:
        InputNotFound: the bucket or the dataset does not exist, or it is not partitioned by that
            column. A partition that is merely absent is empty.
        CredentialsRejected: the store does not accept the credentials.
    """
    store = Store.open(input.uri)
    folder = f"{input.partition_by}={partition_key}" if input.partition_by else ""
    try:
        found = tuple(info for info in store.list(folder) if _is_data(info.path))
        if not found:
            _require_dataset(store, input)
    except BucketNotFound as error:
        raise InputNotFound(
            error.problem, input.uri, "Create the bucket, or fix the URI"
        ) from error
    return found


def _is_data(path: str) -> bool:
    hidden = any(part.startswith(("_", ".")) for part in path.split("/"))
    return path.endswith(".parquet") and not hidden


def _require_dataset(store: Store, input: Input) -> None:
    """Tells an empty partition (fine) from a dataset that is not there (a mistake)."""
    folders = store.folders()
    if input.partition_by is None or not folders:
        raise InputNotFound(
            "there are no parquet files here",
            input.uri,
            "Check the URI; it must be the folder that holds the dataset",
        )
    if not any(name.startswith(f"{input.partition_by}=") for name in folders):
        raise InputNotFound(
            f"the dataset is not partitioned by {input.partition_by!r}; it has {folders[0]!r}",
            input.uri,
            f"Lay it out as {input.uri}/{input.partition_by}=<partition key>/, or fix partition_by",
        )


def run_key(
    version: str,
    partition_key: str,
    input: Input,
    objects: Sequence[ObjectInfo],
    parameters: Mapping[str, JsonValue],
) -> str:
    """Names a run by everything that decides its output rows, and by nothing else.

    Returns:
        16 hex characters; the same for the same version, partition, input bytes and parameters.
    """
    identity = {
        "version": version,
        "partition_key": partition_key,
        "input": input.model_dump(),
        "objects": sorted([info.path, info.etag, info.size] for info in objects),
        "parameters": dict(parameters),
    }
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class _RowGroup:
    path: str
    etag: str
    index: int
    of: int
    rows: int
    bytes: int


def plan_shards(
    input: Input,
    objects: Sequence[ObjectInfo],
    *,
    shard_rows: int,
    shard_bytes: int,
    check: Callable[[pa.Schema, str], None],
) -> tuple[Shard, ...]:
    """Cuts the input into shards: small files packed together, large ones split by row group.

    Args:
        input: the dataset.
        objects: what :func:`list_input` found in it.
        shard_rows: rows of a shard, at most, unless one row group has more.
        shard_bytes: uncompressed bytes of a shard, likewise.
        check: raises if a file's schema cannot feed the graph; gets the schema and the file's URI.

    Returns:
        At least one shard: an empty input gives one shard without pieces, so that an empty
        snapshot is made in the ordinary way.

    Raises:
        InputChanged: an object changed or vanished since it was listed.
        SchemaMismatch: an object is no parquet file, or ``check`` says so.
    """
    store = Store.open(input.uri)

    def footer(info: ObjectInfo) -> list[_RowGroup]:
        with _pinned(store, info.path):
            file = open_parquet(store, info.path, info.etag)
        check(file.schema_arrow, store.uri_of(info.path))
        return _row_groups(info, file.metadata)

    with ThreadPoolExecutor(_READERS) as readers:
        groups = [group for found in readers.map(footer, objects) for group in found if group.rows]
    packs = _packed(groups, shard_rows, shard_bytes) or [[]]
    width = max(5, len(str(len(packs) - 1)))
    return tuple(Shard(id=f"{i:0{width}d}", pieces=_pieces(pack)) for i, pack in enumerate(packs))


def _row_groups(info: ObjectInfo, metadata: pq.FileMetaData) -> list[_RowGroup]:
    count = metadata.num_row_groups
    groups = (metadata.row_group(index) for index in range(count))
    return [
        _RowGroup(info.path, info.etag, index, count, group.num_rows, group.total_byte_size)
        for index, group in enumerate(groups)
    ]


def _packed(groups: Sequence[_RowGroup], rows: int, size: int) -> list[list[_RowGroup]]:
    """Consecutive row groups in packs that stay within both limits."""
    packs: list[list[_RowGroup]] = []
    rows_left = size_left = 0
    for group in groups:
        if not packs or group.rows > rows_left or group.bytes > size_left:
            packs.append([])
            rows_left, size_left = rows, size
        packs[-1].append(group)
        rows_left -= group.rows
        size_left -= group.bytes
    return packs


def _pieces(pack: Sequence[_RowGroup]) -> tuple[Piece, ...]:
    by_path: dict[str, list[_RowGroup]] = {}
    for group in pack:
        by_path.setdefault(group.path, []).append(group)
    return tuple(
        Piece(
            path=path,
            etag=groups[0].etag,
            rows=sum(group.rows for group in groups),
            row_groups=None
            if len(groups) == groups[0].of
            else tuple(group.index for group in groups),
        )
        for path, groups in by_path.items()
    )


def read_shard(store: Store, shard: Shard, columns: Sequence[str], schema: pa.Schema) -> pa.Table:
    """The rows of a shard, in the order of its pieces.

    Args:
        store: the input's store, ``Store.open(input.uri)``.
        shard: which rows.
        columns: which columns; each is in ``schema``.
        schema: the graph's input schema; the columns come out in its types, an optional one that a
            file lacks with its default.

    Raises:
        InputChanged: an object changed or vanished since the plan was made.
    """
    # Nulls where none may be are for the graph to reject, row by row.
    wanted = pa.schema([schema.field(name).with_nullable(True) for name in columns])

    def read(piece: Piece) -> pa.Table:
        with _pinned(store, piece.path):
            file = open_parquet(store, piece.path, piece.etag)
            here = [name for name in columns if name in file.schema_arrow.names]
            if piece.row_groups is None:
                table = file.read(columns=here)
            else:
                table = file.read_row_groups(list(piece.row_groups), columns=here)
        return with_defaults(table, wanted).cast(wanted)

    if not shard.pieces:
        return wanted.empty_table()
    with ThreadPoolExecutor(min(_READERS, len(shard.pieces))) as readers:
        return concatenated(list(readers.map(read, shard.pieces)))


@contextmanager
def _pinned(store: Store, path: str) -> Iterator[None]:
    try:
        yield
    except (Superseded, ObjectNotFound) as error:
        fate = "changed" if isinstance(error, Superseded) else "vanished"
        raise InputChanged(
            f"{fate} since this run was planned",
            store.uri_of(path),
            "Run again: the new input gets a run of its own",
        ) from error
    except pa.ArrowInvalid as error:
        raise SchemaMismatch(
            f"is not a readable parquet file ({error})", store.uri_of(path)
        ) from error
