"""How far each stage is, from Ray Data's own account of its operators.

The hook is not public in Ray 2.60, so whatever goes wrong here costs the display, never the run.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ray.data._internal.execution.execution_callback import ExecutionCallback

from graphs.spec import StageProgress

log = logging.getLogger("graphs.run")

StagesSeen = tuple[StageProgress, ...]

_EVERY_S = 0.5
_TOKEN = "graphs.watched"  # noqa: S105


@dataclass(slots=True)
class _Watched:
    names: list[str]
    seen: Callable[[StagesSeen], None]
    told_at: float = 0.0


_WATCHED: dict[str, _Watched] = {}
"""By a token in the dataset's context, which travels to workers: what is called cannot."""


@contextmanager
def watching(context: Any, names: list[str], seen: Callable[[StagesSeen], None]) -> Iterator[None]:
    """Asks an execution to tell how far its stages are, at most twice a second.

    Args:
        context: Ray Data's context of the dataset.
        names: of the stages, in order.
        seen: gets a :class:`StageProgress` for each stage; called in a thread of Ray's.
    """
    token = uuid.uuid4().hex
    _WATCHED[token] = _Watched(names, seen)
    context.set_config(_TOKEN, token)
    context.custom_execution_callback_classes = [Watcher]
    try:
        yield
    finally:
        del _WATCHED[token]


class Watcher(ExecutionCallback):
    """Reads rows (a shard each), tasks and actors of the operators that map."""

    def on_execution_step(self, executor: Any) -> None:
        """Called by Ray Data at each step of its loop."""
        try:
            watched = _WATCHED.get(executor._data_context.get_config(_TOKEN))
            now = time.monotonic()
            if watched is None or now - watched.told_at < _EVERY_S:
                return
            watched.told_at = now
            operators = [one for one in executor._topology if "Map" in type(one).__name__]
            if len(operators) == len(watched.names):
                watched.seen(tuple(map(_progress, watched.names, operators)))
        except Exception:
            log.debug("how far stages are cannot be told", exc_info=True)


def _progress(name: str, operator: Any) -> StageProgress:
    metrics = operator.metrics
    return StageProgress(
        name=name,
        shards_done=metrics.rows_task_outputs_generated,
        shards_running=metrics.num_tasks_running,
        workers=max(metrics.num_alive_actors, 0) or metrics.num_tasks_running,
    )
