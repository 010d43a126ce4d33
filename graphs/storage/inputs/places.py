"""Where input is read from: our own stores, or whatever fsspec knows.

fsspec has no ``If-Match``: an object's identity is compared after its bytes were read, which is
what makes them that version's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Protocol

from graphs.errors import (
    CredentialsRejected,
    InputError,
    ObjectNotFound,
    StorageError,
    Superseded,
)
from graphs.storage.objects import ObjectInfo, Store

IN_FLIGHT = 16
"""Requests under way at once; they wait on the network."""

_TAGS = ("ETag", "etag", "checksum", "md5Hash", "content_md5", "Content-MD5", "Digest", "crc32c")
_TIMES = ("mtime", "LastModified", "last_modified", "Last-Modified", "updated", "modified")
# A memory file is made anew whenever it is written.
_BIRTHS = ("created",)


class Place(Protocol):
    """What reading needs of a store. Paths are relative to its URI."""

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine."""

    def uri_of(self, path: str) -> str:
        """The full URI of an object."""

    def info(self, path: str) -> ObjectInfo | None:
        """An object's line of a listing, ``None`` where there is none."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every object below a folder, sorted by path."""

    def folders(self, prefix: str = "") -> tuple[str, ...]:
        """Names of the folders directly below a prefix."""

    def read_version(self, path: str, etag: str) -> memoryview:
        """All bytes of one version of an object."""

    def read_range(
        self, path: str, start: int | None, length: int, etag: str
    ) -> tuple[memoryview, int]:
        """Part of one version of an object, and the size of the whole."""


def open_place(uri: str) -> Place:
    """The store of a URI; nothing is read yet.

    Raises:
        StorageError: nothing here knows the scheme.
    """
    scheme = uri.partition("://")[0] if "://" in uri else ""
    return Store.open(uri) if scheme in ("", "file", "s3") else Foreign(uri)


class Foreign:
    """A folder of a file system that fsspec opens; for reading only."""

    is_local = False

    def __init__(self, uri: str) -> None:
        self.uri = uri
        try:
            from fsspec.core import url_to_fs  # type: ignore[import-untyped]

            self._files, self._root = url_to_fs(uri)
        except (ImportError, ValueError) as error:
            raise StorageError(
                f"cannot be opened ({error})",
                uri,
                "Use s3://bucket/prefix or a local folder, or install fsspec and the package "
                "that knows this scheme",
            ) from error
        self._root = self._root.rstrip("/")

    def uri_of(self, path: str) -> str:
        """The full URI of an object."""
        return f"{self.uri}/{path}" if path else self.uri

    def info(self, path: str) -> ObjectInfo | None:
        """An object's line of a listing, ``None`` where there is none."""
        try:
            with _mapped(self.uri_of(path)):
                self._files.invalidate_cache()
                found = self._files.info(self._path(path))
        except ObjectNotFound:
            return None
        return self._line(path, found) if found.get("type", "file") == "file" else None

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every object below a folder, sorted by path."""
        with _mapped(self.uri_of(prefix)):
            self._files.invalidate_cache()
            found = self._files.find(self._path(prefix), detail=True)
        names = {name: info for name, info in found.items() if info.get("type", "file") == "file"}
        with ThreadPoolExecutor(IN_FLIGHT) as readers:
            lines = readers.map(self._listed, names, names.values())
            return iter(sorted(lines, key=lambda line: line.path))

    def folders(self, prefix: str = "") -> tuple[str, ...]:
        """Names of the folders directly below a prefix."""
        try:
            with _mapped(self.uri_of(prefix)):
                found = self._files.ls(self._path(prefix), detail=True)
        except ObjectNotFound:
            return ()
        kept = (one["name"] for one in found if one.get("type") == "directory")
        return tuple(sorted(name.rstrip("/").rpartition("/")[2] for name in kept))

    def read_version(self, path: str, etag: str) -> memoryview:
        """All bytes of one version of an object."""
        with _mapped(self.uri_of(path)):
            data = self._files.cat_file(self._path(path))
        self._require(path, etag)
        return memoryview(data)

    def read_range(
        self, path: str, start: int | None, length: int, etag: str
    ) -> tuple[memoryview, int]:
        """Part of one version of an object, and the size of the whole."""
        size = self._require(path, etag).size
        first = max(0, size - length) if start is None else start
        last = min(first + length, size)
        with _mapped(self.uri_of(path)):
            data = self._files.cat_file(self._path(path), start=first, end=last)
        self._require(path, etag)
        if len(data) == size and last - first < size:  # a web server may ignore the range
            data = data[first:last]
        return memoryview(data), size

    def _path(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def _listed(self, name: str, info: Mapping[str, Any]) -> ObjectInfo:
        path = name.removeprefix(self._root).lstrip("/")
        if info.get("size") is None or _tag(info) is None:
            with _mapped(self.uri_of(path)):
                info = self._files.info(name)
        return self._line(path, info)

    def _line(self, path: str, info: Mapping[str, Any]) -> ObjectInfo:
        tag, size = _tag(info), info.get("size")
        if tag is None or size is None:
            raise InputError(
                "has no entity tag, checksum or time of change (or no size), so a change of it "
                "could not be noticed",
                self.uri_of(path),
                "Copy the input to a store that has them, such as S3 or a local folder",
            )
        return ObjectInfo(path, tag, int(size))

    def _require(self, path: str, etag: str) -> ObjectInfo:
        found = self.info(path)
        if found is None:
            raise ObjectNotFound("there is no such object", self.uri_of(path))
        if found.etag != etag:
            raise Superseded("the object has changed", self.uri_of(path))
        return found


def _tag(info: Mapping[str, Any]) -> str | None:
    """What changes when an object does."""
    tags = [str(info[name]) for name in _TAGS if info.get(name)]
    if tags:
        return tags[0]
    times = [_time(info[name]) for name in (*_TIMES, *_BIRTHS) if info.get(name)]
    return f"{times[0]}-{info.get('size')}" if times else None


def _time(value: object) -> str:
    """A time in the same words, whether a listing gives seconds or a look at the file a date."""
    seconds = value.timestamp() if isinstance(value, datetime) else value
    return f"{seconds:.6f}" if isinstance(seconds, int | float) else str(seconds)


@contextmanager
def _mapped(where: str) -> Iterator[None]:
    """Every implementation of fsspec has errors of its own; these are what they agree on."""
    try:
        yield
    except FileNotFoundError as error:
        raise ObjectNotFound("there is no such object", where) from error
    except PermissionError as error:
        raise CredentialsRejected("this user may not read there", where) from error
    except Exception as error:
        raise StorageError(f"{type(error).__name__}: {error}", where) from error
