"""Records as objects: JSON out, validated JSON in."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from graphs.errors import StorageError
from graphs.spec import Record
from graphs.storage.objects import Store

R = TypeVar("R", bound=Record)


def encode(record: Record) -> bytes:
    """A record as JSON for an object."""
    return record.model_dump_json(indent=1).encode()


def decode(kind: type[R], data: bytes, where: str) -> R:
    """The record in an object's bytes.

    Args:
        kind: the record's class.
        data: the object's bytes.
        where: the object's URI, named in the error.

    Raises:
        StorageError: the bytes are no such record.
    """
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"]) or "the document"
        raise StorageError(
            f"is not a {kind.__name__} that this version of graphs can read "
            f"({path}: {first['msg']})",
            where,
            "Was it written by a newer version, or by hand?",
        ) from error


def find(store: Store, kind: type[R], path: str) -> R | None:
    """The record at a path, or ``None`` when there is none.

    Raises:
        StorageError: what is there is no such record.
    """
    found = store.find(path)
    return None if found is None else decode(kind, found.data, store.uri_of(path))


def create_or_read(store: Store, path: str, record: R) -> R:
    """Creates a record, or gives the one that is there: a rival's, or this very one if the write
    happened and its response was lost.
    """
    try:
        store.create(path, encode(record))
    except StorageError as error:
        try:
            found = find(store, type(record), path)
        except StorageError as unreadable:
            raise error from unreadable
        if found is None:
            raise
        return found
    return record
