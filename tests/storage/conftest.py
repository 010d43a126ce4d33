from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.storage import servers


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
