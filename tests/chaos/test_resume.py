"""A driver that is killed when nearly all is done."""

from __future__ import annotations

import pytest

from graphs.spec import RunResult
from tests.chaos.judging import problems
from tests.chaos.world import SHARD_ROWS, World, await_condition, done_shards, spec_of, write_input

SHARDS = 100


@pytest.mark.server
def test_after_a_kill_at_90_percent_only_shards_in_flight_are_computed_again(
    world: World, place: str
) -> None:
    # Given a run that is killed when 90 of its 100 shards are done
    numbers = write_input(place, SHARDS, per_file=10)
    known = len(world.begun())
    world.pace(0.1)
    driver = world.start_driver(spec_of(place))
    await_condition(lambda: len(done_shards(place)) >= 0.9 * SHARDS, tick_s=0.01)
    driver.kill()
    await_condition(lambda: world.workers("task") == world.workers("actor") == [])
    done = len(done_shards(place))
    begun = set(world.begun()[known:])
    assert 0.9 * SHARDS <= done < SHARDS
    # When it is run again
    known = len(world.begun())
    result = world.start_driver(spec_of(place)).outcome()
    # Then nothing is computed that was done, and no shard twice
    assert isinstance(result, RunResult)
    assert (result.shards_resumed, result.shards_computed) == (done, SHARDS - done)
    begun_again = world.begun()[known:]
    assert len(begun_again) == len(set(begun_again)) == SHARDS - done
    recomputed = begun & set(begun_again)
    assert len(recomputed) == len(begun) - done
    assert problems(place, numbers) == []
    assert sorted(begun | set(begun_again)) == [*numbers[::SHARD_ROWS]]
