"""Reading committed snapshots with other engines: exactly the files that a manifest names.

Never a listing of the folder: it also holds what attempts left behind and what was replaced.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from graphs.errors import ObjectNotFound, StorageError
from graphs.storage.snapshots import Dataset

if TYPE_CHECKING:
    from graphs.spec import Manifest

Snapshot = str | tuple[str, str]
"""A manifest's URI, or a dataset's URI and a partition key."""

_MANIFESTS = "/manifests/"


def read(snapshot: Snapshot) -> ds.Dataset:
    """A committed snapshot as a pyarrow dataset of exactly the files its manifest names.

    The manifest is read once, so the dataset stays what it is while a backfill replaces it: all of
    one run, or all of the other. Rows are read when they are asked for, S3 with the ``AWS_*``
    variables that the store uses. Where a replay added columns, older rows have nulls in them.

    Args:
        snapshot: URI of a manifest (a run's result holds it), or ``(dataset URI, partition key)``.

    Raises:
        ObjectNotFound: nothing was committed there.
        StorageError: the store refuses.
    """
    dataset, manifest = find_manifest(snapshot)
    paths = _paths(dataset, manifest)
    if not paths:
        return ds.dataset(pa.table({}))
    filesystem, root = filesystem_of(dataset.uri)
    format = ds.ParquetFileFormat()
    located = [f"{root}/{path}" for path in paths]
    schema = _schema(filesystem, located, manifest)
    fragments = [format.make_fragment(path, filesystem) for path in located]
    return ds.FileSystemDataset(fragments, schema, format, filesystem)


def file_uris(snapshot: Snapshot) -> list[str]:
    """Where a snapshot's parquet files are, for any engine that takes a list of files.

    Returns:
        ``s3://`` URIs or absolute local paths, in the order of the shards.

    Raises:
        ObjectNotFound, StorageError: as :func:`read`.
    """
    dataset, manifest = find_manifest(snapshot)
    return [dataset.store.uri_of(path) for path in _paths(dataset, manifest)]


def first_rows(dataset: Dataset, paths: Iterable[str], rows: int) -> pa.Table | None:
    """The first rows of some parquet files of a dataset, reading no more of them than it takes.

    Returns:
        At most ``rows`` rows; ``None`` if there are no files.
    """
    filesystem, root = filesystem_of(dataset.uri)
    read: list[pa.Table] = []
    for path in paths:
        with pq.ParquetFile(f"{root}/{path}", filesystem=filesystem) as file:
            batch = next(file.iter_batches(rows), None)
            if batch is not None:
                read.append(pa.Table.from_batches([batch]))
        if sum(table.num_rows for table in read) >= rows:
            break
    return pa.concat_tables(read, promote_options="default").slice(0, rows) if read else None


def find_manifest(snapshot: Snapshot) -> tuple[Dataset, Manifest]:
    """The dataset and the manifest that a snapshot's name means.

    Raises:
        ObjectNotFound: nothing was committed there.
        StorageError: the URI is none of a manifest, or the store refuses.
    """
    uri, key = _split(snapshot) if isinstance(snapshot, str) else snapshot
    dataset = Dataset(uri)
    found = dataset.read_manifest(key)
    if found is None:
        raise ObjectNotFound(
            f"nothing was committed for partition {key!r}",
            dataset.manifest_uri(key),
            "`graphs runs ls DATASET` lists what there is",
        )
    return dataset, found[0]


def filesystem_of(uri: str) -> tuple[pafs.FileSystem, str]:
    """pyarrow's file system for a store's URI, and the path in it.

    Credentials, region and endpoint are the ones that the store itself uses.
    """
    if not uri.startswith("s3://"):
        return pafs.LocalFileSystem(), uri
    return pafs.S3FileSystem(**_s3_options()), uri.removeprefix("s3://")


def _s3_options() -> dict[str, Any]:
    """The key and its secret pyarrow takes from the environment by itself."""
    options: dict[str, Any] = {}
    if region := os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
        options["region"] = region
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        parts = urlsplit(endpoint)
        options |= {"endpoint_override": f"{parts.netloc}{parts.path}".rstrip("/")}
        options |= {"scheme": parts.scheme}
    return options


def _split(uri: str) -> tuple[str, str]:
    root, manifests, name = uri.rpartition(_MANIFESTS)
    if not manifests or not name.endswith(".json") or "/" in name:
        raise StorageError(
            f"{uri!r} is no manifest's URI",
            remedy="Give <dataset>/manifests/<partition key>.json, or (dataset, partition key)",
        )
    return root, name.removesuffix(".json")


def _paths(dataset: Dataset, manifest: Manifest) -> list[str]:
    paths: list[str] = dataset.files(manifest).column("path").to_pylist()
    return paths


def _schema(filesystem: pafs.FileSystem, paths: list[str], manifest: Manifest) -> pa.Schema:
    """Of one file of each run: a run's files are alike, a replay may have added columns."""
    keys = [manifest.run_key, *(replay.run_key for replay in reversed(manifest.replays))]
    firsts = {key: next((path for path in paths if f"/{key}/" in path), None) for key in keys}
    try:
        return pa.unify_schemas(
            [
                pq.read_schema(path, filesystem=filesystem).remove_metadata()
                for path in dict.fromkeys([*filter(None, firsts.values()), paths[0]])
            ]
        )
    except pa.ArrowTypeError as error:
        raise StorageError(
            f"the runs {', '.join(keys)} gave a column different types: {error}",
            f"partition {manifest.partition_key!r}",
            "Read the files of each run apart: graphs.storage.reading.file_uris names them",
        ) from error
