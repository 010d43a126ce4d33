"""The next version of the same graph: it counts words, and has an artifact of its own."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from graphs import Column, graph, node
from tests.promotion.praise import INPUTS, VECTOR, WEIGHTS, Weigh


@node(inputs={"text": pa.string()}, outputs={"length": pa.int64()})
def count(text: list[str]) -> list[int]:
    """Words of each text."""
    return [len(one.split()) for one in text]


class WeighWords(
    Weigh,
    inputs={"length": pa.int64()},
    outputs={"score": pa.float32(), "vector": VECTOR},
    artifacts={"weights": str(Path(WEIGHTS).with_name("next.json"))},
):
    """Scales counts."""


@graph(key="id", inputs=INPUTS)
def praise(text: Column) -> dict[str, Column]:
    """How many words a text is worth."""
    length = count(text)
    score, vector = WeighWords()(length)
    return {"length": length, "score": score, "vector": vector}
