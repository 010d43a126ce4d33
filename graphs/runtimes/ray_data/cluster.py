"""The Ray cluster that a run computes on: joining it, asking it for workers, naming its errors."""

from __future__ import annotations

import logging
from typing import Any

import ray
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
from graphs.runtimes.ray_data.stage import CAREFUL_LIVES, WORKER_LIVES
from graphs.runtimes.ray_data.work import Work

log = logging.getLogger("graphs.run")

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


def shards_per_call(first: Work, shards: int) -> int:
    """How many shards a call of the first stage gets."""
    if first.is_careful:
        return 1
    calls = first.the_stage.workers_max * _CALLS_PER_WORKER
    return min(_SHARDS_PER_CALL, max(1, shards // calls))


def lives(work: Work) -> int:
    """Times a call of this stage is begun again after its worker died."""
    return CAREFUL_LIVES if work.is_careful else WORKER_LIVES


def resources(stage: Stage) -> dict[str, Any]:
    """What Ray is asked for, for a worker of a stage."""
    # Ray sets OMP_NUM_THREADS to num_cpus in each worker, so models do not fight over cores.
    needs: dict[str, Any] = {"num_cpus": stage.resources.cpus}
    if stage.resources.gpus:
        needs["num_gpus"] = stage.resources.gpus
    if stage.resources.memory_bytes is not None:
        needs["memory"] = stage.resources.memory_bytes
    return needs


def warn_of_what_is_not_there(works: tuple[Work, ...]) -> None:
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


def typed(error: BaseException, work: Work) -> GraphsError:
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
