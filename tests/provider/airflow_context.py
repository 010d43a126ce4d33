"""The part of Airflow's context that the provider reads, without an Airflow around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass
class TaskInstance:
    dag_id: str = "topics"
    run_id: str = "scheduled__2026-01-01"
    task_id: str = "score"
    map_index: int = -1
    try_number: int = 1
    max_tries: int = 2
    start_date: datetime = field(default_factory=lambda: datetime.now(UTC))
    pushed: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


class StateStore(dict[str, Any]):
    """What ``context["task_state_store"]`` offers; it outlives a try."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


def context(ti: TaskInstance, store: StateStore) -> Any:
    return {"ti": ti, "task_state_store": store}
