from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.spec import ColumnStatistics
from graphs.validation.statistics import TOP_LIMIT, Merger, merge, merge_all, of_table

SCHEMA = pa.schema(
    [("topic", pa.string()), ("score", pa.float64()), ("n", pa.int64()), ("ok", pa.bool_())]
)


def test_a_table_is_summed_up_by_column() -> None:
    table = pa.table(
        {
            "topic": ["a", "b", "a", None],
            "score": [0.5, math.nan, None, -1.0],
            "n": [3, 3, 1, None],
            "ok": [True, True, False, None],
        },
        schema=SCHEMA,
    )
    assert of_table(table) == {
        "topic": ColumnStatistics(type="string", count=4, nulls=1, top={"a": 2, "b": 1}),
        "score": ColumnStatistics(
            type="double", count=4, nulls=1, nans=1, minimum=-1.0, maximum=0.5, total=-0.5
        ),
        "n": ColumnStatistics(
            type="int64", count=4, nulls=1, minimum=1, maximum=3, total=7, top={"1": 1, "3": 2}
        ),
        "ok": ColumnStatistics(type="bool", count=4, nulls=1, top={"false": 1, "true": 2}),
    }


def test_a_table_without_rows_has_columns_without_values() -> None:
    found = of_table(SCHEMA.empty_table())
    assert found["score"] == ColumnStatistics(type="double", count=0, nulls=0)
    assert found["topic"].top == {}


@pytest.mark.parametrize(
    "type",
    [pa.list_(pa.float32()), pa.list_(pa.float32(), 2), pa.binary(), pa.timestamp("us")],
    ids=str,
)
def test_other_types_are_counted(type: pa.DataType) -> None:
    values = {"list": [[1.0, 2.0], None], "bina": [b"x", None], "time": [0, None]}
    key = "list" if "list" in str(type) else str(type)[:4]
    found = of_table(pa.table({"c": pa.array(values[key], type)}))["c"]
    assert found == ColumnStatistics(type=str(type), count=2, nulls=1)


def test_exact_counts_end_where_there_are_too_many_values() -> None:
    few = of_table(pa.table({"c": [str(n) for n in range(TOP_LIMIT)]}))
    more = of_table(pa.table({"c": ["one too many"]}))
    assert len(few["c"].top or {}) == TOP_LIMIT
    assert merge(few, more)["c"].top is None
    assert of_table(pa.table({"c": [str(n) for n in range(TOP_LIMIT + 1)]}))["c"].top is None


@pytest.mark.parametrize("distinct", [1, TOP_LIMIT - 1, TOP_LIMIT, TOP_LIMIT + 1, 5 * TOP_LIMIT])
@pytest.mark.parametrize("order", ["sorted", "cycled", "rare at the end"])
def test_whether_values_are_counted_does_not_depend_on_where_they_stand(
    distinct: int, order: str
) -> None:
    rows = 50 * TOP_LIMIT
    values = {
        "sorted": np.sort(np.arange(rows) % distinct),
        "cycled": np.arange(rows) % distinct,
        "rare at the end": np.maximum(np.arange(rows) - rows + distinct, 0),
    }[order]
    expected = {str(value): count for value, count in Counter(values.tolist()).items()}
    texts = pa.array(values).cast(pa.string())
    column = pa.chunked_array([texts.slice(0, 7), texts.slice(7, 0), texts.slice(7)])
    found = of_table(pa.table({"number": values, "text": column}))
    for name in ("number", "text"):
        assert found[name].top == (expected if distinct <= TOP_LIMIT else None)


def test_infinities_of_both_signs_are_not_taken_for_nan() -> None:
    found = of_table(pa.table({"c": [math.inf, 1.0, -math.inf]}))["c"]
    assert (found.nans, found.minimum, found.maximum) == (0, -math.inf, math.inf)
    assert math.isnan(found.total or 0.0)


def test_a_column_of_nan_alone_has_no_extremes() -> None:
    found = of_table(pa.table({"c": [math.nan, math.nan, None]}))["c"]
    assert found == ColumnStatistics(type="double", count=3, nulls=1, nans=2)


def test_a_column_that_some_shards_lack_keeps_what_the_others_say() -> None:
    merger = Merger()
    merger.add(of_table(pa.table({"a": [1]})))
    merger.add(of_table(pa.table({"a": [2], "b": ["x"]})))
    merger.add({})
    found = merger.result()
    assert found["b"] == ColumnStatistics(type="string", count=1, nulls=0, top={"x": 1})
    assert (found["a"].count, found["a"].total) == (2, 3)


def test_adding_leaves_what_was_added_as_it_was() -> None:
    one = of_table(pa.table({"a": ["x"]}))
    before = one["a"].model_copy(deep=True)
    merge_all([one, one, one])
    assert one["a"] == before


def test_numbers_beyond_what_a_float_counts_do_not_wrap_around() -> None:
    found = of_table(pa.table({"c": pa.array([2**62] * 4, pa.int64())}))
    assert found["c"].total == 2.0**64
    found = of_table(pa.table({"c": pa.array([-(2**63)] * 4, pa.int64())}))
    assert found["c"].total == -(2.0**65)


def test_single_precision_is_added_up_in_double() -> None:
    found = of_table(pa.table({"c": pa.array([2.0**24] + [1.0] * 8, pa.float32())}))
    assert found["c"].total == 2.0**24 + 8


def test_half_precision_and_unsigned_numbers_are_numbers() -> None:
    table = pa.table(
        {"h": pa.array([0.5, 1.5], pa.float16()), "u": pa.array([1, 2**63], pa.uint64())}
    )
    found = of_table(table)
    assert (found["h"].minimum, found["h"].maximum) == (0.5, 1.5)
    assert found["u"].maximum == 2.0**63


def test_infinities_survive_the_wire() -> None:
    found = of_table(pa.table({"c": [1.0, math.inf]}))["c"]
    assert ColumnStatistics.model_validate_json(found.model_dump_json()) == found
    assert found.maximum == math.inf


# Eighths add up without rounding, so that "equal" can mean equal.
_ROWS = st.lists(
    st.tuples(
        st.none() | st.sampled_from(["a", "b", "c"]),
        st.none() | st.just(math.nan) | st.integers(-800, 800).map(lambda n: n / 8),
        st.none() | st.integers(-9, 9),
        st.none() | st.booleans(),
    )
)


def _table(rows: list[tuple[object, ...]]) -> pa.Table:
    return pa.table(
        [pa.array([row[i] for row in rows], SCHEMA.types[i]) for i in range(4)], schema=SCHEMA
    )


@given(_ROWS, _ROWS, _ROWS)
def test_shards_merge_to_the_whole_in_any_order_and_grouping(a: list, b: list, c: list) -> None:
    whole = of_table(_table(a + b + c))
    x, y, z = (of_table(_table(rows)) for rows in (a, b, c))
    assert merge(merge(x, y), z) == merge(x, merge(y, z)) == merge_all([z, y, x]) == whole
