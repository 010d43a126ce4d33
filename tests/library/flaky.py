"""Graphs that fail, and how they were mended."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from graphs import Column, graph, node
from graphs.nodes import parameter

UNKNOWN = -1
WRONG = 39
"""The number of the row that is rejected."""


def _is_broken(number: list[int], flag: list[str]) -> bool:
    return WRONG in number and not Path(flag[0]).exists()


@node(inputs={"number": pa.int64(), "flag": pa.string()}, outputs={"half": pa.int64()})
def halve(number: list[int], flag: list[str]) -> list[int]:
    if _is_broken(number, flag):
        return []  # breaks its declaration, which stops the run
    if WRONG in number:
        raise ValueError(f"{WRONG} cannot be halved")
    return [one // 2 for one in number]


@node(inputs={"number": pa.int64(), "flag": pa.string()}, outputs={"half": pa.int64()})
def halve_or_not(number: list[int], flag: list[str]) -> list[int]:
    return [UNKNOWN if one == WRONG else one // 2 for one in number]


@graph(key="id", inputs={"id": pa.string(), "number": pa.int64()})
def flaky(number: Column) -> dict[str, Column]:
    """Stops while a file is not there; rejects one row."""
    return {"half": halve(number, parameter("flag", pa.string(), default=""))}


@graph(key="id", inputs={"id": pa.string(), "number": pa.int64()})
def patient(number: Column) -> dict[str, Column]:
    """As ``flaky``, mended."""
    return {"half": halve_or_not(number, parameter("flag", pa.string(), default=""))}
