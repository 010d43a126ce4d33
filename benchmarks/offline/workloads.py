"""What everyone computes: two graphs, and the same functions by hand on tables.

Ten columns come in and ten go out. The graphs and the functions by hand share every line that
computes something, so a benchmark compares only what is around it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from graphs import Column, Model, Resources, graph, node

GROUP_ROWS = 100_000
"""Rows of a row group, read and written, by everyone."""
CODEC, LEVEL = "zstd", 1
"""How everyone compresses what they write."""
DICTIONARIES = ["topic", "count", "label"]
"""Columns that a dictionary suits, as one who knows the rows would say."""

INPUTS: dict[str, pa.DataType] = {
    "id": pa.int64(),
    "topic": pa.string(),
    "count": pa.int32(),
    **{f"x{i}": pa.float64() for i in range(7)},
}
_FEATURES, _HIDDEN = 32, 320


def write_input(path: Path | BinaryIO, rows: int, *, first: int = 0, seed: int = 0) -> None:
    """One parquet file of random rows, in row groups of :data:`GROUP_ROWS`."""
    with pq.ParquetWriter(path, pa.schema(INPUTS), compression=CODEC) as writer:
        for start in range(0, rows, GROUP_ROWS):
            size = min(GROUP_ROWS, rows - start)
            writer.write_table(_random(size, first + start, seed), row_group_size=GROUP_ROWS)


def _random(rows: int, first: int, seed: int) -> pa.Table:
    random = np.random.default_rng([seed, first])
    topics = pa.array(["arts", "economy", "politics", "science", "sports"])
    return pa.table(
        {
            "id": np.arange(first, first + rows),
            "topic": topics.take(pa.array(random.integers(0, len(topics), rows))),
            "count": random.integers(0, 100, rows, dtype=np.int32),
            **{f"x{i}": random.normal(size=rows) for i in range(7)},
        }
    )


def _weights(seed: int, *shape: int) -> np.ndarray[Any, Any]:
    weights = np.random.default_rng(seed).normal(scale=shape[0] ** -0.5, size=shape)
    return weights.astype(np.float32)


# --- a graph without a model: cheap arithmetic, and a small matrix product ---------------------


@node(outputs={"ratio": pa.float64(), "total": pa.float64()})
def arithmetic(count: pa.Array, x0: pa.Array, x1: pa.Array, x2: pa.Array) -> Any:
    ratio = pc.divide(x0, pc.add(pc.abs(x1), 1.0))
    return ratio, pc.add(pc.multiply(pc.cast(count, pa.float64()), x2), x1)


@node(outputs={"score": pa.float32()})
def product(
    x3: np.ndarray[Any, Any],
    x4: np.ndarray[Any, Any],
    x5: np.ndarray[Any, Any],
    x6: np.ndarray[Any, Any],
) -> np.ndarray[Any, Any]:
    inputs = np.stack([x3, x4, x5, x6], axis=1, dtype=np.float32)
    hidden = np.maximum(inputs @ _weights(1, 4, 32), 0)
    scores: np.ndarray[Any, Any] = (hidden @ _weights(2, 32, 1))[:, 0]
    return scores


@graph(key="id", inputs=INPUTS)
def cpu(
    id: Column,
    topic: Column,
    count: Column,
    x0: Column,
    x1: Column,
    x2: Column,
    x3: Column,
    x4: Column,
    x5: Column,
    x6: Column,
) -> dict[str, Column]:
    ratio, total = arithmetic(count, x0, x1, x2)
    score = product(x3, x4, x5, x6)
    kept = {"topic": topic, "count": count, "x0": x0, "x1": x1, "x2": x2, "x3": x3}
    return {**kept, "ratio": ratio, "total": total, "score": score}


def cpu_by_hand(table: pa.Table) -> pa.Table:
    """What the graph ``cpu`` computes, for a table of any number of rows."""
    column = {name: _one_chunk(table.column(name)) for name in table.column_names}
    ratio, total = arithmetic(column["count"], column["x0"], column["x1"], column["x2"])
    score = product(*(column[f"x{i}"].to_numpy() for i in range(3, 7)))
    kept = {name: column[name] for name in ("id", "topic", "count", "x0", "x1", "x2", "x3")}
    return pa.table({**kept, "ratio": ratio, "total": total, "score": score})


# --- CPU → model → CPU -------------------------------------------------------------------------


@node(outputs={"features": pa.list_(pa.float32(), _FEATURES)})
def features(
    x0: np.ndarray[Any, Any],
    x1: np.ndarray[Any, Any],
    x2: np.ndarray[Any, Any],
    x3: np.ndarray[Any, Any],
    x4: np.ndarray[Any, Any],
    x5: np.ndarray[Any, Any],
    x6: np.ndarray[Any, Any],
) -> np.ndarray[Any, Any]:
    values = np.stack([x0, x1, x2, x3, x4, x5, x6, x0 * x1], axis=1, dtype=np.float32)
    return np.hstack([values, values**2, np.abs(values), np.tanh(values)])


class Perceptron(
    Model,
    inputs={"features": pa.list_(pa.float32(), _FEATURES)},
    outputs={"score": pa.float32()},
    resources=Resources(cpus=1, memory_bytes=200 * 1024**2),  # a class of its own, as a GPU has
):
    """Three layers, so that a row costs some microseconds."""

    def load(self) -> None:
        self.layers = [
            _weights(3, _FEATURES, _HIDDEN),
            _weights(4, _HIDDEN, _HIDDEN),
            _weights(5, _HIDDEN, 1),
        ]

    def predict(self, features: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        values = features
        for layer in self.layers[:-1]:
            values = np.maximum(values @ layer, 0)
        scores: np.ndarray[Any, Any] = (values @ self.layers[-1])[:, 0]
        return scores


@node(outputs={"label": pa.string(), "margin": pa.float32()})
def labelled(score: pa.Array) -> Any:
    return pc.if_else(pc.greater(score, 0), "yes", "no"), pc.abs(score)


@graph(key="id", inputs=INPUTS)
def model(
    id: Column,
    topic: Column,
    count: Column,
    x0: Column,
    x1: Column,
    x2: Column,
    x3: Column,
    x4: Column,
    x5: Column,
    x6: Column,
) -> dict[str, Column]:
    score = Perceptron()(features(x0, x1, x2, x3, x4, x5, x6))
    label, margin = labelled(score)
    kept = {"topic": topic, "count": count, "x0": x0, "x1": x1, "x2": x2, "x3": x3}
    return {**kept, "score": score, "label": label, "margin": margin}


def features_by_hand(table: pa.Table) -> pa.Table:
    """The table with the column ``features``."""
    columns = [_one_chunk(table.column(f"x{i}")).to_numpy() for i in range(7)]
    values = features(*columns)
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return table.append_column("features", pa.FixedSizeListArray.from_arrays(flat, _FEATURES))


class PerceptronByHand:
    """The model as Ray Data's documentation writes one: a class, called with tables."""

    def __init__(self) -> None:
        self.model = Perceptron()
        self.model.load()

    def __call__(self, table: pa.Table) -> pa.Table:
        vectors = _one_chunk(table.column("features"))
        values = vectors.flatten().to_numpy().reshape(-1, _FEATURES)
        rest = table.select(["id", "topic", "count", "x0", "x1", "x2", "x3"])
        return rest.append_column("score", pa.array(self.model.predict(values)))


def labelled_by_hand(table: pa.Table) -> pa.Table:
    """The table with what follows from its score."""
    label, margin = labelled(_one_chunk(table.column("score")))
    return table.append_column("label", label).append_column("margin", margin)


def model_by_hand(table: pa.Table) -> pa.Table:
    """What the graph ``model`` computes, its model loaded once in a process."""
    global _perceptron
    _perceptron = _perceptron or PerceptronByHand()
    return labelled_by_hand(_perceptron(features_by_hand(table)))


_perceptron: PerceptronByHand | None = None


def _one_chunk(column: Any) -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


@dataclass(frozen=True, slots=True)
class Workload:
    """Something to compute: the reference of its graph, and the same by hand."""

    graph: str
    by_hand: Callable[[pa.Table], pa.Table]


WORKLOADS = {
    "cpu": Workload("benchmarks.offline.workloads:cpu", cpu_by_hand),
    "model": Workload("benchmarks.offline.workloads:model", model_by_hand),
}
