"""Who may advance a release, and where to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from graphs.errors import GateFailed, ReleaseInProgress
from graphs.promotion.release import NEXT, STALE_AFTER, advance, can_prove, claim, gate
from graphs.spec import (
    Counts,
    Input,
    LargestShare,
    Manifest,
    Release,
    ReleaseState,
    Report,
    Verdict,
)

NOW = datetime(2026, 11, 22, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def release(
    id: str = "r1", state: ReleaseState = "requested", owner: str = "job-1", age: timedelta = SECOND
) -> Release:
    return Release(
        id=id,
        graph="topics",
        version="v2",
        previous="v1",
        dataset="s3://b/d",
        partition_key="day",
        run_key="run",
        route="/topics",
        state=state,
        owner=owner,
        updated_at=NOW - age,
    )


WANTED = release(owner="job-2", age=timedelta(0))


def test_a_graph_without_a_release_or_with_an_ended_one_may_start() -> None:
    assert claim(None, WANTED) == WANTED
    assert claim(release(state="live"), WANTED) == WANTED
    assert claim(release(state="rolled_back"), WANTED) == WANTED


@pytest.mark.parametrize("state", ["requested", "deploying", "parity", "flipping"])
@pytest.mark.parametrize("id", ["r1", "other"])
def test_a_living_owner_is_not_disturbed(state: ReleaseState, id: str) -> None:
    held = release(id=id, state=state, age=STALE_AFTER - SECOND)

    with pytest.raises(ReleaseInProgress, match=r"'job-1'.*119 s ago"):
        claim(held, WANTED)


@pytest.mark.parametrize("state", ["requested", "deploying", "parity"])
def test_a_dead_release_of_the_same_work_starts_over_before_the_flip(state: ReleaseState) -> None:
    assert claim(release(state=state, age=STALE_AFTER), WANTED) == WANTED


def test_a_dead_release_of_the_same_work_goes_on_from_the_flip() -> None:
    held = release(state="flipping", age=STALE_AFTER)

    taken = claim(held, WANTED)

    assert taken == held.model_copy(update={"owner": "job-2", "updated_at": NOW})


def test_its_own_owner_need_not_wait() -> None:
    held = release(state="flipping", owner="job-2")

    assert claim(held, WANTED).state == "flipping"


def test_a_dead_release_of_other_work_comes_first() -> None:
    held = release(id="other", state="parity", age=STALE_AFTER)

    taken = claim(held, WANTED)

    assert (taken.id, taken.state, taken.owner) == ("other", "parity", "job-2")


def test_every_state_but_an_end_can_be_rolled_back_and_none_goes_back() -> None:
    order = get_args(ReleaseState)
    assert set(NEXT) == set(order)
    for state, following in NEXT.items():
        ends = state in ("live", "rolled_back")
        assert ("rolled_back" in following) is not ends
        assert all(order.index(after) > order.index(state) for after in following)


def test_advancing_records_when_and_what() -> None:
    after = advance(release(state="deploying"), "rolled_back", NOW, reason="no room")

    assert (after.state, after.updated_at, after.reason) == ("rolled_back", NOW, "no room")


def test_there_is_no_way_from_an_end() -> None:
    with pytest.raises(ValueError, match="from 'live' to 'deploying'"):
        advance(release(state="live"), "deploying", NOW)


COUNTS = Counts(rows_in=10, rows_out=10)


def manifest(**changes: object) -> Manifest:
    made = Manifest(
        run_key="run",
        graph="topics",
        version="v2",
        key="id",
        partition_key="day",
        input=Input(uri="s3://b/in"),
        files=(),
        counts=COUNTS,
        statistics={},
        committed_at=NOW,
    )
    return made.model_copy(update=changes)


def report(passed: bool = True, **changes: object) -> Report:
    verdict = Verdict(
        expectation=LargestShare(column="topic", maximum=0.5),
        passed=passed,
        observed="'maths' is 100.0 % of topic, allowed 50.0 %",
    )
    made = Report(
        run_key="run",
        graph="topics",
        version="v2",
        partition_key="day",
        verdicts=(verdict,),
        counts=COUNTS,
        statistics={},
        made_at=NOW,
    )
    return made.model_copy(update=changes)


def judge(m: Manifest | None, r: Report | None) -> Manifest:
    return gate(m, r, graph="topics", version="v2", where="here")


def test_a_passing_report_by_the_same_version_opens_the_gate() -> None:
    assert judge(manifest(), report()) == manifest()


def test_a_failed_expectation_closes_the_gate_and_is_named() -> None:
    with pytest.raises(GateFailed, match=r"largest_share: 'maths' is 100\.0 % of topic"):
        judge(manifest(), report(passed=False))


@pytest.mark.parametrize(
    ("m", "r", "said"),
    [
        (None, None, "no snapshot is committed"),
        (
            manifest(version="v1"),
            report(),
            "made by version v1 of 'topics'; 'topics' compiles to v2",
        ),
        (manifest(), None, "has no report"),
        (manifest(), report(run_key="old"), "has no report"),
    ],
)
def test_the_gate_says_what_is_missing(m: Manifest | None, r: Report | None, said: str) -> None:
    with pytest.raises(GateFailed, match=said):
        judge(m, r)


def test_a_snapshot_without_rows_proves_no_new_version() -> None:
    with pytest.raises(GateFailed, match="has no rows, so there is nothing to compare"):
        can_prove(manifest(counts=Counts()), where="day")
