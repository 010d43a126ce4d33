"""How many rows came to each node and how many went on, from the counts of a result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from graphs.ir import Graph, topological_order
from graphs.spec import Counts


class Counted(Protocol):
    """A record that counts rows: a manifest, a report or the result of a run."""

    @property
    def counts(self) -> Counts: ...


class Computed(Protocol):
    """What ``graphs.run`` returns."""

    @property
    def table(self) -> Any: ...
    @property
    def rejected(self) -> Sequence[Any]: ...
    @property
    def filtered(self) -> Mapping[str, int]: ...


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the rows of a run."""

    rows_in: int
    rows_out: int
    rejected: Mapping[str, int]
    filtered: Mapping[str, int]
    rows: Mapping[str, tuple[int, int]]
    """(came, went on) per node of the compiled graph."""
    guards_input: bool
    """Whether what the node ``input`` rejected is to be shown at the input: the picture is of a
    graph that has no such node."""


def counts_of(result: Counted | Computed | Counts) -> Counts:
    """The counts of any kind of result."""
    if isinstance(result, Counts):
        return result
    if hasattr(result, "counts"):
        counts: Counts = result.counts
        return counts
    rejected = [(row.node, row.error) for row in result.rejected]
    return Counts.of(result.table.num_rows, rejected, result.filtered)


def tally(compiled: Graph, shown: Graph, counts: Counts) -> Tally:
    """The rows at each node.

    Args:
        compiled: the graph after rewriting, whose order is the order of computing.
        shown: the graph that is drawn.
        counts: of a run of it.
    """
    order = [node.name for node in topological_order(compiled)]
    dropped: Counter[str] = Counter()
    for path, count in (*counts.rejected.items(), *counts.filtered.items()):
        owners = (name for name in order if path == name or path.startswith(f"{name}/"))
        dropped[max(owners, key=len, default="")] += count
    rows, left = {}, counts.rows_in
    for name in order:
        rows[name] = (left, left - dropped[name])
        left -= dropped[name]
    has_guard = any(node.kind == "require" for node in shown.nodes)
    return Tally(
        counts.rows_in, counts.rows_out, counts.rejected, counts.filtered, rows, not has_guard
    )
