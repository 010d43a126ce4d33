"""What one node does to one batch, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

Positions = np.ndarray[Any, np.dtype[np.int64]]
Outputs = dict[str, pa.Array]


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that a node could not process."""

    row: int
    """Its position in the batch that went in."""
    node: str
    """The node's name; of a node inside a case or an each, its path: ``switch/summarise``."""
    error: str
    """Name of the exception's type."""
    message: str


@dataclass(slots=True)
class Stepped:
    """What a node made of a batch."""

    outputs: Outputs
    """A column per output, for the rows that are kept."""
    kept: Positions | None = None
    """int64 positions of the rows that go on, in order; ``None`` means all of them."""
    rejected: list[RejectedRow] = field(default_factory=list)
    filtered: dict[str, int] = field(default_factory=dict)
    """Rows dropped on purpose, per filter."""


Step = Callable[[Outputs, int], Stepped]
"""Called with the columns of the node's input ports, and the number of rows."""


def take(columns: Outputs, positions: Positions) -> Outputs:
    """The same columns with only some rows."""
    indices = pa.array(positions)
    return {name: column.take(indices) for name, column in columns.items()}


def one_chunk(column: Any) -> pa.Array:
    """One array out of one or many chunks."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def concatenate(parts: list[Outputs]) -> Outputs:
    """Columns one after the other."""
    if len(parts) == 1:
        return parts[0]
    return {name: pa.concat_arrays([part[name] for part in parts]) for name in parts[0]}
