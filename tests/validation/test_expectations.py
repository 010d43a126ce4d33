from __future__ import annotations

import math
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from graphs.spec import (
    Between,
    Counts,
    Expectation,
    Input,
    LargestShare,
    Manifest,
    NoNulls,
    RejectedShare,
    RowsConserved,
)
from graphs.validation.expectations import evaluate, judge
from graphs.validation.statistics import of_table


def manifest(table: pa.Table | None = None, **counts: object) -> Manifest:
    table = pa.table({}) if table is None else table
    return Manifest(
        run_key="r",
        graph="g",
        version="v",
        key="id",
        partition_key="p",
        input=Input(uri="in"),
        files=(),
        counts=Counts.model_validate(counts),
        statistics=of_table(table),
        committed_at=datetime.now(UTC),
    )


COLUMN = {
    "plain": pa.array(["a", "a", "a", "b"]),
    "holes": pa.array(["a", None, None, "b"]),
    "score": pa.array([0.0, 0.25, 1.0]),
    "nan": pa.array([0.5, math.nan]),
    "all_nan": pa.array([math.nan]),
    "infinite": pa.array([0.5, math.inf]),
    "nulls": pa.array([None, None], pa.float64()),
    "none": pa.array([], pa.float64()),
    "many": pa.array([str(n) for n in range(2000)]),
    "list": pa.array([[1.0]]),
}


@pytest.mark.parametrize(
    ("expectation", "passed", "observed"),
    [
        (NoNulls(column="plain"), True, "0 nulls in 4 rows"),
        (NoNulls(column="holes"), False, "2 nulls in 4 rows"),
        (NoNulls(column="none"), True, "0 nulls in 0 rows"),
        (Between(column="score", minimum=0, maximum=1), True, "0 to 1"),
        (Between(column="score", minimum=0, maximum=0.9), False, "0 to 1"),
        (Between(column="nan", minimum=0, maximum=1), False, "0.5 to 0.5, and 1 NaN"),
        (Between(column="all_nan", minimum=0, maximum=1), False, "1 NaN and no number"),
        (Between(column="infinite", minimum=0, maximum=1), False, "0.5 to inf"),
        (Between(column="nulls", minimum=0, maximum=1), True, "no values"),
        (Between(column="none", minimum=0, maximum=1), True, "no values"),
        (
            Between(column="plain", minimum=0, maximum=1),
            False,
            "a column of string cannot be compared with numbers",
        ),
        (LargestShare(column="plain", maximum=0.75), True, "'a' is 75.0 % of 4 rows"),
        (LargestShare(column="plain", maximum=0.7), False, "'a' is 75.0 % of 4 rows"),
        (LargestShare(column="none", maximum=0.5), True, "no rows"),
        (
            LargestShare(column="many", maximum=0.5),
            False,
            "cannot be judged: the column has too many distinct values, or no plain ones",
        ),
        (
            LargestShare(column="list", maximum=0.5),
            False,
            "cannot be judged: the column has too many distinct values, or no plain ones",
        ),
    ],
    ids=str,
)
def test_a_column_is_judged(expectation: Expectation, passed: bool, observed: str) -> None:
    column = getattr(expectation, "column", "")
    verdict = judge(expectation, manifest(pa.table({column: COLUMN[column]})))
    assert (verdict.passed, verdict.observed) == (passed, observed)


@pytest.mark.parametrize(
    "expectation",
    [
        NoNulls(column="topik"),
        Between(column="topik", minimum=0, maximum=1),
        LargestShare(column="topik", maximum=1),
    ],
    ids=lambda expectation: expectation.kind,
)
def test_a_column_that_does_not_exist_fails_and_is_named(expectation: Expectation) -> None:
    verdict = judge(expectation, manifest(pa.table({"topic": ["a"], "score": [0.5]})))
    assert not verdict.passed
    assert verdict.observed == "there is no column 'topik'; there are topic, score"


@pytest.mark.parametrize(
    ("counts", "passed", "ending"),
    [
        (
            {"rows_in": 5, "rows_out": 3, "rejected": {"a": 1}, "filtered": {"b": 1}},
            True,
            "1 filtered",
        ),
        ({"rows_in": 5, "rows_out": 3, "rejected": {"a": 1}}, False, "1 lost"),
        ({"rows_in": 5, "rows_out": 6}, False, "1 too many"),
        ({}, True, "0 filtered"),
    ],
)
def test_rows_are_conserved_or_the_difference_is_told(
    counts: dict[str, object], passed: bool, ending: str
) -> None:
    verdict = judge(RowsConserved(), manifest(**counts))
    assert verdict.passed is passed
    assert verdict.observed.endswith(ending)


def test_rejected_rows_are_judged_as_a_share() -> None:
    some = manifest(rows_in=1000, rows_out=995, rejected={"a": 4, "b": 1})
    assert judge(RejectedShare(maximum=0.005), some).passed
    strict = judge(RejectedShare(maximum=0.004), some)
    assert strict.observed == "5 of 1000 rows rejected (0.50 %)"
    assert not strict.passed
    assert judge(RejectedShare(maximum=0), manifest()).passed


def test_a_report_passes_when_every_expectation_held_and_names_those_that_did_not() -> None:
    table = pa.table({"topic": ["a", "a"]})
    expectations = (
        RowsConserved(),
        LargestShare(column="topic", maximum=0.5),
        NoNulls(column="topic"),
    )
    report = evaluate(manifest(table, rows_in=2, rows_out=2), expectations)
    assert not report.passed
    assert report.failures == ("largest_share: 'a' is 100.0 % of 2 rows",)
    assert evaluate(manifest(table, rows_in=2, rows_out=2), (RowsConserved(),)).passed
