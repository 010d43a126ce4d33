"""Scenes in which a wrong commit protocol shows. Each gives what is wrong, if anything is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from graphs.spec import Failure, RunResult
from tests.chaos.judging import problems
from tests.chaos.moments import ambush_on
from tests.chaos.world import (
    World,
    await_condition,
    done_shards,
    run_keys,
    spec_of,
    write_input,
)

SHARDS = 8
Ended = RunResult | Failure | None


def a_writer_dies_after(what: str) -> Callable[[World, str, Path, str], list[str]]:
    """A worker is killed once its put of a ``data file`` or a ``done-record`` is carried out."""

    def scene(world: World, place: str, folder: Path, bug: str) -> list[str]:
        numbers = write_input(place, SHARDS)
        said: list[str] = []
        world.proxy.lay(ambush_on(what, is_after=True, say=said.append))
        ended = world.start_driver(spec_of(place), bug).outcome()
        assert len(said) == 1
        assert isinstance(ended, RunResult), ended
        return problems(place, numbers)

    return scene


def two_runs_race(world: World, place: str, folder: Path, bug: str) -> list[str]:
    """Two versions of a graph begin while nothing is committed, and both want to commit."""
    numbers = write_input(place, SHARDS, gate=lambda shard: str(folder / "go"))
    drivers = {graph: world.start_driver(spec_of(place, graph), bug) for graph in VERSIONS}
    await_condition(lambda: len(run_keys(place)) == len(VERSIONS))
    (folder / "go").touch()
    ended = {graph: driver.outcome() for graph, driver in drivers.items()}
    won = [graph for graph, end in ended.items() if isinstance(end, RunResult)]
    if len(won) != 1:
        return [f"{len(won)} of two runs say that they committed: {ended}"]
    (winner,) = won
    (loser,) = {*VERSIONS} - {winner}
    return [
        *_not_told(ended[loser], ended[winner]),
        *problems(place, numbers, graph=winner),
        *_loses_again(world, place, loser, bug),
        *problems(place, numbers, graph=loser),
    ]


VERSIONS = ("scoring", "changed")


def _not_told(lost: Ended, won: Ended) -> list[str]:
    """The loser says so, and to whom."""
    assert isinstance(won, RunResult)
    if not isinstance(lost, Failure):
        return [f"the loser ended with {lost}"]
    is_told = lost.error == "CommitConflict" and won.run_key in lost.message
    return [] if is_told else [f"the loser ended with {lost}"]


def _loses_again(world: World, place: str, loser: str, bug: str) -> list[str]:
    """Run again, the loser replaces the winner's rows and computes nothing twice."""
    again = world.start_driver(spec_of(place, loser), bug).outcome()
    is_well = isinstance(again, RunResult) and again.shards_computed == 0
    return [] if is_well else [f"the loser, run again, ended with {again}"]


def the_graph_changes_midway(world: World, place: str, folder: Path, bug: str) -> list[str]:
    """A driver is killed when half of its shards are done, and the graph mended before the next."""
    half = SHARDS // 2
    gate = str(folder / "go")
    numbers = write_input(place, SHARDS, gate=lambda shard: gate if shard >= half else "")
    first, second = VERSIONS
    driver = world.start_driver(spec_of(place, first), bug)
    await_condition(lambda: len(done_shards(place)) == half)
    driver.kill()
    (folder / "go").touch()
    ended = world.start_driver(spec_of(place, second), bug).outcome()
    if not isinstance(ended, RunResult):
        return [f"the mended graph's run ended with {ended}"]
    return problems(place, numbers, graph=second)
