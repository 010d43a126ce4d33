"""Column statistics that merge: of a whole snapshot = merge of its shards, in any order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from graphs.spec import ColumnStatistics

Statistics = dict[str, ColumnStatistics]

TOP_LIMIT = 1000
"""Distinct values a column may have before its exact counts are given up."""


def of_table(table: pa.Table) -> Statistics:
    """Statistics of every column of a table.

    Numbers get minimum, maximum and total (NaN left out, counted apart); strings, booleans and
    integers get exact counts per value while there are few; every type gets counts and nulls.
    """
    return {
        name: _of_column(table.column(name), table.schema.field(name).type)
        for name in table.column_names
    }


def _of_column(column: pa.ChunkedArray, type: pa.DataType) -> ColumnStatistics:
    numbers = column.drop_null() if _is_number(type) else None
    nans = 0
    if numbers is not None and pa.types.is_floating(type):
        numbers = numbers.cast(pa.float64())
        finite_or_infinite = numbers.filter(pc.invert(pc.is_nan(numbers)))
        nans = len(numbers) - len(finite_or_infinite)
        numbers = finite_or_infinite
    has_values = numbers is not None and len(numbers) > 0
    extremes = pc.min_max(numbers).as_py() if has_values else {"min": None, "max": None}
    return ColumnStatistics(
        type=str(type),
        count=len(column),
        nulls=column.null_count,
        nans=nans,
        minimum=extremes["min"],
        maximum=extremes["max"],
        total=_total(numbers) if has_values else None,
        top=_top(column) if _is_countable(type) else None,
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


def _total(numbers: pa.ChunkedArray) -> float:
    # In float64 throughout: an int64 sum could wrap around without a word.
    return float(pc.sum(numbers.cast(pa.float64(), safe=False)).as_py())


def _top(column: pa.ChunkedArray) -> dict[str, int] | None:
    counts = column.drop_null().value_counts()
    if len(counts) > TOP_LIMIT:
        return None
    pairs = sorted((_text(pair["values"].as_py()), pair["counts"].as_py()) for pair in counts)
    return dict(pairs)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def merge(a: Mapping[str, ColumnStatistics], b: Mapping[str, ColumnStatistics]) -> Statistics:
    """Statistics of two sets of rows together. Associative and commutative (totals: within float
    rounding); ``{}`` is neutral. A column that only one side has keeps that side's statistics.
    """
    names = sorted({*a, *b})
    return {
        name: _merge_column(a[name], b[name]) if name in a and name in b else a.get(name) or b[name]
        for name in names
    }


def merge_all(parts: list[Mapping[str, ColumnStatistics]]) -> Statistics:
    """Statistics of many sets of rows together."""
    return reduce(merge, parts, {})


def _merge_column(a: ColumnStatistics, b: ColumnStatistics) -> ColumnStatistics:
    return ColumnStatistics(
        type=a.type,
        count=a.count + b.count,
        nulls=a.nulls + b.nulls,
        nans=a.nans + b.nans,
        minimum=_either(min, a.minimum, b.minimum),
        maximum=_either(max, a.maximum, b.maximum),
        total=_either(lambda x, y: x + y, a.total, b.total),
        top=_merge_top(a.top, b.top),
    )


def _either(
    combine: Callable[[float, float], float], a: float | None, b: float | None
) -> float | None:
    if a is None or b is None:
        return b if a is None else a
    return combine(a, b)


def _merge_top(a: dict[str, int] | None, b: dict[str, int] | None) -> dict[str, int] | None:
    if a is None or b is None:
        return None
    merged = {value: a.get(value, 0) + b.get(value, 0) for value in sorted({*a, *b})}
    return merged if len(merged) <= TOP_LIMIT else None
