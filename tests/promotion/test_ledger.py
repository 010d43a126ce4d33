"""Holding a release in storage."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from graphs.errors import ReleaseInProgress, Superseded
from graphs.promotion import ledger as ledger_module
from graphs.promotion.ledger import Ledger
from graphs.promotion.release import STALE_AFTER
from graphs.spec import Release
from graphs.storage.aliases import Registry


def wanted(owner: str, age: timedelta = timedelta(0)) -> Release:
    return Release(
        id="r1",
        graph="topics",
        version="v2",
        previous=None,
        dataset="s3://b/d",
        partition_key="day",
        run_key="run",
        route="/topics",
        state="requested",
        owner=owner,
        updated_at=datetime.now(UTC) - age,
    )


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(str(tmp_path))


def held(registry: Registry) -> Release:
    found = registry.read_release("topics")
    assert found is not None
    return found[0]


def test_every_step_is_written_before_it_is_taken(registry: Registry) -> None:
    with Ledger(registry, wanted("job-1")) as ledger:
        for state in ("deploying", "parity", "flipping", "live"):
            ledger.advance(state)
            assert held(registry) == ledger.release

    assert registry.releases("topics") == (ledger.release,)


def test_an_owner_that_was_taken_for_dead_stops_at_its_next_step(registry: Registry) -> None:
    slow = Ledger(registry, wanted("job-1", age=STALE_AFTER))
    Ledger(registry, wanted("job-2")).advance("deploying")

    with pytest.raises(ReleaseInProgress, match="taken by 'job-2'"):
        slow.advance("deploying")

    assert held(registry).owner == "job-2"


def test_signs_of_life_are_left_while_a_step_takes_long(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "BEAT_EVERY", timedelta(milliseconds=5))
    seen = threading.Event()
    write = registry.write_release
    written: list[datetime] = []

    def watched(release: Release, etag: str | None) -> str:
        written.append(release.updated_at)
        if len(written) == 4:
            seen.set()
        return write(release, etag)

    monkeypatch.setattr(registry, "write_release", watched)
    with Ledger(registry, wanted("job-1")) as ledger:
        assert seen.wait(10)
        ledger.advance("deploying")

    assert written == sorted(set(written))
    assert held(registry).state == "deploying"


def test_a_write_whose_response_was_lost_counts(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(registry, wanted("job-1"))
    write = registry.write_release

    def carried_out_twice(release: Release, etag: str | None) -> str:
        write(release, etag)
        raise Superseded("the object has changed", "current.json")

    monkeypatch.setattr(registry, "write_release", carried_out_twice)
    ledger.advance("deploying")
    monkeypatch.undo()
    ledger.advance("parity")

    assert held(registry).state == "parity"
