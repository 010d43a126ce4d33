"""Graphs that the end-to-end tests run, break and kill; of one name, so they share a route."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from graphs import Column, Model, graph, node

WEIGHTS = Path(__file__).parents[2] / ".cache" / "trial" / "weights.json"
"""Written by the tests; the tampering test changes it behind a release's back."""

INPUTS = {"id": pa.string(), "number": pa.int64(), "wait_for": pa.string()}


@node(inputs={"number": pa.int64(), "wait_for": pa.string()}, outputs={"number": pa.int64()})
def patient(number: list[int], wait_for: list[str | None]) -> list[int]:
    """Hold a batch back until the file that one of its rows names exists."""
    for path in {path for path in wait_for if path}:
        while not Path(path).exists():
            time.sleep(0.05)
    return number


class Weigh(
    Model,
    inputs={"number": pa.int64()},
    outputs={"topic": pa.string(), "score": pa.float32()},
    artifacts={"weights": WEIGHTS.as_uri()},
):
    def load(self) -> None:
        self.factor = json.loads(self.artifact("weights").read_text())["factor"]

    def predict(self, number: np.ndarray[Any, Any]) -> dict[str, Any]:
        return {
            "topic": np.where(number % 2 == 0, "even", "odd"),
            "score": (number % 10 / 10 * self.factor).astype(np.float32),
        }


@node(inputs={"number": pa.int64()}, outputs={"topic": pa.string(), "score": pa.float32()})
def same_for_all(number: np.ndarray[Any, Any]) -> dict[str, Any]:
    return {"topic": ["even"] * len(number), "score": np.full(len(number), 0.5, np.float32)}


@graph(key="id", inputs=INPUTS)
def trial(number: Column, wait_for: Column) -> dict[str, Column]:
    topic, score = Weigh()(patient(number, wait_for))
    return {"topic": topic, "score": score}


def _broken() -> Any:
    @graph(key="id", inputs=INPUTS)
    def trial(number: Column, wait_for: Column) -> dict[str, Column]:
        topic, score = same_for_all(patient(number, wait_for))
        return {"topic": topic, "score": score}

    return trial


constant = _broken()


def _reworked() -> Any:
    @graph(key="id", inputs=INPUTS)
    def trial(number: Column) -> dict[str, Column]:
        topic, score = Weigh()(number)
        return {"topic": topic, "score": score}

    return trial


reworked = _reworked()
"""The same answers by another version: what a harmless change looks like."""
