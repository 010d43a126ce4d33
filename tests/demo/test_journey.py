"""The demo succeeds only if every promise was kept."""

from __future__ import annotations

import pytest

from demo.journey import EXPECTED_TOPIC, ROWS_A_DAY, Figures, StepFailed, check
from graphs.spec import Counts, Parity, ReleaseResult, RunResult


def run(
    rows_out: int = ROWS_A_DAY, version: str = "v1", failures: tuple[str, ...] = ()
) -> RunResult:
    return RunResult(
        graph="topics",
        version=version,
        run_key="key",
        partition_key="2026-03-01",
        dataset="s3://lake/topics",
        manifest="s3://lake/topics/manifests/2026-03-01.json",
        passed=not failures,
        failures=failures,
        counts=Counts(rows_in=ROWS_A_DAY, rows_out=rows_out),
        shards=8,
        shards_computed=8,
        shards_resumed=0,
        was_committed=False,
        seconds=1,
        rows_per_s=1_000,
    )


def release(agreed: int = 100) -> ReleaseResult:
    return ReleaseResult(
        release="r1",
        graph="topics",
        version="v1",
        previous=None,
        route="/topics",
        parity=Parity(sampled=100, agreed=agreed, largest_difference={}),
        was_live=False,
        seconds=1,
    )


def figures(
    *, answering_version: str = "v1", topic: str = EXPECTED_TOPIC, **parts: object
) -> Figures:
    return Figures(
        runs=[parts.get("run", run())],  # type: ignore[list-item]
        releases=[parts.get("release", release())],  # type: ignore[list-item]
        answer={"topic": topic, "score": 0.5},
        answering_version=answering_version,
    )


def test_figures_that_hold_pass() -> None:
    check(figures())


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (figures(run=run(rows_out=999)), "1000 rows in, but 999 out"),
        (figures(run=run(failures=("no_nulls: 3 nulls",))), "no_nulls: 3 nulls"),
        (figures(run=run(version="v0")), "versions differ"),
        (figures(answering_version="v0"), "versions differ"),
        (figures(release=release(agreed=99)), "99 of 100 sampled keys"),
        (figures(topic="databases"), "was answered with"),
    ],
)
def test_any_broken_promise_fails_the_demo(broken: Figures, problem: str) -> None:
    with pytest.raises(StepFailed, match=problem):
        check(broken)
