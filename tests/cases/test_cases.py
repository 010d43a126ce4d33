"""Every case, on every runtime: the same rows, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from graphs.compiler import compile
from graphs.errors import CheckFailed
from tests.cases.carrying_out import inline, on_ray_data, on_ray_serve
from tests.cases.case import Case, differences
from tests.cases.conftest import is_for_online
from tests.cases.suite import CASES


def for_each(target: str) -> pytest.MarkDecorator:
    """Every case that a target can carry out."""
    fitting = [case for case in CASES if target not in case.refused]
    if target == "online":
        fitting = [case for case in fitting if is_for_online(case)]
    return pytest.mark.parametrize("case", fitting, ids=lambda case: case.name)


@for_each("inline")
@pytest.mark.parametrize("batch_rows", [None, 1, 2, 3])
def test_a_case_in_this_process_in_batches_of_any_size(case: Case, batch_rows: int | None) -> None:
    assert differences(case, inline(case, batch_rows)) == []


@pytest.mark.server
@pytest.mark.usefixtures("cluster")
@for_each("offline")
def test_a_case_on_ray_data(case: Case, tmp_path: Path) -> None:
    outcome = on_ray_data(case, tmp_path)

    assert differences(case, outcome) == []
    assert outcome.rejected == inline(case).rejected
    assert len(compile(case.graph.graph, "offline").stages) == case.stages


@pytest.mark.server
@for_each("online")
def test_a_case_on_ray_serve(case: Case, served: Callable[[Case], str]) -> None:
    outcome = on_ray_serve(case, served(case))

    assert differences(case, outcome) == []
    assert outcome.rejected == inline(case).rejected


@pytest.mark.parametrize(
    ("case", "target"),
    [
        pytest.param(case, target, id=f"{case.name}, {target}")
        for case in CASES
        for target in case.refused
    ],
)
def test_what_a_target_cannot_carry_is_refused_with_the_reason(case: Case, target: str) -> None:
    with pytest.raises(CheckFailed) as caught:
        compile(case.graph.graph, target)  # type: ignore[call-overload]

    assert caught.value.problems == (case.refused[target],)
