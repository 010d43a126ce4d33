"""Column statistics that merge: of a whole snapshot = merge of its shards, in any order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isnan

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from graphs.spec import ColumnStatistics

Statistics = dict[str, ColumnStatistics]

TOP_LIMIT = 1000
"""Distinct values a column may have before its exact counts are given up."""

_SAMPLE_ROWS = 4 * TOP_LIMIT
"""Rows that are looked at first: nearly every column with too many values shows so in these."""


def of_table(table: pa.Table) -> Statistics:
    """Statistics of every column of a table.

    Numbers get minimum, maximum and total (NaN left out, counted apart); strings, booleans and
    integers get exact counts per value while there are few; every type gets counts and nulls.
    Costs a few percent of writing the table as parquet.
    """
    return {name: _of_column(table.column(name)) for name in table.column_names}


def _of_column(column: pa.ChunkedArray) -> ColumnStatistics:
    values = column.drop_null() if column.null_count else column
    numbers = _of_numbers(values) if _is_number(column.type) else _Numbers()
    return ColumnStatistics(
        type=str(column.type),
        count=len(column),
        nulls=column.null_count,
        nans=numbers.nans,
        minimum=numbers.minimum,
        maximum=numbers.maximum,
        total=numbers.total,
        top=_top(values) if _is_countable(column.type) else None,
    )


def _is_number(type: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type) or pa.types.is_floating(type))


def _is_countable(type: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(type)
        or pa.types.is_boolean(type)
        or pa.types.is_string(type)
        or pa.types.is_large_string(type)
    )


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What only numbers have."""

    minimum: float | None = None
    maximum: float | None = None
    total: float | None = None
    nans: int = 0


def _of_numbers(values: pa.ChunkedArray) -> _Numbers:
    """Of numbers without nulls, each looked at once for the sum and once for each extreme."""
    if len(values) == 0:
        return _Numbers()
    if pa.types.is_integer(values.type):
        minimum, maximum = _extremes(values)
        # An int64 sum could wrap around without a word; float64 cannot.
        wraps = max(-minimum, maximum) * len(values) >= 2**63
        total = float(pc.sum(values.cast(pa.float64(), safe=False) if wraps else values).as_py())
        return _Numbers(minimum, maximum, total)
    if pa.types.is_float16(values.type):
        values = values.cast(pa.float32())
    total = pc.sum(values).as_py()  # in float64, whatever the type
    if not isnan(total):
        return _Numbers(*_extremes(values), total)
    # There is a NaN, or both infinities; to tell costs a pass and a copy.
    ordered = values.filter(pc.invert(pc.is_nan(values)))
    nans = len(values) - len(ordered)
    if len(ordered) == 0:
        return _Numbers(nans=nans)
    return _Numbers(*_extremes(ordered), pc.sum(ordered).as_py(), nans)


def _extremes(values: pa.ChunkedArray) -> tuple[float, float]:
    # numpy finds them several times faster than Arrow does.
    arrays = [chunk.to_numpy() for chunk in values.chunks if len(chunk)]
    return (
        min(array.min().item() for array in arrays),
        max(array.max().item() for array in arrays),
    )


def _top(values: pa.ChunkedArray) -> dict[str, int] | None:
    """Exact counts, or None where there are more than :data:`TOP_LIMIT` distinct values.

    A sample can only prove that there are too many, never that there are few: so the answer is the
    same whichever rows it holds.
    """
    if len(values) > 2 * _SAMPLE_ROWS:
        sample = values.take(np.linspace(0, len(values) - 1, _SAMPLE_ROWS, dtype=np.int64))
        if len(sample.unique()) > TOP_LIMIT:
            return None
    counts = values.value_counts()
    if len(counts) > TOP_LIMIT:
        return None
    found = zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True)
    return dict(sorted((_text(value), count) for value, count in found))


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class Merger:
    """Adds up the statistics of many sets of rows, one after another.

    Associative and commutative (totals: within float rounding). A column that only some of the
    sets have keeps what these say.
    """

    def __init__(self) -> None:
        self._columns: dict[str, _Sum] = {}

    def add(self, statistics: Mapping[str, ColumnStatistics]) -> None:
        """Adds one set of rows: about a microsecond a column, and more where values are counted."""
        columns = self._columns
        for name, one in statistics.items():
            if name in columns:
                columns[name].add(one)
            else:
                columns[name] = _Sum(one)

    def result(self) -> Statistics:
        """The statistics of everything added so far, columns by name."""
        return {name: self._columns[name].result() for name in sorted(self._columns)}


class _Sum:
    """A :class:`ColumnStatistics` that can change."""

    __slots__ = ("count", "maximum", "minimum", "nans", "nulls", "top", "total", "type")

    def __init__(self, first: ColumnStatistics) -> None:
        self.type = first.type
        self.count = first.count
        self.nulls = first.nulls
        self.nans = first.nans
        self.minimum = first.minimum
        self.maximum = first.maximum
        self.total = first.total
        self.top = None if first.top is None else dict(first.top)

    def add(self, one: ColumnStatistics) -> None:
        self.count += one.count
        self.nulls += one.nulls
        self.nans += one.nans
        if one.total is not None:
            self._add_numbers(one.minimum, one.maximum, one.total)
        top = self.top
        if top is None:
            return
        if one.top is None:
            self.top = None
            return
        for value, count in one.top.items():
            top[value] = top.get(value, 0) + count
        if len(top) > TOP_LIMIT:
            self.top = None

    def _add_numbers(self, minimum: float | None, maximum: float | None, total: float) -> None:
        if self.total is None:
            self.minimum, self.maximum, self.total = minimum, maximum, total
            return
        self.total += total
        if minimum is not None and self.minimum is not None and minimum < self.minimum:
            self.minimum = minimum
        if maximum is not None and self.maximum is not None and maximum > self.maximum:
            self.maximum = maximum

    def result(self) -> ColumnStatistics:
        return ColumnStatistics(
            type=self.type,
            count=self.count,
            nulls=self.nulls,
            nans=self.nans,
            minimum=self.minimum,
            maximum=self.maximum,
            total=self.total,
            top=None if self.top is None else dict(sorted(self.top.items())),
        )


def merge(a: Mapping[str, ColumnStatistics], b: Mapping[str, ColumnStatistics]) -> Statistics:
    """Statistics of two sets of rows together; ``{}`` is neutral."""
    return merge_all((a, b))


def merge_all(parts: Iterable[Mapping[str, ColumnStatistics]]) -> Statistics:
    """Statistics of many sets of rows together."""
    merger = Merger()
    for part in parts:
        merger.add(part)
    return merger.result()
