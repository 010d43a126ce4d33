"""The trigger that waits for a report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider.triggers.gate import Gate, look_at_gate
from graphs.errors import GraphsError


class ReportTrigger(BaseTrigger):
    """Waits until a partition's report has passed or failed.

    The one event is a :class:`~airflow_provider.triggers.Gate` as JSON.

    Args:
        dataset: URI of the dataset.
        partition_key: which partition.
        run_key: the run whose snapshot counts; ``None`` takes that which is committed.
        poll_s: seconds between looks; the first look comes after one of them.
        give_up_at: epoch seconds when waiting ends.
    """

    def __init__(
        self,
        *,
        dataset: str,
        partition_key: str,
        run_key: str | None,
        poll_s: float,
        give_up_at: float,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.dataset = dataset
        self.partition_key = partition_key
        self.run_key = run_key
        self.poll_s = poll_s
        self.give_up_at = give_up_at

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments: a wire format."""
        names = ("dataset", "partition_key", "run_key", "poll_s", "give_up_at")
        return (
            "airflow_provider.triggers.ReportTrigger",
            {name: getattr(self, name) for name in names},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yields once: passed, failed, timed out, or broken beyond waiting."""
        gate = Gate(state="waiting", reason="")
        while gate.state == "waiting":
            await asyncio.sleep(self.poll_s)
            gate = await self._look(before=gate)
        yield TriggerEvent(gate.model_dump(mode="json"))  # type: ignore[no-untyped-call]

    async def _look(self, before: Gate) -> Gate:
        try:
            gate = await asyncio.to_thread(
                look_at_gate, self.dataset, self.partition_key, self.run_key
            )
        except GraphsError as error:
            state = "waiting" if error.is_retryable else "broken"
            gate = Gate(state=state, reason=str(error), error=type(error).__name__)
        if gate.state == "waiting" and gate.reason != before.reason:
            self.log.info("Waiting: %s", gate.reason)
        if gate.state == "waiting" and time.time() >= self.give_up_at:
            return gate.model_copy(update={"state": "timed_out"})
        return gate
