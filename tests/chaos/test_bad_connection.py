"""A run to which S3 does the same harm at every step is not even begun again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from graphs.spec import RunResult
from tests.chaos.judging import problems
from tests.chaos.proxy import FAULTS, Fault
from tests.chaos.world import World, spec_of, write_input

pytestmark = pytest.mark.server
SHARDS = 6


@pytest.fixture(params=FAULTS)
def fault(request: pytest.FixtureRequest, world: World) -> Iterator[Fault]:
    """Happens to every request once, and not to its repetition."""
    world.proxy.spoil_each_once(request.param)
    yield request.param
    world.proxy.spoil_each_once(None)


def test_a_run_whose_every_request_fails_once_commits_at_its_first_attempt(
    fault: Fault, world: World, place: str
) -> None:
    numbers = write_input(place, SHARDS)
    before = world.proxy.faults[fault]

    ended = world.start_driver(spec_of(place)).outcome()

    assert isinstance(ended, RunResult), ended
    assert world.proxy.faults[fault] - before > 3 * SHARDS
    assert problems(place, numbers) == []
