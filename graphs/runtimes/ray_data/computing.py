"""Which way shards are computed: plain tasks where those will do, else stages that stream."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import ray

from graphs.runtimes.ray_data import travel
from graphs.runtimes.ray_data.cluster import (
    lives,
    resources,
    shards_per_call,
    typed,
    warn_of_what_is_not_there,
)
from graphs.runtimes.ray_data.tasks import run_alone
from graphs.runtimes.ray_data.travel import Positions
from graphs.runtimes.ray_data.work import Work
from graphs.spec import StageProgress
from graphs.storage.inputs import Shards

log = logging.getLogger("graphs.run")


def compute(
    works: tuple[Work, ...],
    shards: Shards,
    pending: Positions,
    seen: Callable[[tuple[StageProgress, ...]], None],
) -> Iterator[str]:
    """Computes shards; gives each one's done-record, as JSON, when it is published.

    Args:
        works: one for each stage, in order.
        shards: the plan's.
        pending: positions of those to compute.
        seen: told now and then how far the stages are.

    Raises:
        GraphsError: raised in a worker, typed as it was there.
        WorkerLost: workers kept dying.
        RunFailed: something foreign was raised in a worker.
    """
    warn_of_what_is_not_there(works)
    log.info("stages: %s", " → ".join(work.the_stage.name for work in works))
    try:
        if len(works) == 1 and not works[0].the_stage.is_stateful:
            yield from _by_tasks(works[0], shards, pending, seen)
        else:
            # Loading Ray Data takes longer than many a run of plain tasks, here and in workers.
            from graphs.runtimes.ray_data.streaming import stream

            yield from stream(works, shards, pending, seen)
    except Exception as error:
        known = typed(error, works[0])
        if known is error:
            raise
        raise known from error


def _by_tasks(
    work: Work,
    shards: Shards,
    pending: Positions,
    seen: Callable[[tuple[StageProgress, ...]], None],
) -> Iterator[str]:
    """The only stage of a graph without models: nothing streams, so plain tasks will do."""
    stage, told = work.the_stage, ray.put(work)
    task = ray.remote(**resources(stage))(run_alone).options(
        num_returns="streaming",
        max_retries=lives(work),
        scheduling_strategy="SPREAD",
        name=stage.name,
    )
    per_call = shards_per_call(work, len(pending))
    starts = iter(range(0, len(pending), per_call))
    running: list[Any] = []
    done = 0
    try:
        while True:
            while len(running) < stage.workers_max and (start := next(starts, None)) is not None:
                call = [shards[int(position)] for position in pending[start : start + per_call]]
                running.append(task.remote(pa.concat_tables(map(travel.waiting_row, call)), told))
            if not running:
                return
            ready: Any = ray.wait(running, num_returns=1)[0][0]
            try:
                yield ray.get(next(ready))
            except StopIteration:
                running.remove(ready)
                continue
            done += 1
            workers = len(running)
            seen(
                (
                    StageProgress(
                        name=stage.name, shards_done=done, shards_running=workers, workers=workers
                    ),
                )
            )
    finally:
        for one in running:
            ray.cancel(one, force=True)
