"""What the shards of a run come to: counts, usage and files, added up one record at a time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from graphs.spec import Counts, DataFile, NodeUsage, StageUsage, Usage
from graphs.storage.file_lists import SCHEMA

_CHUNK = 65_536


class CountsSum:
    """Where the rows of many shards went."""

    def __init__(self) -> None:
        self.rows_in = 0
        self.rows_out = 0
        self.rows_rejected = 0
        self.rejected = Counter[str]()
        self._filtered = Counter[str]()
        self._errors = defaultdict[str, Counter[str]](Counter)

    def add(self, counts: Counts) -> None:
        """Enters one shard's counts."""
        self.rows_in += counts.rows_in
        self.rows_out += counts.rows_out
        self.rows_rejected += counts.rows_rejected
        self.rejected.update(counts.rejected)
        self._filtered.update(counts.filtered)
        for node, errors in counts.errors.items():
            self._errors[node].update(errors)

    def result(self) -> Counts:
        """The counts of everything entered so far."""
        return Counts(
            rows_in=self.rows_in,
            rows_out=self.rows_out,
            rejected=dict(self.rejected),
            filtered=dict(self._filtered),
            errors={node: dict(errors) for node, errors in self._errors.items()},
        )


class UsageSum:
    """What many shards took: sums, but the largest of peaks and of a stage's workers."""

    def __init__(self) -> None:
        self._totals = Counter[str]()
        self._peak = 0
        self._cost: float | None = None
        self.nodes: dict[str, tuple[int, float]] = {}
        self._stages: dict[str, StageUsage] = {}

    def add(self, usage: Usage) -> None:
        """Enters one usage."""
        for name in _ADDED:
            self._totals[name] += getattr(usage, name)
        self._peak = max(self._peak, usage.peak_memory_bytes)
        if usage.cost is not None:
            self._cost = (self._cost or 0.0) + usage.cost
        for name, node in usage.nodes.items():
            rows, seconds = self.nodes.get(name, (0, 0.0))
            self.nodes[name] = rows + node.rows, seconds + node.seconds
        for name, stage in usage.stages.items():
            known = self._stages.get(name)
            self._stages[name] = stage if known is None else _both(known, stage)

    def result(self) -> Usage:
        """Everything entered so far."""
        return Usage(
            **self._totals,
            peak_memory_bytes=self._peak,
            cost=self._cost,
            nodes={
                name: NodeUsage(rows=rows, seconds=seconds)
                for name, (rows, seconds) in self.nodes.items()
            },
            stages=dict(self._stages),
        )


_ADDED = ("bytes_read", "bytes_written", "requests", "retries")


def _both(a: StageUsage, b: StageUsage) -> StageUsage:
    return StageUsage(
        busy_s=a.busy_s + b.busy_s,
        held_s=a.held_s + b.held_s,
        cpus=max(a.cpus, b.cpus),
        gpus=max(a.gpus, b.gpus),
    )


def add_counts(parts: Iterable[Counts]) -> Counts:
    """The counts of several sets of rows together."""
    total = CountsSum()
    for part in parts:
        total.add(part)
    return total.result()


def add_usage(parts: Iterable[Usage]) -> Usage:
    """What several parts of a run took together."""
    total = UsageSum()
    for part in parts:
        total.add(part)
    return total.result()


class FilesByShard:
    """Files of shards that come in any order, as columns; a million of them take about 100 MB."""

    def __init__(self) -> None:
        self._chunks: list[pa.Table] = []
        # Not records: Python's garbage collector would look at each of them again and again.
        self._shards: list[int] = []
        self._paths: list[str] = []
        self._rows: list[int] = []
        self._bytes: list[int] = []

    def add(self, shard: int, files: Sequence[DataFile]) -> None:
        """Enters the files of one shard, by its position in the plan."""
        for file in files:
            self._shards.append(shard)
            self._paths.append(file.path)
            self._rows.append(file.rows)
            self._bytes.append(file.bytes)
        if len(self._paths) >= _CHUNK:
            self._flush()

    def result(self) -> pa.Table:
        """All files, in the order of their shards; columns as in ``file_lists.SCHEMA``."""
        self._flush()
        table = pa.concat_tables([_BY_SHARD.empty_table(), *self._chunks]).combine_chunks()
        order = np.argsort(table.column("shard").to_numpy(), kind="stable")
        return table.take(pa.array(order)).select(SCHEMA.names)

    def _flush(self) -> None:
        columns = (self._paths, self._rows, self._bytes, self._shards)
        self._chunks.append(
            pa.table(
                [pa.array(c, f.type) for c, f in zip(columns, _BY_SHARD, strict=True)], _BY_SHARD
            )
        )
        for column in columns:
            column.clear()


_BY_SHARD = SCHEMA.append(pa.field("shard", pa.int64(), nullable=False))
