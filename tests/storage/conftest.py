from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.storage import servers
from tests.storage.tables import KINDS, Table, table_of


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """URL of a moto server with the bucket ``lake``."""
    with servers.moto() as url:
        servers.make_bucket(url, "lake")
        yield url


@pytest.fixture
def use_s3(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Points this process at an S3 server."""

    def use(url: str) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setenv("AWS_REGION", "us-east-1")

    return use


@pytest.fixture(params=[pytest.param("s3", marks=pytest.mark.server), "local"])
def root(
    request: pytest.FixtureRequest, tmp_path: Path, use_s3: Callable[[str], None]
) -> Iterator[str]:
    """URI of an empty place in a store, once per kind of store."""
    if request.param == "local":
        yield str(tmp_path / "place")
        return
    use_s3(request.getfixturevalue("moto"))
    yield f"s3://lake/{uuid.uuid4().hex}"


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Every table format that a sink can commit to."""
    return str(request.param)


@pytest.fixture
def table(kind: str, root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    """A table that does not exist yet, once per format and per kind of store."""
    return table_of(kind, root, tmp_path, monkeypatch)


@pytest.fixture
def s3_table(
    kind: str,
    moto: str,
    use_s3: Callable[[str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Table:
    """A table on S3 that does not exist yet, once per format."""
    use_s3(moto)
    return table_of(kind, f"s3://lake/{uuid.uuid4().hex}", tmp_path, monkeypatch)


@pytest.fixture
def lake_root(moto: str, use_s3: Callable[[str], None]) -> str:
    """URI of an empty place in S3."""
    use_s3(moto)
    return f"s3://lake/{uuid.uuid4().hex}"
