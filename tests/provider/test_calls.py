"""The Jobs API's protocol, with no network: what is asked, repeated, understood and refused."""

from __future__ import annotations

import pytest

from airflow_provider.client import (
    Cluster,
    JobDetails,
    JobRequest,
    JobStatus,
    find_job,
    get_job,
    stop_and_verify,
    submit,
)
from airflow_provider.errors import JobNotFound, NotAuthorised, RayApiError, Unreachable
from tests.provider.driving import JOB, Script, error, job

REQUEST = JobRequest(submission_id=JOB, entrypoint="true")
AWAY = Unreachable("Ray does not answer")


@pytest.mark.parametrize(
    ("status", "is_terminal", "is_successful"),
    [
        ("PENDING", False, False),
        ("RUNNING", False, False),
        ("STOPPED", True, False),
        ("FAILED", True, False),
        ("SUCCEEDED", True, True),
    ],
)
def test_a_status_answers_questions(status: str, is_terminal: bool, is_successful: bool) -> None:
    state = JobStatus(status)
    assert (state.is_terminal, state.is_successful, state.is_active) == (
        is_terminal,
        is_successful,
        not is_terminal,
    )


def test_a_read_is_repeated_while_the_dashboard_is_briefly_away() -> None:
    script = Script([AWAY, error(503), job("RUNNING")])
    assert script.play(get_job(JOB)) == JobDetails(JOB, JobStatus.RUNNING)
    assert script.asked == [f"GET /api/jobs/{JOB}"] * 3
    assert 0.1 <= script.pauses[0] <= 0.2
    assert 0.3 <= script.pauses[1] <= 0.6


def test_a_read_is_repeated_a_bounded_number_of_times() -> None:
    script = Script([AWAY] * 9)
    with pytest.raises(Unreachable):
        script.play(get_job(JOB))
    assert len(script.asked) == 4


def test_an_unknown_job_is_not_found() -> None:
    with pytest.raises(JobNotFound, match=JOB):
        Script([error(404)]).play(get_job(JOB))
    assert Script([error(404)]).play(find_job(JOB)) is None


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_says_where_the_token_goes(status: int) -> None:
    with pytest.raises(NotAuthorised, match="token into the password of the Airflow connection"):
        Script([error(status)]).play(get_job(JOB))


def test_of_a_traceback_only_the_last_line_is_told() -> None:
    text = 'Traceback (most recent call last):\n  File "/opt/secret/place.py"\nValueError: bad id\n'
    with pytest.raises(RayApiError) as raised:
        Script([error(400, text)]).play(get_job(JOB))
    assert "Ray answered 400: ValueError: bad id" in str(raised.value)
    assert "/opt/secret" not in str(raised.value)


def test_an_answer_that_is_no_job_is_an_error_not_a_crash() -> None:
    with pytest.raises(RayApiError, match="no job"):
        Script([job("SLEEPING")]).play(get_job(JOB))


def test_a_submission_whose_answer_was_lost_is_looked_up_and_not_repeated() -> None:
    script = Script([AWAY, job("PENDING")])
    assert script.play(submit(REQUEST)).status is JobStatus.PENDING
    assert script.asked == ["POST /api/jobs/", f"GET /api/jobs/{JOB}"]


def test_a_submission_that_never_arrived_is_made_again() -> None:
    script = Script([AWAY, error(404), error(200), job("PENDING")])
    assert script.play(submit(REQUEST)).status is JobStatus.PENDING
    assert script.asked.count("POST /api/jobs/") == 2


def test_a_second_submission_of_the_same_id_finds_the_first() -> None:
    refused = error(500, "RuntimeError: Job with submission_id already exists")
    script = Script([refused, job("RUNNING")])
    assert script.play(submit(REQUEST)).status is JobStatus.RUNNING


def test_a_refused_submission_raises_what_ray_said() -> None:
    with pytest.raises(RayApiError, match="runtime_env is wrong"):
        Script([error(400, "ValueError: runtime_env is wrong"), error(404)]).play(submit(REQUEST))


def test_stopping_ends_when_the_cluster_says_stopped() -> None:
    script = Script([job("RUNNING"), error(200), job("RUNNING"), job("STOPPED")])
    last = script.play(stop_and_verify(JOB, clock=script.clock))
    assert last.status is JobStatus.STOPPED
    assert script.asked.count(f"POST /api/jobs/{JOB}/stop") == 1


def test_a_stop_that_does_nothing_is_asked_for_again() -> None:
    script = Script(
        [job("RUNNING"), error(200), *[job("RUNNING")] * 20, error(200), job("STOPPED")]
    )
    assert script.play(stop_and_verify(JOB, clock=script.clock)).status is JobStatus.STOPPED
    assert script.asked.count(f"POST /api/jobs/{JOB}/stop") == 2


def test_stopping_gives_up_after_its_patience_and_says_what_was_last_seen() -> None:
    script = Script([job("RUNNING"), error(200), *[job("RUNNING")] * 20])
    last = script.play(stop_and_verify(JOB, patience_s=2, clock=script.clock))
    assert last.status is JobStatus.RUNNING


def test_stopping_an_ended_or_unknown_job_asks_for_nothing() -> None:
    ended, unknown = Script([job("SUCCEEDED")]), Script([error(404)])
    assert ended.play(stop_and_verify(JOB)).status is JobStatus.SUCCEEDED
    assert unknown.play(stop_and_verify(JOB)) is None
    assert not any("stop" in asked for asked in ended.asked + unknown.asked)


def test_neither_a_token_nor_a_runtime_environment_shows_in_a_repr() -> None:
    request = JobRequest(JOB, "true", runtime_env={"env_vars": {"KEY": "planted"}})
    script = Script([error(200), job("PENDING")])
    script.play(submit(request))
    assert "planted" not in repr(request)
    assert "planted" not in repr(Cluster("http://head:8265", token="planted"))
    assert script.bodies[0]["runtime_env"] == {"env_vars": {"KEY": "planted"}}
