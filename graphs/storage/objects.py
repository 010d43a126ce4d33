"""Objects in a store: S3 or a local folder, behind one small vocabulary with conditional puts.

Everything that is promised about commits rests on two operations: :meth:`Store.create`
(``If-None-Match: *``) and :meth:`Store.replace` (``If-Match``). A store that ignores them is found
out by :meth:`Store.probe_conditional_puts` before work starts. Credentials and endpoint come from
the environment (``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_ENDPOINT_URL``,
``AWS_REGION``), never from a URI or a record.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore.store import LocalStore, S3Store

from graphs.errors import (
    AlreadyExists,
    ConditionalPutIgnored,
    ObjectNotFound,
    StorageError,
    Superseded,
)
from graphs.storage.foreign import mapped_errors
from graphs.storage.pages import PAGE, again, list_folder, list_objects, pages
from graphs.storage.requests import count, requests_made

__all__ = ["Object", "ObjectInfo", "Store", "requests_made"]

# Cut connections and answers of 5xx are tried again, after waits that grow and are jittered.
# Bounded, so a store that is away fails the run within about a minute instead of hanging it; and
# long enough, some 15 s, to outlast a burst of 503 SlowDown.
_RETRIES: Any = {
    "max_retries": 10,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=10),
        "base": 3,
    },
}
_CLIENT: Any = {"allow_http": True, "timeout": timedelta(seconds=60)}


@dataclass(frozen=True, slots=True)
class Object:
    """An object's bytes and the entity tag they were read at."""

    data: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One line of a listing."""

    path: str
    etag: str
    size: int
    modified: datetime | None = field(default=None, compare=False)
    """When it was last written; ``None`` where the lister did not say."""


@dataclass(frozen=True, slots=True)
class Store:
    """A place for objects. Paths are relative to :attr:`uri` and use forward slashes."""

    uri: str
    """``s3://bucket/prefix`` or an absolute local path, without a trailing slash."""

    _backend: Any

    @staticmethod
    def open(uri: str) -> Store:
        """Opens ``s3://bucket/prefix``, ``file:///folder`` or a local path; nothing is read yet.

        Raises:
            StorageError: the URI has another scheme or names no bucket.
        """
        parts = urlsplit(uri)
        if parts.scheme == "s3":
            if not parts.netloc:
                raise StorageError(f"{uri!r} names no bucket", remedy="Write s3://bucket/prefix")
            # Split by hand: in an S3 key "?" and "#" are ordinary characters.
            bucket, _, prefix = uri.removeprefix("s3://").partition("/")
            prefix = prefix.strip("/")
            backend = S3Store(
                bucket, prefix=prefix or None, client_options=_CLIENT, retry_config=_RETRIES
            )
            return Store(f"s3://{bucket}/{prefix}".rstrip("/"), backend)
        if parts.scheme not in ("", "file"):
            raise StorageError(
                f"{uri!r} has the unknown scheme {parts.scheme!r}",
                remedy="Use s3://bucket/prefix or a local folder",
            )
        folder = Path(unquote(parts.path) if parts.scheme else uri).expanduser().absolute()
        return Store(str(folder), None)

    @property
    def is_local(self) -> bool:
        """Whether this is a folder of this machine."""
        return self._backend is None

    def get(self, path: str) -> Object:
        """An object's bytes and etag.

        Raises:
            ObjectNotFound: there is none.
        """
        with self._asking(path):
            answer = again(lambda: obstore.get(self._reading, path))
            return Object(bytes(answer.bytes()), str(answer.meta["e_tag"]))

    def find(self, path: str) -> Object | None:
        """Like :meth:`get`, but ``None`` when there is no such object."""
        try:
            return self.get(path)
        except ObjectNotFound:
            return None

    async def get_async(self, path: str) -> bytes | None:
        """An object's bytes without blocking the event loop; ``None`` when there is none."""
        try:
            with self._asking(path):
                answer = await obstore.get_async(self._reading, path)
                return bytes(await answer.bytes_async())
        except ObjectNotFound:
            return None

    def read(self, path: str) -> bytes:
        """An object's bytes.

        Raises:
            ObjectNotFound: there is none.
        """
        return self.get(path).data

    def read_version(self, path: str, etag: str) -> memoryview:
        """All bytes of one version of an object.

        Raises:
            ObjectNotFound: there is none.
            Superseded: it has another etag now.
        """
        with self._asking(path):
            answer = again(lambda: obstore.get(self._reading, path, options={"if_match": etag}))
            return memoryview(answer.bytes())

    def read_range(
        self, path: str, start: int | None, length: int, etag: str
    ) -> tuple[memoryview, int]:
        """Part of one version of an object: from ``start``, or its end when that is ``None``.

        The etag travels with the request (``If-Match``), so the bytes are that version's or none.

        Returns:
            The bytes (fewer when the object ends before), and the size of the whole object.

        Raises:
            ObjectNotFound: there is none.
            Superseded: it has another etag now.
        """
        span: Any = {"suffix": length} if start is None else (start, start + length)
        with self._asking(path):
            options: Any = {"range": span, "if_match": etag}
            answer = again(lambda: obstore.get(self._reading, path, options=options))
            return memoryview(answer.bytes()), int(answer.meta["size"])

    def exists(self, path: str) -> bool:
        """Whether there is an object at that path."""
        return self.info(path) is not None

    def info(self, path: str) -> ObjectInfo | None:
        """An object's line of a listing, ``None`` when there is no such object."""
        try:
            with self._asking(path):
                meta = again(lambda: obstore.head(self._reading, path))
        except ObjectNotFound:
            return None
        return ObjectInfo(path, str(meta["e_tag"]), int(meta["size"]), meta["last_modified"])

    def put(self, path: str, data: bytes | memoryview) -> str:
        """Writes an object whatever was there before. Returns its etag."""
        with self._asking(path):
            return str(again(lambda: obstore.put(self._writing, path, data))["e_tag"])

    def create(self, path: str, data: bytes | memoryview) -> str:
        """Writes an object only where there is none (``If-None-Match: *``). Returns its etag.

        Raises:
            AlreadyExists: there is one; after a lost response it may be this very write.
        """
        with self._asking(path):
            put = partial(obstore.put, self._writing, path, data, mode="create")
            return str(again(put)["e_tag"])

    def replace(self, path: str, data: bytes | memoryview, etag: str) -> str:
        """Replaces one version of an object by another (``If-Match``). Returns the new etag.

        Raises:
            Superseded: the object has another etag now, or is gone; after a lost response it may
                be this very write.
        """
        if self.is_local:
            return self._replace_locally(path, data, etag)
        with self._asking(path):
            put = partial(obstore.put, self._writing, path, data, mode={"e_tag": etag})
            return str(again(put)["e_tag"])

    def _replace_locally(self, path: str, data: bytes | memoryview, etag: str) -> str:
        """Compares and replaces under a lock on the folder: a file system has no ``If-Match``."""
        try:
            with self._asking(path), _locked(Path(self.uri, path).parent):
                if str(obstore.head(self._reading, path)["e_tag"]) == etag:
                    return str(obstore.put(self._writing, path, data)["e_tag"])
        except ObjectNotFound as error:
            raise Superseded("the object is gone", self.uri_of(path)) from error
        raise Superseded("the object has changed", self.uri_of(path))

    def list(self, prefix: str = "", after: str | None = None) -> Iterator[ObjectInfo]:
        """Every object below a folder-like prefix, sorted by path; empty when there is none.

        Args:
            prefix: the folder.
            after: only paths that sort after this one; the others cost no request.

        Raises:
            BucketNotFound: the bucket does not exist.
        """
        if self.is_local and not Path(self.uri).is_dir():
            return iter(())
        with self._asking(prefix):
            found = [
                ObjectInfo(
                    meta["path"], str(meta["e_tag"]), int(meta["size"]), meta["last_modified"]
                )
                for meta in list_objects(self._reading, prefix or None, after)
            ]
        self._count(pages(len(found)) - 1)
        return iter(sorted(found, key=lambda info: info.path))

    def folders(self, prefix: str = "") -> tuple[str, ...]:
        """Names of the folders directly below a prefix; empty when there are none.

        Raises:
            BucketNotFound: the bucket does not exist.
        """
        if self.is_local and not Path(self.uri).is_dir():
            return ()
        with self._asking(prefix):
            found = list_folder(self._reading, prefix or None)
        self._count(pages(len(found["common_prefixes"]) + len(found["objects"])) - 1)
        return tuple(sorted(path.rpartition("/")[2] for path in found["common_prefixes"]))

    def delete(self, path: str) -> None:
        """Removes an object; nothing happens where there is none."""
        with suppress(ObjectNotFound), self._asking(path):
            again(lambda: obstore.delete(self._reading, path))

    def delete_many(self, paths: Sequence[str]) -> None:
        """Removes objects, many with one request to S3; those that are not there do not matter."""
        if self.is_local:
            for path in paths:
                self.delete(path)
            return
        for start in range(0, len(paths), PAGE):
            with self._asking(paths[start]):
                page = list(paths[start : start + PAGE])
                again(partial(obstore.delete, self._reading, page))

    def uri_of(self, path: str) -> str:
        """The full URI of an object."""
        return f"{self.uri}/{path}" if path else self.uri

    def probe_conditional_puts(self) -> None:
        """Proves with one small object that creates and replaces are conditional here.

        Raises:
            ConditionalPutIgnored: they are not: two writers could both win.
            CredentialsRejected: the credentials may not write here.
            BucketNotFound: the bucket does not exist.
        """
        path = f"runs/.probe-{uuid.uuid4().hex}"
        try:
            first = self._written(lambda: self.create(path, b"1"), path, b"1")
            if not _is_refused(lambda: self.create(path, b"2"), AlreadyExists):
                raise self._ignored("If-None-Match")
            self._written(lambda: self.replace(path, b"22", first), path, b"22")
            if not _is_refused(lambda: self.replace(path, b"333", first), Superseded):
                raise self._ignored("If-Match")
        finally:
            self.delete(path)

    def _written(self, write: Callable[[], str], path: str, data: bytes) -> str:
        """The etag of a write under a name that nobody else has, even if its response was lost."""
        try:
            return write()
        except (AlreadyExists, Superseded):
            found = self.find(path)
            if found is None or found.data != data:
                raise
            return found.etag

    def _ignored(self, header: str) -> ConditionalPutIgnored:
        return ConditionalPutIgnored(
            f"the store ignores {header}, so two writers could both win",
            self.uri,
            "Use a store with conditional puts (AWS S3, RustFS, moto) or a local folder",
        )

    @contextmanager
    def _asking(self, path: str) -> Iterator[None]:
        """Counts a request about an object or prefix, and maps its errors."""
        self._count(1)
        with mapped_errors(self.uri_of(path)):
            yield

    def _count(self, requests: int) -> None:
        if not self.is_local:
            count(requests)

    @property
    def _reading(self) -> Any:
        # A fresh one each time: opening a missing folder fails, and it may appear meanwhile.
        return self._backend if self._backend is not None else LocalStore(self.uri)

    @property
    def _writing(self) -> Any:
        return self._backend if self._backend is not None else LocalStore(self.uri, mkdir=True)


def _is_refused(write: Callable[[], str], refusal: type[StorageError]) -> bool:
    try:
        write()
    except refusal:
        return True
    return False


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the folder's own lock, so that no lock file is left among the objects."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
