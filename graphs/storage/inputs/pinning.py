"""Reads that are of one version of an object, or fail saying what became of it."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from graphs.errors import InputChanged, ObjectNotFound, Superseded
from graphs.storage.inputs.places import Place


class Unreadable(Exception):
    """A file's bytes are not what its name says; only ever seen inside this package."""


@contextmanager
def pinned(place: Place, path: str) -> Iterator[None]:
    """Raises InputChanged when the object has another etag than it was asked for with."""
    try:
        yield
    except (Superseded, ObjectNotFound) as error:
        fate = "changed" if isinstance(error, Superseded) else "vanished"
        raise InputChanged(
            f"{fate} since this run was planned",
            place.uri_of(path),
            "Run again: the new input gets a run of its own",
        ) from error


@contextmanager
def decoding(kind: str) -> Iterator[None]:
    """Raises Unreadable for whatever a decoder says of bytes it does not understand."""
    try:
        yield
    except (pa.ArrowException, csv.Error, EOFError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the machine's trouble, not the file's
        said = " ".join(str(error).split())
        raise Unreadable(f"is not a readable {kind} file ({said})") from error
