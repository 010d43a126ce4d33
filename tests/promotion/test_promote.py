"""What does a promotion leave behind, whatever happens on its way?"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from graphs.errors import DeployFailed, GateFailed, GraphsError, ParityFailed, ReleaseInProgress
from graphs.promotion.release import STALE_AFTER
from graphs.spec import PromotionSpec, Release, ReleaseResult
from tests.promotion.cluster import ROOT, Cluster
from tests.promotion.worlds import (
    APART,
    CHAMPION,
    NEXT,
    NEXT_WEIGHTS,
    WEIGHTS,
    Crowd,
    World,
    ask,
    row,
)

pytestmark = pytest.mark.server


@pytest.fixture
def world(serving: Cluster, tmp_path: Path) -> Iterator[World]:
    yield World(tmp_path, serving.serve_address)
    from graphs.runtimes.ray_serve.deploy import applications, retire

    for app in applications():
        retire(app)


@pytest.fixture
def champion(world: World) -> ReleaseResult:
    """A world in which the first version is live already."""
    world.commit()
    return promote(world.spec())


def promote(spec: PromotionSpec, owner: str = "job-1") -> ReleaseResult:
    from graphs.runtimes.ray_serve.promote import promote

    return promote(spec, owner=owner)


def answering(world: World) -> str:
    answer = ask(world.url, [row("a", "one two"), row("b")])
    assert answer.status == 200
    return answer.headers["X-Graph-Version"]


def alias(world: World) -> str | None:
    found = world.registry.read_alias("praise", "champion")
    return found[0].version if found else None


def release(world: World) -> Release:
    found = world.registry.read_release("praise")
    assert found is not None
    return found[0]


def apps() -> list[str]:
    from graphs.runtimes.ray_serve.deploy import applications

    return sorted(applications())


def test_a_first_promotion_brings_the_version_to_its_route(world: World) -> None:
    manifest = world.commit()

    result = promote(world.spec())

    assert (result.version, result.previous, result.was_live) == (manifest.version, None, False)
    assert (result.parity.sampled, result.parity.agreed) == (40, 40)
    assert answering(world) == alias(world) == manifest.version
    assert (release(world).state, release(world).parity) == ("live", result.parity)
    assert apps() == ["praise"]


def test_promoting_what_is_live_asks_for_parity_and_moves_nothing(
    world: World, champion: ReleaseResult
) -> None:
    before = release(world)
    world.commit(partition_key="day-2", rows=10)

    again = promote(world.spec(partition_key="day-2"), owner="job-2")

    assert (again.was_live, again.version) == (True, champion.version)
    assert again.parity.sampled == 10
    assert release(world) == before


def test_a_day_without_rows_changes_nothing_for_the_version_that_is_live(
    world: World, champion: ReleaseResult
) -> None:
    world.commit(partition_key="holiday", rows=0)

    again = promote(world.spec(partition_key="holiday"), owner="job-2")

    assert (again.was_live, again.version, again.parity.sampled) == (True, champion.version, 0)


def test_a_flip_drops_no_request_and_every_answer_is_of_one_of_both_versions(
    world: World, champion: ReleaseResult
) -> None:
    world.commit(NEXT)

    with Crowd(world.url) as crowd:
        result = promote(world.spec(NEXT))

    assert crowd.failures == []
    assert set(crowd.versions) == {champion.version, result.version}
    assert (result.previous, result.was_live) == (champion.version, False)
    assert answering(world) == alias(world) == result.version
    assert apps() == ["praise"]


def test_a_version_in_several_processes_goes_live_and_makes_way_again(
    world: World, champion: ReleaseResult
) -> None:
    world.commit(APART)

    with Crowd(world.url) as crowd:
        apart = promote(world.spec(APART))
        while_live = apps()
        world.commit(CHAMPION)
        promote(world.spec(), owner="job-2")

    assert crowd.failures == []
    assert set(crowd.versions) == {champion.version, apart.version}
    assert while_live == ["praise", f"praise.{apart.version}.praise.WeighApart"]
    assert apps() == ["praise"]


def test_a_further_process_that_finds_another_artifact_never_takes_a_request(
    world: World, champion: ReleaseResult
) -> None:
    world.commit(APART)

    with (
        spoiled_when(world, "flipping", '{"factor": 0.2}'),
        pytest.raises(DeployFailed, match="code and artifacts here are of version"),
    ):
        promote(world.spec(APART))

    assert answering(world) == alias(world) == champion.version
    assert apps() == ["praise"]


def test_a_failed_gate_touches_nothing_and_names_the_expectation(
    world: World, champion: ReleaseResult
) -> None:
    before = release(world)
    world.commit(NEXT, passed=False)

    with pytest.raises(GateFailed, match="no_nulls: 3 nulls in score"):
        promote(world.spec(NEXT))

    assert answering(world) == alias(world) == champion.version
    assert release(world) == before


def test_a_tampered_artifact_fails_parity_and_the_champion_keeps_answering(
    world: World, champion: ReleaseResult
) -> None:
    world.commit(NEXT)

    with spoiled_when(world, "deploying", '{"factor": 0.2}'), pytest.raises(ParityFailed) as failed:
        promote(world.spec(NEXT))

    text = str(failed.value)
    assert "40 of 40 sampled keys differ: id='k" in text
    assert "score is 0." in text
    assert "offline, 0." in text
    assert answering(world) == alias(world) == champion.version
    assert release(world).state == "rolled_back"
    assert "ParityFailed" in release(world).reason
    assert apps() == ["praise"]


@pytest.mark.parametrize(
    ("artifacts", "told"),
    [
        ((NEXT_WEIGHTS,), "Version {} answers at /praise."),
        ((NEXT_WEIGHTS, WEIGHTS), "Version {} still answers at /praise, by replicas that Serve"),
    ],
    ids=["restored", "kept"],
)
def test_an_artifact_tampered_with_after_parity_never_takes_a_request(
    world: World, champion: ReleaseResult, artifacts: tuple[Path, ...], told: str
) -> None:
    world.commit(NEXT)

    with (
        Crowd(world.url) as crowd,
        spoiled_when(world, "flipping", '{"factor": 0.2}', *artifacts),
        pytest.raises(DeployFailed, match="rows differ from the snapshot: id='k"),
    ):
        promote(world.spec(NEXT))

    assert crowd.failures == []
    assert set(crowd.versions) == {champion.version}
    assert alias(world) == champion.version
    assert told.format(champion.version) in release(world).reason


def test_a_candidate_that_does_not_load_leaves_the_champion_and_says_why(
    world: World, champion: ReleaseResult
) -> None:
    world.commit(NEXT)

    with (
        spoiled_when(world, "deploying", "no json"),
        pytest.raises(DeployFailed, match="node 'WeighWords': loading failed: JSON"),
    ):
        promote(world.spec(NEXT))

    assert answering(world) == alias(world) == champion.version
    assert apps() == ["praise"]


def test_a_first_release_that_fails_at_the_flip_leaves_no_route(world: World) -> None:
    world.commit()

    with (
        spoiled_when(world, "flipping", '{"factor": 0.2}', WEIGHTS),
        pytest.raises(DeployFailed),
    ):
        promote(world.spec())

    assert ask(world.url, row()).status == 404
    assert (alias(world), apps()) == (None, [])
    assert "Nothing answers at /praise" in release(world).reason


def test_of_two_promotions_at_once_one_wins_and_the_other_is_told(
    world: World, champion: ReleaseResult
) -> None:
    manifest = world.commit(NEXT)

    def attempt(owner: str) -> ReleaseResult | GraphsError:
        try:
            return promote(world.spec(NEXT), owner)
        except GraphsError as error:
            return error

    with ThreadPoolExecutor(2) as owners:
        ended = list(owners.map(attempt, ["job-a", "job-b"]))

    won = [result for result in ended if isinstance(result, ReleaseResult)]
    lost = [result for result in ended if isinstance(result, ReleaseInProgress)]
    assert (len(won), len(lost)) == (1, 1)
    assert answering(world) == alias(world) == manifest.version


@pytest.mark.parametrize("point", ["requested", "deploying", "parity", "flipping", "alias", "live"])
def test_whoever_comes_after_a_kill_finishes_the_release(
    serving: Cluster, world: World, point: str
) -> None:
    manifest = world.commit()
    killed_promotion(serving, world.spec(), "job-1", point)
    assert release(world).state == ("flipping" if point == "alias" else point)

    result = promote(world.spec(), owner="job-1")

    assert result.was_live is (point == "live")
    assert release(world).state == "live"
    assert answering(world) == alias(world) == manifest.version
    assert apps() == ["praise"]


def test_a_dead_release_of_another_version_is_settled_first(
    serving: Cluster, world: World, champion: ReleaseResult
) -> None:
    dead = world.commit(NEXT)
    killed_promotion(serving, world.spec(NEXT), "job-dead", "alias")
    world.commit(CHAMPION)

    with pytest.raises(ReleaseInProgress, match="'job-dead'"):
        promote(world.spec(), owner="job-2")
    grow_old(world)
    result = promote(world.spec(), owner="job-2")

    assert (result.previous, result.version) == (dead.version, champion.version)
    assert answering(world) == alias(world) == champion.version
    history = {(r.version, r.state) for r in world.registry.releases("praise")}
    assert history >= {(dead.version, "live"), (champion.version, "live")}


def test_a_release_that_died_before_its_flip_is_rolled_back_by_the_next(
    serving: Cluster, world: World, champion: ReleaseResult
) -> None:
    dead = world.commit(NEXT)
    killed_promotion(serving, world.spec(NEXT), "job-dead", "parity")
    assert len(apps()) == 2
    grow_old(world)
    world.commit(CHAMPION, partition_key="day-2", rows=12)

    result = promote(world.spec(partition_key="day-2"), owner="job-2")

    assert result.version == champion.version == alias(world)
    (rolled_back,) = [r for r in world.registry.releases("praise") if r.version == dead.version]
    assert "its owner died while it was 'parity'" in rolled_back.reason
    assert apps() == ["praise"]


def grow_old(world: World) -> None:
    """Let a release look as if nobody had touched it for long."""
    found = world.registry.read_release("praise")
    assert found is not None
    held, etag = found
    before = held.updated_at - STALE_AFTER - timedelta(seconds=1)
    world.registry.write_release(held.model_copy(update={"updated_at": before}), etag)


def killed_promotion(serving: Cluster, spec: PromotionSpec, owner: str, point: str) -> None:
    command = [sys.executable, "-m", "tests.promotion.promoter"]
    ended = subprocess.run(
        [*command, serving.ray_address, owner, point, spec.model_dump_json()],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == -9, ended.stderr


@contextmanager
def spoiled_when(world: World, state: str, content: str, *artifacts: Path) -> Iterator[None]:
    """Replace models' artifacts as soon as a release reaches a state; put them back after."""
    files = artifacts or (NEXT_WEIGHTS,)
    good = {file: (file.read_text(), file.stat()) for file in files}
    ended = threading.Event()

    def reached() -> bool:
        found = world.registry.read_release("praise")
        return found is not None and found[0].state == state

    def watch() -> None:
        while not ended.wait(0.01):
            if reached():
                for file in files:
                    file.write_text(content)
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        for file, (text, stat) in good.items():
            file.write_text(text)
            os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
