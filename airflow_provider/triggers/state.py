"""What Airflow says of a task instance now; asked before anything is stopped on its behalf."""

from __future__ import annotations

from typing import Any


def task_state(ti: Any) -> str | None:
    """State of a task instance (of its latest try); ``None`` when it is gone.

    Blocks for a round trip to the API server.
    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    states: dict[str, dict[str, Any]] = RuntimeTaskInstance.get_task_states(
        dag_id=ti.dag_id,
        task_ids=[ti.task_id],
        run_ids=[ti.run_id],
        map_index=-1 if ti.map_index is None else ti.map_index,
    )
    for state in states.get(ti.run_id, {}).values():
        return str(state) if state is not None else None
    return None
