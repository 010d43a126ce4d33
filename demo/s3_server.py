"""The demo's S3: a moto server that checks credentials and keeps its objects on disk.

    python -m demo.s3_server --port 5000 --data .demo/s3.sqlite --bucket lake

moto answers S3 but holds everything in memory. So that running the demo again finds what it
committed, each write that succeeded is also written to one SQLite file, with its entity tag, and
read back at the next start. Writes are taken one at a time, so a conditional put is atomic: of
any number of racing writers exactly one wins, as in S3.

The key pair comes from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; every other is refused.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

# moto reads this when it is imported: from the first request on, authenticate and authorise.
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "0"

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.s3.models import s3_backends
from werkzeug.serving import make_server

REGION = "us-east-1"
WRITES = frozenset({"PUT", "POST", "DELETE"})
ALLOW_S3 = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
    }
)

Environ = dict[str, Any]
StartResponse = Callable[..., Any]


class Shelf:
    """Objects on disk, one SQLite row each."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS objects"
            " (bucket TEXT, key TEXT, etag TEXT, body BLOB, PRIMARY KEY (bucket, key))"
        )
        self._db.execute("CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY)")

    def fill(self, backend: Any) -> None:
        """Put every kept object into moto, under the entity tag it had."""
        for (name,) in self._db.execute("SELECT name FROM buckets"):
            backend.create_bucket(name, REGION)
        rows = self._db.execute("SELECT bucket, key, etag, body FROM objects ORDER BY rowid")
        for bucket, key, etag, body in rows:
            backend.put_object(bucket, key, body, etag=etag)

    def keep_bucket(self, backend: Any, bucket: str) -> None:
        """Make the disk agree with a bucket whose creation, removal or bulk delete succeeded."""
        if bucket not in backend.buckets:
            self._db.execute("DELETE FROM objects WHERE bucket = ?", (bucket,))
            self._db.execute("DELETE FROM buckets WHERE name = ?", (bucket,))
            return
        self._db.execute("INSERT OR IGNORE INTO buckets VALUES (?)", (bucket,))
        kept = self._db.execute("SELECT key FROM objects WHERE bucket = ?", (bucket,)).fetchall()
        for (key,) in kept:
            if backend.get_object(bucket, key) is None:
                self.keep_object(backend, bucket, key)

    def keep_object(self, backend: Any, bucket: str, key: str) -> None:
        """Make the disk agree with one object whose put or delete succeeded."""
        stored = backend.get_object(bucket, key)
        if stored is None:
            self._db.execute("DELETE FROM objects WHERE bucket = ? AND key = ?", (bucket, key))
            return
        self._db.execute(
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)",
            (bucket, key, stored.etag.strip('"'), stored.value),
        )


class KeptS3:
    """moto's WSGI application, with writes taken one at a time and kept on disk."""

    def __init__(self, application: Any, shelf: Shelf, backend: Any) -> None:
        self._application = application
        self._shelf = shelf
        self._backend = backend
        self._writing = threading.Lock()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in WRITES:
            return self._application(environ, start_response)  # type: ignore[no-any-return]
        environ["wsgi.input"] = io.BytesIO(_body(environ))
        statuses: list[str] = []

        def note_status(status: str, *rest: Any) -> Any:
            statuses.append(status)
            return start_response(status, *rest)

        with self._writing:
            body = [*self._application(environ, note_status)]
            if statuses and statuses[-1].startswith("2"):
                self._keep(environ)
        return body

    def _keep(self, environ: Environ) -> None:
        # WSGI hands the path over as latin-1; keys are UTF-8.
        path = environ["PATH_INFO"].encode("latin-1").decode()
        bucket, _, key = path.lstrip("/").partition("/")
        if key and "delete" not in parse_qs(environ["QUERY_STRING"], keep_blank_values=True):
            self._shelf.keep_object(self._backend, bucket, key)
        elif bucket:
            self._shelf.keep_bucket(self._backend, bucket)


def _body(environ: Environ) -> bytes:
    """The whole body, read before the lock is taken, so that a slow client holds up nobody."""
    stream = environ["wsgi.input"]
    if environ.get("wsgi.input_terminated"):  # chunked: the stream knows where it ends
        return stream.read()  # type: ignore[no-any-return]
    return stream.read(int(environ.get("CONTENT_LENGTH") or 0))  # type: ignore[no-any-return]


def admit(access_key_id: str, secret_access_key: str) -> None:
    """Make one user who may do everything in S3, with the given key pair."""
    iam = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    iam.create_user(REGION, "demo")
    iam.put_user_policy("demo", "s3", ALLOW_S3)
    key = iam.create_access_key("demo")
    # moto makes its own pair; ours has to outlive this process, so that a restart changes nothing.
    del iam.access_keys[key.physical_resource_id]
    key.access_key_id, key.secret_access_key = access_key_id, secret_access_key
    iam.access_keys[key.physical_resource_id] = key


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True, help="SQLite file with the objects")
    parser.add_argument("--bucket", required=True, help="made when it is missing")
    arguments = parser.parse_args()

    admit(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    shelf = Shelf(arguments.data)
    shelf.fill(backend)
    if arguments.bucket not in backend.buckets:
        backend.create_bucket(arguments.bucket, REGION)
        shelf.keep_bucket(backend, arguments.bucket)
    application = KeptS3(DomainDispatcherApplication(create_backend_app), shelf, backend)
    server = make_server(
        "127.0.0.1",
        arguments.port,
        application,
        threaded=True,
        request_handler=MotoRequestHandler,
    )
    print(f"S3 on http://127.0.0.1:{server.port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
