"""An offline plan as a chain of Ray Data stages, and Ray's errors as ours."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import ray
import ray.data
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    LocalRayletDiedError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayError,
    WorkerCrashedError,
)

from graphs.errors import GraphsError, RunFailed, WorkerLost
from graphs.planners.offline import Stage
from graphs.runtimes.ray_data import travel
from graphs.runtimes.ray_data.stage import CAREFUL_LIVES, WORKER_LIVES
from graphs.runtimes.ray_data.stages import StagesSeen, watching
from graphs.runtimes.ray_data.tasks import StageActor, run_stage
from graphs.runtimes.ray_data.travel import Positions
from graphs.runtimes.ray_data.work import Work
from graphs.storage.inputs import Shards

log = logging.getLogger("graphs.run")

_ACTOR_RESTARTS = 20
"""Times an actor may be started again: enough for workers that are killed now and then in a long
run, and an end for a model that dies whenever it is loaded."""

_WAVE = 20_000
"""Shards of one Ray Data execution, whose driver holds an object for each: a run of a million
shards is fifty executions, and a model is loaded once in each."""

_CALLS_PER_WORKER = 8
"""Calls that the shards are spread over for each worker, at least, so that all end together."""

_SHARDS_PER_CALL = 8
"""Shards of a call, at most: a call's overhead is small against eight of them, and they are all
that a lost worker's retry has to look at again."""


def connect() -> None:
    """Joins the Ray cluster of this machine or of ``RAY_ADDRESS``, unless already joined.

    Raises:
        RunFailed: there is none.
    """
    if ray.is_initialized():
        return
    try:
        ray.init(address="auto", log_to_driver=True)
    except (ConnectionError, RuntimeError) as error:
        raise RunFailed(
            f"no Ray cluster can be joined ({error})",
            remedy="Start one with `ray start --head`, or set RAY_ADDRESS",
        ) from error


def compute(
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

    Raises:
        GraphsError: raised in a worker, typed as it was there.
        WorkerLost: workers kept dying.
        RunFailed: something foreign was raised in a worker.
    """
    _warn_of_what_is_not_there(works)
    log.info("stages: %s", " → ".join(work.the_stage.name for work in works))
    for start in range(0, len(pending), _WAVE):
        wave = pending[start : start + _WAVE]
        dataset = _chained(works, shards, wave)
        names = [work.the_stage.name for work in works]
        try:
            with watching(dataset.context, names, seen):
                for batch in dataset.iter_batches(
                    batch_size=None, batch_format="pyarrow", prefetch_batches=0
                ):
                    yield from batch.column("done").to_pylist()
        except Exception as error:
            typed = _typed(error, works[0])
            if typed is error:
                raise
            raise typed from error


def _chained(works: tuple[Work, ...], shards: Shards, wave: Positions) -> Any:
    per_call = _shards_per_call(works[0], len(wave))
    rows = [travel.waiting_row(shards[int(position)]) for position in wave]
    calls = [
        pa.concat_tables(rows[start : start + per_call]) for start in range(0, len(rows), per_call)
    ]
    dataset: Any = ray.data.from_arrow(calls)
    dataset.context.enable_progress_bars = False
    dataset.context.print_on_execution_start = False
    # A block for each shard, so that it goes on at once however many its call was given.
    dataset.context.target_max_block_size = 1
    for work in works:
        dataset = _mapped(dataset, work, len(calls) if work.is_first else len(wave))
    return dataset


def _shards_per_call(first: Work, shards: int) -> int:
    if first.is_careful:
        return 1
    calls = first.the_stage.workers_max * _CALLS_PER_WORKER
    return min(_SHARDS_PER_CALL, max(1, shards // calls))


def _mapped(dataset: Any, work: Work, calls: int) -> Any:
    """One stage: an actor pool where models are loaded, plain tasks where there are none."""
    stage = work.the_stage
    lives = CAREFUL_LIVES if work.is_careful else WORKER_LIVES
    common = {"batch_size": None, "batch_format": "pyarrow", **_resources(stage)}
    if not stage.is_stateful:
        pool = ray.data.TaskPoolStrategy(size=min(stage.workers_max, calls))
        return dataset.map_batches(
            run_stage, fn_kwargs={"work": work}, compute=pool, max_retries=lives, **common
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
        max_task_retries=lives,
        **common,
    )


def _resources(stage: Stage) -> dict[str, Any]:
    # Ray sets OMP_NUM_THREADS to num_cpus in each worker, so models do not fight over cores.
    needs: dict[str, Any] = {"num_cpus": stage.resources.cpus}
    if stage.resources.gpus:
        needs["num_gpus"] = stage.resources.gpus
    if stage.resources.memory_bytes is not None:
        needs["memory"] = stage.resources.memory_bytes
    return needs


def _warn_of_what_is_not_there(works: tuple[Work, ...]) -> None:
    """A stage that needs more than any node has would wait without a word."""
    nodes = [n["Resources"] for n in ray.nodes() if n["Alive"]]  # type: ignore[no-untyped-call]
    for work in works:
        needs = work.the_stage.resources
        wanted = {"CPU": needs.cpus, "GPU": needs.gpus, "memory": needs.memory_bytes or 0}
        if not any(all(node.get(n, 0) >= amount for n, amount in wanted.items()) for node in nodes):
            told = ", ".join(f"{amount:g} {name}" for name, amount in wanted.items() if amount)
            log.warning(
                "stage %s needs %s, which no node of the cluster has now: it waits for one",
                work.the_stage.name,
                told,
            )


_LOST = (
    ActorDiedError,
    ActorUnavailableError,
    LocalRayletDiedError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    WorkerCrashedError,
)
"""What a worker, or the node it was on, leaves behind."""


def _typed(error: BaseException, work: Work) -> GraphsError:
    """Our error inside whatever Ray wrapped around it, or a :class:`RunFailed` that quotes it."""
    innermost: BaseException = error
    is_lost = False
    seen: set[int] = set()
    links: list[BaseException | None] = [error]
    while links:
        link = links.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        # What Ray raises for a worker's error is of its class, too, but formats a whole traceback.
        if isinstance(link, GraphsError) and not isinstance(link, RayError):
            return link
        is_lost = is_lost or isinstance(link, _LOST)
        if not isinstance(link, RayError | StopIteration) or link is error:
            innermost = link
        links += [link.__context__, link.__cause__, getattr(link, "cause", None)]
    name = type(innermost).__name__
    text = str(innermost).strip().splitlines()
    return (WorkerLost if is_lost else RunFailed)(
        f"a worker failed: {name}: {text[-1] if text else ''}",
        f"run {work.run_key}, partition {work.partition_key}",
        "Shards that are done are kept: running again computes the others",
    )
