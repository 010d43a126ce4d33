"""Which topic is a piece of documentation about? The example graph of the project.

normalise (CPU) → MiniLM (model, 384-dimensional unit vectors) → Classify (cosine against topics).
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa

from graphs import Column, Model, graph, node
from graphs.examples.descriptions import TOPICS
from graphs.examples.minilm import VECTOR, WEIGHTS, MiniLM, embed, encoder

LONGEST_TEXT = 1_000


@node(inputs={"text": pa.string()}, outputs={"clean": pa.string()})
def normalise(text: list[str]) -> list[str]:
    """Collapse white space and trim each text to what the model reads."""
    return [re.sub(r"\s+", " ", one).strip()[:LONGEST_TEXT] for one in text]


class Classify(
    Model,
    inputs={"vector": VECTOR},
    outputs={"topic": pa.string(), "score": pa.float32()},
    artifacts={"weights": WEIGHTS},
):
    """The topic nearest by cosine, and the cosine cut to [0, 1]."""

    def load(self) -> None:
        self.names = np.array(list(TOPICS))
        self.vectors = embed(encoder(self.artifact("weights")), list(TOPICS.values()))

    def predict(self, vector: np.ndarray[Any, Any]) -> tuple[Any, Any]:
        cosines = vector @ self.vectors.T
        return self.names[cosines.argmax(axis=1)], cosines.max(axis=1).clip(0, 1)


@graph(
    key="doc_id",
    inputs={name: pa.string() for name in ("doc_id", "package", "kind", "text")},
)
def topics(package: Column, text: Column) -> dict[str, Column]:
    """Score documentation: ``topic`` and ``score`` for each ``doc_id``."""
    vector = MiniLM()(normalise(text))
    topic, score = Classify()(vector)
    return {"package": package, "topic": topic, "score": score}
