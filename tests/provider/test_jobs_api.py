"""The client against a real Ray cluster that asks for its token."""

from __future__ import annotations

import asyncio
import socket
import time
import uuid

import pytest

from airflow_provider.client import (
    AsyncRayClient,
    Cluster,
    JobRequest,
    JobStatus,
    RayClient,
    SubmittedJob,
    find_job,
    follow,
    get_job,
    ray_version,
    read_log,
    stop_and_verify,
    submit,
)
from airflow_provider.errors import BadConnection, JobNotFound, NotAuthorised, Unreachable

pytestmark = pytest.mark.server


def request(entrypoint: str) -> JobRequest:
    return JobRequest(
        f"test-{uuid.uuid4().hex[:12]}-0", entrypoint, metadata={"airflow_dag_id": "t"}
    )


def submitted(job: JobRequest, *, deadline: float | None = None) -> SubmittedJob:
    identity, _, ordinal = job.submission_id.rpartition("-")
    return SubmittedJob(
        identity=identity, ordinal=int(ordinal), outcome="", since=time.time(), deadline=deadline
    )


def test_a_job_is_submitted_followed_and_its_log_told_in_order(cluster: Cluster) -> None:
    told: list[str] = []
    job = request("python -uc \"import time\nfor i in range(6): print('line', i); time.sleep(.5)\"")
    with RayClient(cluster, say=told.append) as ray:
        ray.run(submit(job))
        end = ray.run(follow(submitted(job)))
    assert (end.cause, end.status) == ("ended", JobStatus.SUCCEEDED)
    lines = [line for line in "\n".join(told).splitlines() if line.startswith("line ")]
    assert lines == [f"line {number}" for number in range(6)]
    assert len(told) > 1, "lines arrive while the job runs"
    assert end.log_tail.endswith("line 5")


def test_submitting_twice_starts_one_job(ray: RayClient) -> None:
    job = request("python -c 'import time; time.sleep(1)'")
    first, second = ray.run(submit(job)), ray.run(submit(job))
    assert first.submission_id == second.submission_id == job.submission_id
    assert second.status.is_active
    ray.run(follow(submitted(job)))
    assert ray.run(read_log(job.submission_id)).count("Running entrypoint") == 1


def test_a_failed_job_says_how_its_driver_ended(ray: RayClient) -> None:
    job = request("python -c \"print('last words'); raise SystemExit(3)\"")
    ray.run(submit(job))
    end = ray.run(follow(submitted(job)))
    assert end.status is JobStatus.FAILED
    assert "exit code 3" in end.message
    assert "last words" in end.log_tail


def test_a_stop_is_verified(ray: RayClient) -> None:
    job = request("python -c 'import time; time.sleep(600)'")
    ray.run(submit(job))
    last = ray.run(stop_and_verify(job.submission_id))
    assert last is not None
    assert last.status is JobStatus.STOPPED
    assert ray.run(get_job(job.submission_id)).status is JobStatus.STOPPED


def test_the_deadline_stops_the_job(ray: RayClient) -> None:
    job = request("python -c 'import time; time.sleep(600)'")
    ray.run(submit(job))
    end = ray.run(follow(submitted(job, deadline=time.time() + 2)))
    assert (end.cause, end.status) == ("deadline", JobStatus.STOPPED)


def test_the_async_driver_does_the_same_without_blocking_the_loop(cluster: Cluster) -> None:
    job = request("python -c 'import time; time.sleep(2)'")

    async def main() -> tuple[JobStatus | None, float]:
        async with AsyncRayClient(cluster) as ray:
            await ray.run(submit(job))
            following = asyncio.create_task(ray.run(follow(submitted(job))))
            slowest = 0.0
            while not following.done():
                before = time.perf_counter()
                await asyncio.sleep(0.01)
                slowest = max(slowest, time.perf_counter() - before - 0.01)
            return following.result().status, slowest

    status, slowest = asyncio.run(main())
    assert status is JobStatus.SUCCEEDED
    assert slowest < 0.2, "Airflow warns of a loop that was blocked for longer"


@pytest.mark.parametrize("token", ["", "wrong"])
def test_a_missing_or_wrong_token_is_refused_with_the_remedy(cluster: Cluster, token: str) -> None:
    with (
        RayClient(Cluster(cluster.address, token=token)) as ray,
        pytest.raises(NotAuthorised, match="password of the Airflow connection") as raised,
    ):
        ray.run(submit(request("true")))
    assert cluster.token not in str(raised.value)


def test_an_unknown_job_is_not_found(ray: RayClient) -> None:
    assert ray.run(find_job("nobody")) is None
    with pytest.raises(JobNotFound, match="nobody"):
        ray.run(get_job("nobody"))


def test_the_version_is_that_of_the_cluster(ray: RayClient) -> None:
    assert ray.run(ray_version()).startswith("2.")


def test_an_address_where_nothing_answers_is_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    with RayClient(Cluster(address)) as ray, pytest.raises(Unreachable, match=address):
        ray.run(ray_version())


def test_an_address_that_is_none_is_told_so() -> None:
    with RayClient(Cluster("gopher://head")) as ray, pytest.raises(BadConnection, match="gopher"):
        ray.run(ray_version())
