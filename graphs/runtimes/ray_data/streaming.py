"""Stages one after the other, as a chain of Ray Data maps over shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import ray.data

from graphs.runtimes.ray_data import travel
from graphs.runtimes.ray_data.cluster import lives, resources, shards_per_call
from graphs.runtimes.ray_data.stages import StagesSeen, watching
from graphs.runtimes.ray_data.tasks import StageActor, run_stage
from graphs.runtimes.ray_data.travel import Positions
from graphs.runtimes.ray_data.work import Work
from graphs.storage.inputs import Shards

_ACTOR_RESTARTS = 20
"""Times an actor may be started again: enough for workers that are killed now and then in a long
run, and an end for a model that dies whenever it is loaded."""

_WAVE = 20_000
"""Shards of one Ray Data execution, whose driver holds an object for each: a run of a million
shards is fifty executions, and a model is loaded once in each."""

_EXPANSION, _LEAST_BETWEEN = 3, 64 * 1024 * 1024
"""Bytes that a shard takes between stages for each byte it is stored in, about; and the least that
Ray may keep there, so that small shards do not wait for each other."""


def stream(
    works: tuple[Work, ...],
    shards: Shards,
    pending: Positions,
    seen: Callable[[StagesSeen], None],
) -> Iterator[str]:
    """Takes shards through the stages; gives each one's done-record, as JSON, when it is published.

    Args:
        works: one for each stage, in order.
        shards: the plan's.
        pending: positions of those to compute.
        seen: told now and then how far the stages are.
    """
    names = [work.the_stage.name for work in works]
    for start in range(0, len(pending), _WAVE):
        dataset = _chained(works, shards, pending[start : start + _WAVE])
        with watching(dataset.context, names, seen):
            for batch in dataset.iter_batches(
                batch_size=None, batch_format="pyarrow", prefetch_batches=0
            ):
                yield from batch.column("done").to_pylist()


def _chained(works: tuple[Work, ...], shards: Shards, wave: Positions) -> Any:
    per_call = shards_per_call(works[0], len(wave))
    rows = [travel.waiting_row(shards[int(position)]) for position in wave]
    calls = [
        pa.concat_tables(rows[start : start + per_call]) for start in range(0, len(rows), per_call)
    ]
    dataset: Any = ray.data.from_arrow(calls)
    dataset.context.enable_progress_bars = False
    dataset.context.print_on_execution_start = False
    # A block for each shard, so that it goes on at once however many its call was given.
    dataset.context.target_max_block_size = 1
    dataset.context.execution_options.resource_limits = ray.data.ExecutionResources.for_limits(
        object_store_memory=_bytes_between(works, shards)
    )
    for work in works:
        dataset = _mapped(dataset, work, len(calls) if work.is_first else len(wave))
    return dataset


def _bytes_between(works: tuple[Work, ...], shards: Shards) -> int:
    """What may lie between stages: a shard for each worker. Ray would let a quick stage fill its
    store before a slow one: memory would grow with the input, and a killed driver lose it all.
    """
    workers = sum(work.the_stage.workers_max for work in works)
    return max(_LEAST_BETWEEN, workers * _EXPANSION * shards.bytes // len(shards))


def _mapped(dataset: Any, work: Work, calls: int) -> Any:
    """One stage: an actor pool where models are loaded, plain tasks where there are none."""
    stage = work.the_stage
    common = {"batch_size": None, "batch_format": "pyarrow", **resources(stage)}
    if not stage.is_stateful:
        pool = ray.data.TaskPoolStrategy(size=min(stage.workers_max, calls))
        return dataset.map_batches(
            run_stage, fn_kwargs={"work": work}, compute=pool, max_retries=lives(work), **common
        )
    # No more workers than calls: each loads its models before it is of any use.
    actors = ray.data.ActorPoolStrategy(
        min_size=min(stage.workers_min, calls), max_size=min(stage.workers_max, calls)
    )
    return dataset.map_batches(
        StageActor,
        fn_constructor_args=(work,),
        compute=actors,
        max_restarts=_ACTOR_RESTARTS,
        max_task_retries=lives(work),
        **common,
    )
