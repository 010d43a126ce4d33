"""Two drivers at work on one partition at the same time."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphs.spec import RunResult
from tests.chaos.judging import problems
from tests.chaos.scenes import SHARDS, two_runs_race
from tests.chaos.world import PARTITION, World, await_condition, spec_of, write_input

pytestmark = pytest.mark.server


def test_twins_of_one_run_commit_once_and_double_no_row(
    world: World, place: str, tmp_path: Path
) -> None:
    # Given two drivers of one run that both have begun the same shard
    numbers = write_input(place, SHARDS, gate=lambda shard: str(tmp_path / "go"))
    known = len(world.begun())
    twins = [world.start_driver(spec_of(place)) for _ in range(2)]
    await_condition(lambda: len(set(world.begun()[known:])) < len(world.begun()[known:]))
    # When both go on
    (tmp_path / "go").touch()
    one, two = (driver.outcome() for driver in twins)
    # Then both are told of the one commit, and every shard counts for one of them
    assert isinstance(one, RunResult)
    assert isinstance(two, RunResult)
    assert one.run_key == two.run_key
    assert one.shards_computed + two.shards_computed == SHARDS
    assert problems(place, numbers) == []
    assert world.puts_of(f"{place}/output/manifests/{PARTITION}.json") == 1


def test_of_two_runs_one_commits_and_the_loser_says_so_and_wins_when_it_tries_again(
    world: World, place: str, tmp_path: Path
) -> None:
    assert two_runs_race(world, place, tmp_path, bug="") == []
