"""Whether a partition's snapshot has passed: read from its manifest and its report."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from graphs.spec import Record
from graphs.storage.snapshots import Dataset


class Gate(Record):
    """What the gate says now; a trigger's event, so a wire format."""

    format: Literal[1] = 1
    state: Literal["waiting", "passed", "failed", "timed_out", "broken"]
    reason: str = Field(description="what is waited for, what failed, or what is broken")
    report: str | None = Field(default=None, description="URI of the report page")
    error: str = Field(default="", description="class name of the error, when it is broken")


def look_at_gate(dataset: str, partition_key: str, run_key: str | None) -> Gate:
    """Reads the manifest and the report of a partition.

    Args:
        dataset: its URI.
        partition_key: which partition.
        run_key: the run whose snapshot counts; ``None`` takes that which is committed.

    Raises:
        StorageError: the store cannot be read.
    """
    store = Dataset(dataset)
    found = store.read_manifest(partition_key)
    if found is None:
        return Gate(state="waiting", reason=f"partition {partition_key} is not committed yet")
    committed = found[0].run_key
    if run_key is not None and committed != run_key:
        reason = f"partition {partition_key} holds run {committed}, not yet {run_key}"
        return Gate(state="waiting", reason=reason)
    report = store.read_report(partition_key, committed)
    if report is None:
        return Gate(state="waiting", reason=f"run {committed} has no report yet")
    page = store.report_uri(partition_key, committed)
    if not report.passed:
        return Gate(state="failed", reason="; ".join(report.failures), report=page)
    return Gate(state="passed", reason=f"run {committed} passed", report=page)
