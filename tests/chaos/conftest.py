from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.chaos.world import World


@pytest.fixture(scope="package")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world without troubles of its own."""
    with World(tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture
def world(shared: World) -> Iterator[World]:
    """The shared world; this process reaches its S3, and its nodes wait for nothing."""
    shared.pace(0)
    with shared.within():
        yield shared


@pytest.fixture
def place() -> str:
    """URI of an empty place in the world's S3."""
    return f"s3://lake/{uuid.uuid4().hex}"
