"""The demo's S3 keeps what was written, and lets nobody else in."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import S3FileSystem

from demo import processes, s3, stack
from demo.s3 import S3
from graphs.errors import AlreadyExists, CredentialsRejected
from graphs.storage.objects import Store

pytestmark = pytest.mark.server
PLACE = f"s3://{s3.BUCKET}/place"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    processes.end(tmp_path)


@pytest.fixture
def server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> S3:
    return started(folder, monkeypatch)


def started(folder: Path, monkeypatch: pytest.MonkeyPatch) -> S3:
    server = s3.start(folder, stack.base_env())
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    return server


def test_objects_outlive_the_server_under_the_same_entity_tags(
    server: S3, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(PLACE)
    store.put("day=1/ä b.json", b"kept")
    store.put("gone", b"gone")
    store.delete("gone")
    address = server.url.removeprefix("http://")
    files = S3FileSystem(endpoint_override=address, scheme="http", region=server.env["AWS_REGION"])
    table = pa.table({"number": range(1_000)})
    pq.write_table(table, f"{s3.BUCKET}/place/in-parts.parquet", filesystem=files)
    before = list(store.list())

    processes.end(folder)
    started(folder, monkeypatch)

    store = Store.open(PLACE)
    assert list(store.list()) == before
    assert [info.path for info in before] == ["day=1/ä b.json", "in-parts.parquet"]
    assert store.read("day=1/ä b.json") == b"kept"


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_credentials_are_refused(
    server: S3, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "AKIAWRONGWRONGWRONGW")

    with pytest.raises(CredentialsRejected):
        Store.open(PLACE).put("object", b"")


def test_of_racing_writers_exactly_one_creates_an_object(server: S3) -> None:
    store = Store.open(PLACE)

    def create(writer: int) -> bool:
        try:
            store.create("contested", str(writer).encode())
        except AlreadyExists:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(create, range(64))).count(True) == 1
