"""Following a job, with no network and no time: polls, log lines, lost contact, the deadline."""

from __future__ import annotations

import pytest

from airflow_provider.client import JobEnd, JobStatus, Response, SubmittedJob, follow
from airflow_provider.client.following import LOG_LIMIT, tick_s
from airflow_provider.errors import RayError, Unreachable
from tests.provider.driving import JOB, Script, error, job, log_of

AWAY = Unreachable("Ray does not answer")


def submitted(deadline: float | None = None) -> SubmittedJob:
    return SubmittedJob(
        identity="score-0a1b", ordinal=0, outcome="/out/jobs/x.json", since=1000, deadline=deadline
    )


def followed(script: Script, *, deadline: float | None = None, patience_s: float = 60) -> JobEnd:
    call = follow(submitted(deadline), patience_s=patience_s, clock=script.clock)
    end = script.play(call)
    assert isinstance(end, JobEnd)
    return end


def test_the_end_says_how_it_came_and_what_the_log_ended_with() -> None:
    script = Script([job("PENDING"), job("RUNNING"), job("FAILED", message="exit code 1")])
    script.log = lambda _: log_of("one\ntwo\n")
    end = followed(script)
    assert end.job.submission_id == JOB
    assert (end.cause, end.status, end.message) == ("ended", JobStatus.FAILED, "exit code 1")
    assert end.log_tail == "one\ntwo"


def test_the_end_is_a_wire_format_that_reads_back() -> None:
    end = followed(Script([job("SUCCEEDED")]))
    assert JobEnd.model_validate_json(end.model_dump_json()) == end


def test_young_jobs_are_polled_quickly_and_old_ones_slowly() -> None:
    assert [tick_s(age) for age in (0, 30, 60, 150, 10_000)] == [0.5, 0.5, 1.0, 2.5, 5.0]


def test_every_line_is_told_once_and_in_order_while_the_job_runs() -> None:
    def growing(now: float) -> Response:
        """A line a second, the last one half written."""
        count = int(now - 1000)
        return log_of("".join(f"line {number}\n" for number in range(count)) + "li")

    script = Script([*[job("RUNNING")] * 30, job("SUCCEEDED")], log=growing)
    followed(script)
    told = "\n".join(script.said).splitlines()
    assert len(script.said) > 3, "lines are told while the job runs, not at its end only"
    assert told == [*(f"line {number}" for number in range(15)), "li"]


def test_a_lost_poll_of_the_log_loses_no_line() -> None:
    def flaky(now: float) -> Response | RayError:
        return AWAY if now < 1003 else log_of("one\ntwo\n")

    script = Script([*[job("RUNNING")] * 10, job("SUCCEEDED")], log=flaky)
    followed(script)
    assert script.said == ["one\ntwo"]


def test_of_a_huge_log_the_beginning_is_told_and_the_tail_is_kept_for_the_error() -> None:
    huge = "x" * 99 + "\n"
    text = huge * (LOG_LIMIT // 100 + 10) + "the last word\n"
    script = Script([*[job("RUNNING")] * 10, job("FAILED")], log=lambda _: log_of(text))
    end = followed(script)
    assert sum(map(len, script.said)) < LOG_LIMIT + 200
    assert "Ray's dashboard" in script.said[-1]
    assert end.log_tail.endswith("the last word")
    assert sum(asked.endswith("/logs") for asked in script.asked) == 2


def test_a_dashboard_that_is_away_for_minutes_is_waited_for() -> None:
    script = Script([job("RUNNING"), *[AWAY] * 50, error(500), job("SUCCEEDED")])
    end = followed(script)
    assert (end.cause, end.status) == ("ended", JobStatus.SUCCEEDED)
    assert sum("No word of the job" in said for said in script.said) == 1
    assert "Ray answers again" in script.said


def test_a_dashboard_that_stays_away_ends_the_following_with_what_is_known() -> None:
    script = Script([job("RUNNING"), *[AWAY] * 500])
    end = followed(script)
    assert (end.cause, end.status) == ("out_of_reach", JobStatus.RUNNING)
    assert "does not answer" in end.message


def test_a_cluster_that_forgot_the_job_is_believed_only_when_it_says_so_again() -> None:
    starting = Script([job("RUNNING"), error(404), error(404), job("SUCCEEDED")])
    assert followed(starting).cause == "ended"
    assert followed(Script([job("RUNNING"), *[error(404)] * 3])).cause == "lost"


def test_at_the_deadline_the_job_is_stopped_and_the_stop_is_verified() -> None:
    running = [job("RUNNING")] * 5
    script = Script([*running, job("RUNNING"), error(200), job("RUNNING"), job("STOPPED")])
    end = followed(script, deadline=1002)
    assert (end.cause, end.status) == ("deadline", JobStatus.STOPPED)
    assert f"POST /api/jobs/{JOB}/stop" in script.asked


def test_the_deadline_holds_while_the_dashboard_is_away() -> None:
    script = Script([job("RUNNING"), *[AWAY] * 4, job("RUNNING"), error(200), job("STOPPED")])
    assert followed(script, deadline=1002).cause == "deadline"


def test_a_job_that_ended_just_in_time_is_not_reported_late() -> None:
    assert followed(Script([job("SUCCEEDED")]), deadline=1000).cause == "ended"


def test_following_never_stops_a_job_without_a_deadline() -> None:
    script = Script([*[job("RUNNING")] * 200, job("SUCCEEDED")])
    followed(script)
    assert not any(asked.endswith("/stop") for asked in script.asked)


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_refused_meanwhile_is_waited_out_like_lost_contact(status: int) -> None:
    script = Script([job("RUNNING"), error(status), job("SUCCEEDED")])
    assert followed(script).cause == "ended"
