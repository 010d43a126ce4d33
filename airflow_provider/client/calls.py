"""Calls to Ray's Jobs REST API as generators that do no I/O.

A call yields :class:`Request`, :class:`Pause` and :class:`Say` steps and is sent responses, so
protocol, retries and error mapping are written once and tested by ``==``. Source of the endpoints:
``ray/dashboard/modules/job/job_head.py`` (Ray 2.60).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote

from airflow_provider.client.records import (
    Call,
    JobDetails,
    JobRequest,
    JobStatus,
    Pause,
    Request,
    Response,
)
from airflow_provider.errors import (
    JobNotFound,
    NotAuthorised,
    RayApiError,
    RayError,
    Unreachable,
)


class Endpoint(NamedTuple):
    """One operation of the API, and whether repeating it changes nothing."""

    method: str
    path: str
    is_repeatable: bool


ENDPOINTS = {
    "version": Endpoint("GET", "/api/version", True),
    "get": Endpoint("GET", "/api/jobs/{submission_id}", True),
    "log": Endpoint("GET", "/api/jobs/{submission_id}/logs", True),
    "submit": Endpoint("POST", "/api/jobs/", False),
    # Stopping a stopped job is a no-op, so asking twice is safe.
    "stop": Endpoint("POST", "/api/jobs/{submission_id}/stop", True),
}

RETRY_PAUSES_S = (0.2, 0.6, 1.8)
"""Upper bounds of the pauses between tries; jitter takes up to half of each away."""

STOP_AGAIN_S = 5.0
"""Ray may answer a stop with true and do nothing (ray#58353), so it is asked again."""

_BRIEFLY_AWAY = frozenset({429, 500, 502, 503, 504})


def ray_version() -> Call[str]:
    """Version of Ray that the cluster runs."""
    response = yield from ask("version")
    return str(response.body["ray_version"])


def get_job(submission_id: str, *, tries: int = 4) -> Call[JobDetails]:
    """What the cluster knows of a job.

    Raises:
        JobNotFound: it knows none of this id.
    """
    response = yield from ask("get", tries=tries, submission_id=submission_id)
    try:
        return JobDetails(
            submission_id=submission_id,
            status=JobStatus(response.body["status"]),
            message=response.body.get("message") or "",
            exit_code=response.body.get("driver_exit_code"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RayApiError(
            f"the dashboard's answer is no job ({type(error).__name__})",
            where=f"job {submission_id!r}",
            remedy="Is this the address of a Ray dashboard of version 2.60 or newer?",
        ) from error


def find_job(submission_id: str) -> Call[JobDetails | None]:
    """Like :func:`get_job`, but ``None`` when the cluster knows no such job."""
    try:
        return (yield from get_job(submission_id))
    except JobNotFound:
        return None


def read_log(submission_id: str, *, tries: int = 4) -> Call[str]:
    """All that the job's driver has written to stdout and stderr so far."""
    response = yield from ask("log", tries=tries, submission_id=submission_id)
    body = response.body
    return str(body.get("logs") or "") if isinstance(body, dict) else ""


def submit(job: JobRequest, *, tries: int = 3) -> Call[JobDetails]:
    """Starts a job, or finds that it was started before.

    Ray refuses a second submission of the same id, so after any doubt (no answer, an error) the
    id is looked up; only when the cluster does not know it is it submitted again.

    Raises:
        RayApiError: the cluster refuses the job.
        Unreachable, NotAuthorised: it cannot be asked.
    """
    body = {
        "entrypoint": job.entrypoint,
        "submission_id": job.submission_id,
        "metadata": dict(job.metadata),
        "runtime_env": dict(job.runtime_env),
    }
    for left in reversed(range(tries)):
        try:
            yield from ask("submit", body=body)
        except NotAuthorised:
            raise
        except RayError as error:
            found = yield from find_job(job.submission_id)
            if found is not None:
                return found
            if not left or not isinstance(error, Unreachable):
                raise
        else:
            return (yield from get_job(job.submission_id))
    raise AssertionError("unreachable: the last try returns or raises")


def stop_and_verify(
    submission_id: str, *, patience_s: float = 20.0, clock: Callable[[], float] = time.monotonic
) -> Call[JobDetails | None]:
    """Stops a job and waits until the cluster says that it has ended.

    Returns:
        The job as last seen: ask ``status.is_terminal``. ``None`` when there is no such job.

    Raises:
        RayError: the cluster could not be asked until patience ran out.
    """
    give_up_at = clock() + patience_s
    ask_again_at = clock()
    while True:
        try:
            job = yield from get_job(submission_id, tries=1)
            if job.status.is_terminal or clock() >= give_up_at:
                return job
            if clock() >= ask_again_at:
                yield from ask("stop", tries=1, submission_id=submission_id)
                ask_again_at = clock() + STOP_AGAIN_S
        except JobNotFound:
            return None
        except NotAuthorised:
            raise
        except RayError:
            if clock() >= give_up_at:
                raise
        yield Pause(0.25)


def ask(name: str, *, body: Any = None, tries: int = 4, **names: str) -> Call[Response]:
    """One request to an endpoint, repeated within bounds when that is safe."""
    endpoint = ENDPOINTS[name]
    quoted = {key: quote(value, safe="") for key, value in names.items()}
    request = Request(endpoint.method, endpoint.path.format(**quoted), body)
    pauses = RETRY_PAUSES_S[: tries - 1] if endpoint.is_repeatable else ()
    for pause in pauses:
        try:
            response = yield request
        except Unreachable:
            pass
        else:
            if response is None or response.status not in _BRIEFLY_AWAY:
                return _checked(response, request, names)
        yield Pause(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
    return _checked((yield request), request, names)


def _checked(response: Response | None, request: Request, names: dict[str, str]) -> Response:
    if response is None:
        raise AssertionError("the driver must answer a request with a response")
    if response.status < 400:
        return response
    where = f"{request.method} {request.path}"
    if response.status in (401, 403):
        raise NotAuthorised(
            f"Ray answered {response.status}",
            where=where,
            remedy="Put the cluster's token into the password of the Airflow connection; "
            "`ray get-auth-token` on the head node prints it",
        )
    if response.status == 404 and "submission_id" in names:
        raise JobNotFound(
            f"the cluster knows no job {names['submission_id']!r}",
            remedy="Was Ray's head restarted since it was submitted?",
        )
    # Ray answers errors with a traceback: its last line says what was wrong.
    lines = [line.strip() for line in response.text.splitlines() if line.strip()]
    problem = lines[-1][:300] if lines else "no explanation"
    raise RayApiError(f"Ray answered {response.status}: {problem}", where=where)
