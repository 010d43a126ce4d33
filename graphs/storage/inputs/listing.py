"""Which objects a run reads, and whether they are still the ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from graphs.errors import BucketNotFound, InputChanged, InputNotFound, ObjectNotFound
from graphs.spec import Input, Sink
from graphs.storage.inputs.location import Location, format_of, locate
from graphs.storage.inputs.places import Place, open_place
from graphs.storage.objects import ObjectInfo

_NAMED = 5
"""How many objects an error names before it counts."""


def list_input(input: Input, partition_key: str) -> tuple[ObjectInfo, ...]:
    """The objects that a run reads, sorted by path; none if its partition is empty.

    Names below the folder that start with ``_`` or ``.`` are not data, as everywhere around
    parquet.

    Raises:
        InputNotFound: the bucket or the dataset does not exist, nothing matches the glob, or it is
            not partitioned by that column. A partition that is merely absent is empty.
        InputError: the store tells nothing by which a change of an object would be noticed.
        CredentialsRejected: the store does not accept the credentials.
    """
    location = locate(input)
    place = open_place(location.root)
    try:
        found = tuple(_found(place, location, input, partition_key))
        if not found:
            _require_dataset(place, location, input)
    except BucketNotFound as error:
        raise InputNotFound(
            error.problem, input.uri, "Create the bucket, or fix the URI"
        ) from error
    return found


def check_unchanged(input: Input, partition_key: str, objects: Iterable[ObjectInfo]) -> None:
    """Lists the input again and compares: what a run commits must be of one state of its input.

    Raises:
        InputChanged: objects were added, changed or vanished; names them.
    """
    before = {info.path: info.etag for info in objects}
    try:
        now = {info.path: info.etag for info in list_input(input, partition_key)}
    except InputNotFound:
        now = {}
    fates = {
        "added": [path for path in now if path not in before],
        "changed": [path for path in now if path in before and now[path] != before[path]],
        "vanished": [path for path in before if path not in now],
    }
    if any(fates.values()):
        text = "; ".join(f"{fate}: {_names(paths)}" for fate, paths in fates.items() if paths)
        raise InputChanged(
            f"is not what it was when this run was planned ({text})",
            input.uri,
            "Run again: the new input gets a run of its own",
        )


def run_key(
    version: str,
    partition_key: str,
    input: Input,
    objects: Iterable[ObjectInfo],
    parameters: Mapping[str, JsonValue],
    sink: Sink | None = None,
) -> str:
    """Names a run by everything that decides its output rows, and by nothing else.

    Returns:
        16 hex characters; the same for the same version, partition, input bytes, parameters and
        place the rows go to.
    """
    identity: dict[str, Any] = {
        "version": version,
        "partition_key": partition_key,
        # What is at its default is left out, so that a new option changes no old key.
        "input": {"uri": input.uri, "partition_by": input.partition_by}
        | input.model_dump(exclude_defaults=True),
        "objects": sorted([info.path, info.etag, info.size] for info in objects),
        "parameters": dict(parameters),
    }
    if sink is not None and sink.kind != "parquet":
        identity["sink"] = {"kind": sink.kind} | sink.model_dump(exclude_defaults=True)
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _found(
    place: Place, location: Location, input: Input, partition_key: str
) -> Iterable[ObjectInfo]:
    if location.pattern is not None:
        matches = location.pattern.fullmatch
        return (i for i in place.list() if matches(i.path) and _is_data(input, i.path, ""))
    if location.folder:
        return _file_or_folder(place, location.folder, input)
    folder = f"{input.partition_by}={partition_key}" if input.partition_by else ""
    return (info for info in place.list(folder) if _is_data(input, info.path, folder))


def _file_or_folder(place: Place, name: str, input: Input) -> Iterable[ObjectInfo]:
    # The file first: asked for as a folder, a web server may answer with the file itself.
    single = place.info(name)
    if single is not None and format_of(input, name) is not None:
        return (single,)
    return (info for info in place.list(name) if _is_data(input, info.path, name))


def _is_data(input: Input, path: str, folder: str) -> bool:
    below = path.removeprefix(folder).split("/")
    hidden = any(part.startswith(("_", ".")) for part in below)
    return not hidden and format_of(input, path) is not None


def _require_dataset(place: Place, location: Location, input: Input) -> None:
    """Tells an empty partition (fine) from a dataset that is not there (a mistake)."""
    kind = input.format or "parquet, jsonl or csv"
    if location.pattern is not None:
        raise InputNotFound(f"no {kind} file matches", input.uri, "Check the URI")
    try:
        folders = place.folders(location.folder)
    except ObjectNotFound:
        folders = ()
    if input.partition_by is None or not folders:
        raise InputNotFound(
            f"there are no {kind} files here",
            input.uri,
            "Check the URI; it must be a file, or the folder that holds the dataset",
        )
    if not any(name.startswith(f"{input.partition_by}=") for name in folders):
        raise InputNotFound(
            f"the dataset is not partitioned by {input.partition_by!r}; it has {folders[0]!r}",
            input.uri,
            f"Lay it out as {input.uri}/{input.partition_by}=<partition key>/, or fix partition_by",
        )


def _names(paths: Sequence[str]) -> str:
    named = ", ".join(sorted(paths)[:_NAMED])
    return f"{named} and {len(paths) - _NAMED} more" if len(paths) > _NAMED else named
