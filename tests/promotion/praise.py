"""The champion of the promotion tests: small, with a model whose artifact can be spoiled."""

from __future__ import annotations

import json
import os

import numpy as np
import pyarrow as pa

from graphs import Column, Model, graph, node

WEIGHTS = os.environ["GRAPHS_TEST_WEIGHTS"]
"""A file of its own for each test session, so that spoiling it harms nobody else."""

INPUTS = {"id": pa.string(), "text": pa.string(), "note": pa.string()}
VECTOR = pa.list_(pa.float32(), 3)


@node(inputs={"text": pa.string()}, outputs={"length": pa.int64()})
def measure(text: list[str]) -> list[int]:
    """Length of each text; a text of thorns is beyond it."""
    if any("thorn" in one for one in text):
        raise ValueError("a thorn in /srv/models/measure.bin")
    return [len(one) for one in text]


class Weigh(
    Model,
    inputs={"length": pa.int64()},
    outputs={"score": pa.float32(), "vector": VECTOR},
    artifacts={"weights": WEIGHTS},
):
    """Scales lengths by a factor that is read from its artifact."""

    def load(self) -> None:
        self.factor = json.loads(self.artifact("weights").read_text())["factor"]

    def predict(self, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        score = (length * self.factor).astype(np.float32)
        return score, np.stack([score, score / 3, score * 0], axis=1).astype(np.float32)


@graph(key="id", inputs=INPUTS)
def praise(text: Column) -> dict[str, Column]:
    """How much a text is worth."""
    length = measure(text)
    score, vector = Weigh()(length)
    return {"length": length, "score": score, "vector": vector}
