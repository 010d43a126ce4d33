"""Carrying out the calls of a plan whose nodes live in several processes.

Calls that do not wait for each other run at the same time, on the same rows. What comes of it is
what comes of carrying out the nodes in order, bit for bit: a row is kept when every call keeps it,
and the first call, in order, that drops a row says why. No Ray: whoever uses this says how a call
is made.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce

import numpy as np
import pyarrow as pa

from graphs.errors import NodeError
from graphs.ir import GRAPH, column_name
from graphs.planners.online import OnlinePlan
from graphs.runtimes.kernel import Computed, RejectedRow
from graphs.runtimes.kernel.steps import Outputs, Positions, one_chunk
from graphs.runtimes.kernel.views import blank

log = logging.getLogger(__name__)

Ask = Callable[[pa.Table], Awaitable[Computed]]
"""Makes one call: takes a table of its ``columns_in``, gives one with its ``columns_out``."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of the rows that requests asked about."""

    outputs: pa.Table
    """Rows of the graph's output schema for the rows that were kept, in order."""
    kept: Positions
    """int64 positions, among all rows, of those that have outputs."""
    rejected: tuple[RejectedRow, ...]
    """A row that is neither kept nor rejected was filtered."""


@dataclass(frozen=True, slots=True)
class _Made:
    """What a call made; positions are those of the rows of the requests."""

    asked: Positions
    kept: Positions
    columns: Outputs
    rejected: Mapping[int, RejectedRow]

    def column(self, name: str, rows: Positions) -> pa.Array:
        """A column's values for some of the rows that were kept."""
        column = self.columns[name]
        if len(rows) == len(self.kept):
            return column
        return column.take(pa.array(np.searchsorted(self.kept, rows)))


class Calls:
    """The calls of a plan.

    Args:
        plan: the plan.
        asks: how to make each of its calls.
    """

    def __init__(self, plan: OnlinePlan, asks: Sequence[Ask]) -> None:
        self.graph = plan.graph
        self._calls = plan.calls
        self._asks = asks
        self._makers = {
            name: position for position, call in enumerate(plan.calls) for name in call.columns_out
        }
        self._types = {column_name(e): plan.graph.type_of(e) for e in plan.graph.edges}
        self._outputs = {e.target_port: column_name(e) for e in plan.graph.edges_into(GRAPH)}

    async def warm_up(self) -> None:
        """Make each call with a blank row, so that the first request waits for no connection."""
        for call, ask in zip(self._calls, self._asks, strict=True):
            try:
                await ask(pa.table({name: blank(self._types[name]) for name in call.columns_in}))
            except NodeError as error:
                log.info("a blank row is beyond this call, which stays cold: %s", error)

    async def run(self, rows: pa.Table) -> Answered:
        """Compute rows of the graph's input schema.

        Raises:
            NodeError: a node broke its own declaration.
        """
        everything = np.arange(rows.num_rows)
        columns = {name: one_chunk(rows.column(name)) for name in rows.column_names}
        given = _Made(everything, everything, columns, {})
        try:
            made = await self._carry_out(given, [call.after for call in self._calls])
        except NodeError:
            # Perhaps because of a row that an earlier call drops: in order, the node is spared it.
            made = await self._carry_out(given, [range(n) for n in range(len(self._calls))])
        return self._answered(given, made)

    async def _carry_out(self, given: _Made, after: Sequence[Iterable[int]]) -> list[_Made]:
        """Make every call as soon as those that it comes after are done."""
        tasks: list[asyncio.Task[_Made]] = []
        for position, earlier in enumerate(after):
            before = {other: tasks[other] for other in earlier}
            tasks.append(asyncio.create_task(self._make(position, given, before)))
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _make(
        self, position: int, given: _Made, before: Mapping[int, asyncio.Task[_Made]]
    ) -> _Made:
        call = self._calls[position]
        sources = {other: await task for other, task in before.items()}
        asked = _common(given.kept, sources.values())
        if not len(asked):
            nothing = {name: pa.array([], self._types[name]) for name in call.columns_out}
            return _Made(asked, asked, nothing, {})
        columns = {
            name: (sources[self._makers[name]] if name in self._makers else given).column(
                name, asked
            )
            for name in call.columns_in
        }
        computed = await self._asks[position](pa.table(columns))
        return _Made(
            asked,
            asked[computed.kept],
            {name: one_chunk(computed.table.column(name)) for name in call.columns_out},
            {
                (row := int(asked[r.row])): RejectedRow(row, r.node, r.error, r.message)
                for r in computed.rejected
            },
        )

    def _answered(self, given: _Made, made: Sequence[_Made]) -> Answered:
        kept = _common(given.kept, made)
        columns = [
            (made[self._makers[name]] if name in self._makers else given).column(name, kept)
            for name in (self._outputs[port.name] for port in self.graph.outputs)
        ]
        dropped: dict[int, RejectedRow | None] = {}
        for part in made:
            for row in np.setdiff1d(part.asked, part.kept, assume_unique=True).tolist():
                dropped.setdefault(row, part.rejected.get(row))
        rejected = (dropped[row] for row in sorted(dropped))
        return Answered(
            pa.table(columns, schema=self.graph.output_schema),
            kept,
            tuple(row for row in rejected if row is not None),
        )


def _common(given: Positions, made: Iterable[_Made]) -> Positions:
    """The rows that all have kept."""
    both = partial(np.intersect1d, assume_unique=True)
    return reduce(both, (part.kept for part in made), given)
