"""A further deployment of a plan: nodes that may not be where requests arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from ray import serve
from ray.serve.handle import DeploymentHandle

from graphs.authoring import load_graph
from graphs.errors import NodeError, ParityFailed
from graphs.ir import version
from graphs.planners.online import Call, OnlinePlan
from graphs.runtimes.kernel import Computed, Kernel, RejectedRow
from graphs.runtimes.kernel.steps import Positions
from graphs.runtimes.ray_serve.calls import Ask


@dataclass(frozen=True, slots=True)
class Part:
    """What became of the rows of one call, as it goes back."""

    columns: bytes
    """The call's ``columns_out`` as an Arrow IPC stream."""
    kept: Positions
    rejected: tuple[RejectedRow, ...]


class NodeServer:
    """A replica of a further deployment: loads its models and computes what it is asked.

    Its rows come from other nodes, so no row of a snapshot proves it; the replicas that ask it are
    proved, and it with them. One that Serve starts later makes sure that the code and artifacts it
    finds are still those of its version.

    Args:
        plan: the whole plan.
        name: of the deployment.
        is_proved: whether it is to make sure of its version.

    Raises:
        NodeError: a model does not load.
        ParityFailed: code or artifacts are of another version.
    """

    def __init__(self, plan: OnlinePlan, name: str, is_proved: bool) -> None:
        if is_proved:
            _check_version(plan)
        # One thread: a node's function is never called twice at once, as in the other runtimes.
        self._computing = ThreadPoolExecutor(1, thread_name_prefix="kernel")
        (deployment,) = (d for d in plan.deployments if d.name == name)
        self._compute = {
            call.nodes: self._made_ready(plan, call, deployment.is_batched)
            for call in plan.calls
            if call.deployment == name
        }

    async def compute(self, nodes: tuple[str, ...], rows: bytes) -> Part:
        """Make one of the plan's calls.

        Args:
            nodes: those of the call.
            rows: its ``columns_in`` as an Arrow IPC stream.

        Raises:
            NodeError: a node broke its own declaration.
        """
        part = await self._compute[nodes](rows)
        if isinstance(part, NodeError):
            raise part
        return part

    def _made_ready(
        self, plan: OnlinePlan, call: Call, is_batched: bool
    ) -> Callable[[bytes], Awaitable[Part | NodeError]]:
        kernel = Kernel(plan.graph, call.nodes)
        kernel.warm_up()

        async def together(batches: list[bytes]) -> list[Part | NodeError]:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._computing, compute, kernel, call, batches)

        async def alone(batch: bytes) -> Part | NodeError:
            return (await together([batch]))[0]

        if not is_batched:
            return alone
        join = serve.batch(
            max_batch_size=plan.profile.max_batch_requests,
            batch_wait_timeout_s=plan.profile.batch_wait_s,
        )
        return join(together)


def compute(kernel: Kernel, call: Call, batches: Sequence[bytes]) -> list[Part | NodeError]:
    """Compute the rows of concurrent calls together, and give each its own."""
    tables = [unpacked(batch) for batch in batches]
    try:
        computed = kernel.run(pa.concat_tables(tables))
    except NodeError as error:
        if len(batches) == 1:
            return [error]
        # One call's rows made a node break its word; the others shall not pay for it.
        return [part for batch in batches for part in compute(kernel, call, [batch])]
    stops = np.cumsum([table.num_rows for table in tables]).tolist()
    return [
        _part(computed, call, start, stop)
        for start, stop in zip([0, *stops[:-1]], stops, strict=True)
    ]


def _part(computed: Computed, call: Call, start: int, stop: int) -> Part:
    first, last = np.searchsorted(computed.kept, [start, stop]).tolist()
    return Part(
        packed(computed.table.select(call.columns_out).slice(first, last - first)),
        computed.kept[first:last] - start,
        tuple(
            RejectedRow(r.row - start, r.node, r.error, r.message)
            for r in computed.rejected
            if start <= r.row < stop
        ),
    )


def asking(handle: DeploymentHandle[Any], call: Call) -> Ask:
    """How the replica where requests arrive makes a call of a further deployment."""

    async def ask(rows: pa.Table) -> Computed:
        part: Part = await handle.compute.remote(call.nodes, packed(rows))
        return Computed(unpacked(part.columns), part.kept, part.rejected)

    return ask


def packed(table: pa.Table) -> bytes:
    """A table as an Arrow IPC stream; of a slice, only its own rows."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def unpacked(stream: bytes) -> pa.Table:
    """The table in an Arrow IPC stream."""
    with pa.ipc.open_stream(stream) as reader:
        return reader.read_all()


def _check_version(plan: OnlinePlan) -> None:
    found = version(load_graph(plan.graph.ref))
    if found != plan.version:
        raise ParityFailed(
            f"code and artifacts here are of version {found}, not {plan.version}",
            where=f"graph {plan.graph.name!r}",
            remedy="Its code, artifacts or environment are not what made the snapshot",
        )
