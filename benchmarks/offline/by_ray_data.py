"""Ray Data, as its documentation writes it, and tuned by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.offline.by_pyarrow import filesystem_of
from benchmarks.offline.workloads import (
    CODEC,
    DICTIONARIES,
    GROUP_ROWS,
    LEVEL,
    WORKLOADS,
    PerceptronByHand,
    features_by_hand,
    labelled_by_hand,
)

Batch = dict[str, np.ndarray[Any, Any]]

FORMAT: dict[str, Any] = {
    "compression": CODEC,
    "compression_level": LEVEL,
    "row_group_size": GROUP_ROWS,
}


def documented(job: Any) -> None:
    """``read_parquet`` → ``map_batches`` → ``write_parquet``, everything else left as it is.

    https://docs.ray.io/en/latest/data/transforming-data.html and …/data/batch_inference.html
    """
    import ray

    ray.init(log_to_driver=False)
    source, folder = filesystem_of(job.input)
    dataset = ray.data.read_parquet(folder, filesystem=source)
    if job.workload == "cpu":
        dataset = dataset.map_batches(_cpu)
    else:
        dataset = dataset.map_batches(_features)
        pool = ray.data.ActorPoolStrategy(size=1)
        dataset = dataset.map_batches(_Perceptron, compute=pool, num_cpus=1, batch_size=1024)
        dataset = dataset.map_batches(_labelled)
    sink, folder = filesystem_of(job.output)
    dataset.write_parquet(folder, filesystem=sink, **FORMAT)


def tuned(job: Any) -> None:
    """The best found by ``python -m benchmarks.offline.tuning``: Arrow batches without copies, as
    large as blocks; see :data:`benchmarks.offline.tuning.BEST` for the rest."""
    import ray

    ray.init(log_to_driver=False)
    knobs = dict(job.knobs)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    for name, value in knobs.get("context", {}).items():
        place: Any = context.execution_options if name == "preserve_order" else context
        assert hasattr(place, name), name
        setattr(place, name, value)
    source, folder = filesystem_of(job.input)
    dataset = ray.data.read_parquet(
        folder,
        filesystem=source,
        override_num_blocks=knobs.get("blocks"),
        concurrency=knobs.get("read_concurrency"),
    )
    arrow: dict[str, Any] = {
        "batch_format": "pyarrow",
        "zero_copy_batch": True,
        "batch_size": knobs.get("rows"),
    }
    if job.workload == "cpu":
        dataset = dataset.map_batches(WORKLOADS["cpu"].by_hand, **arrow)
    else:
        pool = ray.data.ActorPoolStrategy(
            size=knobs.get("actors", 1), max_tasks_in_flight_per_actor=knobs.get("in_flight")
        )
        dataset = dataset.map_batches(features_by_hand, **arrow)
        dataset = dataset.map_batches(
            PerceptronByHand,
            compute=pool,
            num_cpus=knobs.get("actor_cpus", 1),
            **{**arrow, "batch_size": knobs.get("model_rows", 1024)},
        )
        dataset = dataset.map_batches(labelled_by_hand, **arrow)
    sink, folder = filesystem_of(job.output)
    dataset.write_parquet(
        folder,
        filesystem=sink,
        use_dictionary=DICTIONARIES,
        concurrency=knobs.get("write_concurrency"),
        min_rows_per_file=knobs.get("file_rows"),
        **FORMAT,
    )


def _cpu(batch: Batch) -> Batch:
    from benchmarks.offline.workloads import product

    kept = {name: batch[name] for name in ("id", "topic", "count", "x0", "x1", "x2", "x3")}
    return {
        **kept,
        "ratio": batch["x0"] / (np.abs(batch["x1"]) + 1.0),
        "total": batch["count"] * batch["x2"] + batch["x1"],
        "score": product(*(batch[f"x{i}"] for i in range(3, 7))),
    }


def _features(batch: Batch) -> Batch:
    from benchmarks.offline.workloads import features

    return {**batch, "features": features(*(batch[f"x{i}"] for i in range(7)))}


class _Perceptron:
    def __init__(self) -> None:
        self.model = PerceptronByHand().model

    def __call__(self, batch: Batch) -> Batch:
        kept = {name: batch[name] for name in ("id", "topic", "count", "x0", "x1", "x2", "x3")}
        return {**kept, "score": self.model.predict(batch["features"])}


def _labelled(batch: Batch) -> Batch:
    score = batch["score"]
    return {**batch, "label": np.where(score > 0, "yes", "no"), "margin": np.abs(score)}
