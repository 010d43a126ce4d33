"""Airflow's public REST API, as far as the demo and the tests need it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote

import httpx

TICK_S = 0.3


class StillNot(Exception):
    """What was waited for did not happen in time; says what was seen instead."""


@dataclass(frozen=True)
class DagRun:
    """A DAG run as the API reports it."""

    dag_id: str
    run_id: str
    state: str
    logical_date: datetime | None
    partition_key: str | None

    @property
    def is_finished(self) -> bool:
        return self.state in ("success", "failed")


@dataclass(frozen=True)
class TaskInstance:
    """A task instance as the API reports it."""

    task_id: str
    state: str | None
    try_number: int
    started_at: str | None
    ended_at: str | None

    @property
    def is_finished(self) -> bool:
        return self.state in ("success", "failed", "upstream_failed", "skipped", "removed")


class AirflowApi:
    """A client that signs in as the demo's administrator."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client: httpx.Client | None = None

    def health(self) -> dict[str, dict[str, Any]]:
        """Health of each component."""
        response = httpx.get(f"{self.url}/api/v2/monitor/health", timeout=10)
        response.raise_for_status()
        return response.json()  # type: ignore[no-any-return]

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler start the runs of a DAG."""
        self._call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def await_dag(self, dag_id: str, *, within_s: float = 60) -> None:
        """Wait until the dag processor has parsed a DAG.

        Raises:
            StillNot: it has not; says which files did not import.
        """

        def is_known() -> bool:
            known = self._request("GET", f"/dags/{dag_id}").is_success
            if not known and (errors := self.import_errors()):
                raise StillNot(f"DAG {dag_id!r} did not import:\n" + "\n".join(errors))
            return known

        wait_until(is_known, f"DAG {dag_id!r} to be parsed", within_s=within_s)

    def import_errors(self) -> list[str]:
        """Errors of DAG files."""
        found = self._call("GET", "/importErrors")["import_errors"]
        return [f"{error['filename']}\n{error['stack_trace']}" for error in found]

    def trigger(
        self,
        dag_id: str,
        *,
        logical_date: datetime | None = None,
        partition_key: str | None = None,
        conf: dict[str, Any] | None = None,
    ) -> DagRun:
        """Start one run."""
        body = {
            "logical_date": logical_date.isoformat() if logical_date else None,
            "partition_key": partition_key,
            "conf": conf or {},
        }
        given = {
            key: value for key, value in body.items() if value is not None or key == "logical_date"
        }
        return _run(self._call("POST", f"/dags/{dag_id}/dagRuns", json=given))

    def backfill(
        self, dag_id: str, first: date, last: date, *, max_active_runs: int, reprocess: str = "none"
    ) -> int:
        """Create a backfill over days, both ends included; its id.

        SQLite turns a creation away while another component writes, so it is asked for again.

        Raises:
            StillNot: it was turned away for a minute.
        """
        body = {
            "dag_id": dag_id,
            "from_date": datetime(first.year, first.month, first.day, tzinfo=UTC).isoformat(),
            "to_date": datetime(last.year, last.month, last.day, tzinfo=UTC).isoformat(),
            "max_active_runs": max_active_runs,
            "reprocess_behavior": reprocess,
        }
        created: list[int] = []

        def is_created() -> bool:
            response = self._request("POST", "/backfills", json=body)
            if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                self._cancel_backfills(dag_id)  # of a creation turned away, half may be left
                return False
            created.append(int(_checked(response)["id"]))
            return True

        wait_until(is_created, f"a backfill of {dag_id!r} to be created", within_s=60)
        return created[0]

    def _cancel_backfills(self, dag_id: str) -> None:
        found = self._call("GET", "/backfills", params={"dag_id": dag_id})["backfills"]
        for one in found:
            if one["completed_at"] is None:
                self._request("PUT", f"/backfills/{one['id']}/cancel")

    def runs(self, dag_id: str) -> list[DagRun]:
        """All runs of a DAG."""
        found = self._call("GET", f"/dags/{dag_id}/dagRuns", params={"limit": 100})["dag_runs"]
        return [_run(one) for one in found]

    def run(self, dag_id: str, run_id: str) -> DagRun:
        """One run."""
        return _run(self._call("GET", f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"))

    def tasks(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """Task instances of a run."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances"
        return [_task(one) for one in self._call("GET", path)["task_instances"]]

    def task(self, dag_id: str, run_id: str, task_id: str) -> TaskInstance:
        """One task instance."""
        return next(one for one in self.tasks(dag_id, run_id) if one.task_id == task_id)

    def await_run(self, dag_id: str, run_id: str, *, within_s: float) -> DagRun:
        """Wait until a run has finished, either way."""
        wait_until(
            lambda: self.run(dag_id, run_id).is_finished,
            f"run {run_id!r} to finish",
            within_s=within_s,
            seen=lambda: self.tasks(dag_id, run_id),
        )
        return self.run(dag_id, run_id)

    def await_task(
        self, dag_id: str, run_id: str, task_id: str, *states: str, within_s: float
    ) -> TaskInstance:
        """Wait until a task instance is in one of some states."""
        wait_until(
            lambda: self.task(dag_id, run_id, task_id).state in states,
            f"task {task_id!r} of {run_id!r} to be {' or '.join(states)}",
            within_s=within_s,
            seen=lambda: self.task(dag_id, run_id, task_id),
        )
        return self.task(dag_id, run_id, task_id)

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """What a task returned, or pushed under a key; None when there is nothing."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}"
        response = self._request("GET", f"{path}/xcomEntries/{key}", params={"deserialize": False})
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        response.raise_for_status()
        return response.json()["value"]

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> str:
        """The log of one try."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}"
        found = self._call("GET", f"{path}/logs/{try_number}", params={"full_content": True})
        return "\n".join(_log_lines(found["content"]))

    def clear(self, dag_id: str, run_id: str, task_ids: list[str]) -> None:
        """Clear task instances of a run, so that they run again."""
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": task_ids, "only_failed": False}
        self._call("POST", f"/dags/{dag_id}/clearTaskInstances", json=body)

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Set the state of a task instance by hand."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}"
        self._call("PATCH", path, json={"new_state": state})

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        return _checked(self._request(method, path, **arguments))

    def _request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        if self._client is None:
            token = httpx.get(f"{self.url}/auth/token", timeout=30).raise_for_status().json()
            headers = {"Authorization": f"Bearer {token['access_token']}"}
            self._client = httpx.Client(base_url=f"{self.url}/api/v2", headers=headers, timeout=30)
        return self._client.request(method, path, **arguments)


def _checked(response: httpx.Response) -> Any:
    if response.is_error:
        request = response.request
        problem = f"Airflow answered {response.status_code} to {request.method} {request.url.path}"
        raise httpx.HTTPStatusError(
            f"{problem}: {response.text}", request=request, response=response
        )
    return response.json() if response.content else None


def wait_until(
    holds: Callable[[], bool],
    what: str,
    *,
    within_s: float,
    seen: Callable[[], object] = lambda: "",
) -> None:
    """Wait for a condition.

    Raises:
        StillNot: it did not hold in time.
    """
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            raise StillNot(f"waited {within_s:.0f} s for {what}; seen: {seen()}")
        time.sleep(TICK_S)


def _log_lines(content: Any) -> Iterator[str]:
    for line in content:
        if isinstance(line, str):
            yield line
            continue
        yield str(line.get("event", line))
        for error in line.get("error_detail") or ():
            yield f"{error.get('exc_type')}: {error.get('exc_value')}"


def _run(found: dict[str, Any]) -> DagRun:
    logical_date = found.get("logical_date")
    return DagRun(
        dag_id=found["dag_id"],
        run_id=found["dag_run_id"],
        state=found["state"],
        logical_date=datetime.fromisoformat(logical_date) if logical_date else None,
        partition_key=found.get("partition_key"),
    )


def _task(found: dict[str, Any]) -> TaskInstance:
    return TaskInstance(
        task_id=found["task_id"],
        state=found["state"],
        try_number=found["try_number"],
        started_at=found["start_date"],
        ended_at=found["end_date"],
    )
