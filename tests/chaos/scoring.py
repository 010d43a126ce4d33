"""The graphs that are run while things are killed: CPU → model of another resource class → CPU.

They are slow by waiting, so that there is time to kill something on a small machine, and they mark
which process computes what in the folder that ``CHAOS_MARKS`` names.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from graphs import Column, Model, Resources, graph, node
from graphs.nodes import parameter

INPUTS = {"id": pa.string(), "number": pa.int64(), "gate": pa.string()}
LIGHT = Resources(cpus=0.25)
LIGHTER = Resources(cpus=0.125)
TOO_ROUND = 97


def marks() -> Path:
    """The folder of marks."""
    return Path(os.environ["CHAOS_MARKS"])


def _linger(kind: str) -> None:
    """Marks this process and waits as long as the file ``pace`` says, in seconds, by and by."""
    _mark(kind)
    began = time.monotonic()
    while time.monotonic() - began < _pause_s():
        time.sleep(0.02)


def _mark(kind: str) -> None:
    (marks() / f"{kind}-{os.getpid()}").touch()


def _pause_s() -> float:
    try:
        return float((marks() / "pace").read_text())
    except (FileNotFoundError, ValueError):  # it is just being written
        return 60.0


@node(
    inputs={"number": pa.int64(), "gate": pa.string()},
    outputs={"begun": pa.int64()},
    resources=LIGHT,
)
def begin(number: list[int], gate: list[str]) -> list[int]:
    """Notes which shard is begun; returns once every file that its rows are gated by exists."""
    with (marks() / "begun").open("a") as log:
        log.write(f"{number[0]}\n")
    _linger("task")
    deadline = time.monotonic() + 120
    for path in {path for path in gate if path}:
        while not Path(path).exists():
            assert time.monotonic() < deadline, f"{path} never came"
            time.sleep(0.02)
    return number


@node(inputs={"begun": pa.int64()}, outputs={"prepared": pa.int64()}, resources=LIGHT)
def prepare(begun: list[int]) -> list[int]:
    """Fails for a negative number."""
    return [_prepared(one) for one in begun]


def _prepared(number: int) -> int:
    if number < 0:
        raise ValueError(f"{number} is negative")
    return 10 * number


class Guess(
    Model, inputs={"prepared": pa.int64()}, outputs={"guessed": pa.int64()}, resources=LIGHTER
):
    """A model of another resource class, so that it gets a stage and actors of its own."""

    def __init__(self, by: int) -> None:
        self.by = by

    def load(self) -> None:
        _mark("actor")

    def predict(self, prepared: pa.Array) -> Any:
        _linger("actor")
        return pc.add(prepared, self.by)


@node(inputs={"guessed": pa.int64()}, outputs={"awaited": pa.int64()}, resources=LIGHT)
def end(guessed: pa.Array) -> Any:
    _linger("task")
    return guessed


@node(
    inputs={"awaited": pa.int64(), "number": pa.int64()},
    outputs={"scored": pa.int64()},
    resources=LIGHT,
)
def finish(awaited: list[int], number: list[int]) -> list[int]:
    """Fails for a multiple of :data:`TOO_ROUND`."""
    return [_finished(one, of) for one, of in zip(awaited, number, strict=True)]


def _finished(one: int, number: int) -> int:
    if number % TOO_ROUND == 0:
        raise RuntimeError(f"{number} is too round")
    return one


def _scored(number: Column, gate: Column, by: int) -> dict[str, Column]:
    guessed = Guess(by=by)(prepare(begin(number, gate)))
    run = parameter("run", pa.int64(), default=0)
    return {"number": number, "scored": finish(end(guessed), number), "run": run}


@graph(key="id", inputs=INPUTS)
def scoring(number: Column, gate: Column) -> dict[str, Column]:
    """Three stages, of which the first and the last reject some rows."""
    return _scored(number, gate, by=1)


@graph(key="id", inputs=INPUTS)
def changed(number: Column, gate: Column) -> dict[str, Column]:
    """The same after somebody worked on its model."""
    return _scored(number, gate, by=2)


def is_rejected(number: int) -> bool:
    """Whether a row with that number ends among the rejected ones."""
    return number < 0 or number % TOO_ROUND == 0


GUESSED_BY = {"scoring": 1, "changed": 2}
"""What each graph's model adds."""
