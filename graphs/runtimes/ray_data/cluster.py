"""An offline plan as a chain of Ray Data stages, and Ray's errors as ours."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import ray
import ray.data
from ray.exceptions import RayError

from graphs.errors import GraphsError, RunFailed
from graphs.planners.offline import Stage
from graphs.profiles import OfflineProfile
from graphs.runtimes.ray_data.stage import StageWorker, Work, shard_rows
from graphs.spec import DoneRecord, Shard

log = logging.getLogger("graphs.run")

_WORKER_LIVES = 3
"""Times a shard may take its worker down (out of memory, a crash in native code) before the run
fails; Ray's own default is to try for ever."""


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


def compute(works: tuple[Work, ...], shards: tuple[Shard, ...]) -> Iterator[DoneRecord]:
    """Takes shards through the stages; gives each one's done-record as it is published.

    Args:
        works: one for each stage, in order.
        shards: the shards to compute.

    Raises:
        GraphsError: raised in a worker, typed as it was there.
        RunFailed: something foreign was, or workers kept dying.
    """
    stages = works[0].plan.stages
    dataset: Any = ray.data.from_arrow(shard_rows(shards))
    dataset.context.enable_progress_bars = False
    dataset.context.print_on_execution_start = False
    for work in works:
        dataset = _mapped(dataset, work, len(shards))
    log.info("stages: %s", " → ".join(stage.name for stage in stages))
    try:
        for batch in dataset.iter_batches(
            batch_size=None, batch_format="pyarrow", prefetch_batches=0
        ):
            for done in batch.column("done").to_pylist():
                yield DoneRecord.model_validate_json(done)
    except GraphsError:
        raise
    except Exception as error:
        raise _typed(error, works[0]) from error


def _mapped(dataset: Any, work: Work, shards: int) -> Any:
    """One stage: an actor pool where models are loaded, plain tasks where there are none."""
    stage, profile = work.plan.stages[work.stage], work.plan.profile
    common = {"batch_size": None, "batch_format": "pyarrow", **_resources(stage)}
    if not stage.is_stateful:
        pool = ray.data.TaskPoolStrategy(size=min(profile.workers_max, shards))
        lives = {"max_retries": _WORKER_LIVES}
        return dataset.map_batches(
            run_stage, fn_kwargs={"work": work}, compute=pool, **common, **lives
        )
    lives = {"max_restarts": _WORKER_LIVES, "max_task_retries": _WORKER_LIVES}
    return dataset.map_batches(
        StageWorker, fn_constructor_args=(work,), compute=_pool(profile, shards), **common, **lives
    )


def _pool(profile: OfflineProfile, shards: int) -> Any:
    # No more workers than shards: each loads its models before it is of any use.
    return ray.data.ActorPoolStrategy(
        min_size=min(profile.workers_min, shards), max_size=min(profile.workers_max, shards)
    )


def _resources(stage: Stage) -> dict[str, Any]:
    # Ray sets OMP_NUM_THREADS to num_cpus in each worker, so models do not fight over cores.
    needs: dict[str, Any] = {"num_cpus": stage.resources.cpus}
    if stage.resources.gpus:
        needs["num_gpus"] = stage.resources.gpus
    if stage.resources.memory_bytes is not None:
        needs["memory"] = stage.resources.memory_bytes
    return needs


def run_stage(batch: pa.Table, work: Work) -> Iterator[pa.Table]:
    """A stage without models, as a plain task."""
    return StageWorker(work)(batch)


def _typed(error: BaseException, work: Work) -> GraphsError:
    """Our error inside whatever Ray wrapped around it, or a :class:`RunFailed` that quotes it."""
    innermost: BaseException = error
    seen: set[int] = set()
    links: list[BaseException | None] = [error]
    while links:
        link = links.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        if isinstance(link, GraphsError):
            return link
        if not isinstance(link, RayError):
            innermost = link
        links += [link.__context__, link.__cause__, getattr(link, "cause", None)]
    name = type(innermost).__name__
    text = str(innermost).strip().splitlines()
    return RunFailed(
        f"a worker failed: {name}: {text[-1] if text else ''}",
        f"run {work.run_key}, partition {work.partition_key}",
        "Shards that are done are kept: running again computes the others",
    )
