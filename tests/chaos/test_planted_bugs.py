"""Would the suite notice? Each scene is clean, and red once the bug is planted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos import scenes
from tests.chaos.bugs import BUGS
from tests.chaos.world import World

Scene = Callable[[World, str, Path, str], list[str]]

SCENES: dict[str, tuple[Scene, str]] = {
    "done_record_before_data": (scenes.a_writer_dies_after("done-record"), "do not exist"),
    "files_by_prefix": (scenes.a_writer_dies_after("data file"), "keys are doubled"),
    "manifest_without_condition": (scenes.two_runs_race, "2 of two runs say that they committed"),
    "run_key_without_version": (scenes.the_graph_changes_midway, "what another run computed"),
}
pytestmark = pytest.mark.server


def test_every_bug_has_a_scene() -> None:
    assert SCENES.keys() == BUGS.keys()


# What two runs come to without the bug stands in test_two_drivers.
@pytest.mark.parametrize("bug", [bug for bug in BUGS if bug != "manifest_without_condition"])
def test_without_the_bug_its_scene_is_clean(
    bug: str, world: World, place: str, tmp_path: Path
) -> None:
    scene, _ = SCENES[bug]

    assert scene(world, place, tmp_path, "") == []


@pytest.mark.parametrize("bug", BUGS)
def test_with_the_bug_its_scene_is_red(bug: str, world: World, place: str, tmp_path: Path) -> None:
    scene, said = SCENES[bug]

    assert said in "\n".join(scene(world, place, tmp_path, bug))
