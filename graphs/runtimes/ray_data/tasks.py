"""What Ray calls: a stage as a function for tasks, and as a class for actors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import ray

from graphs.runtimes.ray_data.stage import StageWorker
from graphs.runtimes.ray_data.work import Work

_LAST: list[tuple[object, StageWorker]] = []
"""The worker this process had last. Ray hands a process call after call of one stage, and opening
a store or importing a graph each time would cost more than a small shard."""


def run_stage(batch: pa.Table, work: Work) -> Iterator[pa.Table]:
    """A stage without models, as a plain task."""
    if not _LAST or _LAST[0][0] != work.identity:
        _LAST[:] = [(work.identity, StageWorker(work))]
    return _LAST[0][1].run(batch, _tries())


def run_alone(batch: pa.Table, work: Work) -> Iterator[str]:
    """A stage that is the only one, as a plain task: gives done-records as JSON."""
    for row in run_stage(batch, work):
        yield row.column("done")[0].as_py()


class StageActor:
    """A stage with models, as an actor: loaded once, then called for shard after shard."""

    def __init__(self, work: Work) -> None:
        self._problem: Exception | None = None
        # Ray retries a constructor that raises and hides its error; the first call does neither.
        try:
            self._worker = StageWorker(work)
        except Exception as error:
            self._problem = error

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        """Takes and gives rows as :mod:`travel` makes them."""
        if self._problem is not None:
            raise self._problem
        yield from self._worker.run(batch, _tries())


def _tries() -> int:
    """Times Ray began this call before; it counts them for tasks and for calls of actors."""
    worker: Any = ray._private.worker.global_worker
    return int(worker.core_worker.get_current_task_attempt_number())
