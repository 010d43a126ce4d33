"""A version of the same graph whose model is in a process of its own online."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from graphs import Behaviour, Column, graph
from tests.promotion.praise import INPUTS, VECTOR, WEIGHTS
from tests.promotion.praise_next import WeighWords, count


class WeighApart(
    WeighWords,
    inputs={"length": pa.int64()},
    outputs={"score": pa.float32(), "vector": VECTOR},
    artifacts={"weights": str(Path(WEIGHTS).with_name("next.json"))},
    behaviour=Behaviour(isolate=True),
):
    """Scales counts, apart."""


@graph(key="id", inputs=INPUTS)
def praise(text: Column) -> dict[str, Column]:
    """How many words a text is worth."""
    length = count(text)
    score, vector = WeighApart()(length)
    return {"length": length, "score": score, "vector": vector}
