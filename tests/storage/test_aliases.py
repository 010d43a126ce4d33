from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from graphs.errors import AlreadyExists, StorageError, Superseded
from graphs.spec import Alias, Release, ReleaseState
from graphs.storage.aliases import Registry

NOW = datetime.now(UTC)


def alias(version: str) -> Alias:
    return Alias(
        name="champion", graph="g", version=version, release="rel", route="/g", moved_at=NOW
    )


def release(id: str, state: ReleaseState) -> Release:
    return Release(
        id=id,
        graph="g",
        version="v1",
        previous=None,
        dataset="d",
        partition_key="p",
        run_key="r",
        route="/g",
        state=state,
        owner="job",
        updated_at=NOW,
    )


def test_an_alias_moves_from_what_was_read(root: str) -> None:
    registry = Registry(root)
    assert registry.read_alias("g", "champion") is None
    registry.move_alias(alias("v1"), None)
    found = registry.read_alias("g", "champion")
    assert found is not None
    registry.move_alias(alias("v2"), found[1])
    moved = registry.read_alias("g", "champion")
    assert moved is not None
    assert moved[0].version == "v2"
    with pytest.raises(Superseded):
        registry.move_alias(alias("v3"), found[1])
    with pytest.raises(AlreadyExists):
        registry.move_alias(alias("v3"), None)


def test_of_many_releases_started_at_once_one_is_under_way(root: str) -> None:
    def start(number: int) -> bool:
        try:
            Registry(root).write_release(release(f"rel{number}", "requested"), None)
        except StorageError:
            return False
        return True

    with ThreadPoolExecutor(8) as racers:
        assert sum(racers.map(start, range(16))) == 1


def test_a_finished_release_is_kept_when_the_next_one_starts(root: str) -> None:
    registry = Registry(root)
    etag = registry.write_release(release("rel1", "requested"), None)
    etag = registry.write_release(release("rel1", "live"), etag)
    registry.write_release(release("rel2", "requested"), etag)
    current = registry.read_release("g")
    assert current is not None
    assert current[0].id == "rel2"
    assert [kept.id for kept in registry.releases("g")] == ["rel1"]
