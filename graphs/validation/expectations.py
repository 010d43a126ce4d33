"""Judges expectations from counts and statistics. One function per kind, in one table."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from graphs.spec import (
    Between,
    ColumnStatistics,
    Expectation,
    LargestShare,
    Manifest,
    NoNulls,
    RejectedShare,
    Report,
    RowsConserved,
    Verdict,
)


def evaluate(manifest: Manifest, expectations: Sequence[Expectation]) -> Report:
    """What the gate says of a committed snapshot; no row is read.

    An expectation that cannot be judged (no such column, no numbers in it) has failed and says
    why: a gate does not open on what it does not know.
    """
    return Report(
        run_key=manifest.run_key,
        graph=manifest.graph,
        version=manifest.version,
        partition_key=manifest.partition_key,
        verdicts=tuple(judge(expectation, manifest) for expectation in expectations),
        counts=manifest.counts,
        statistics=manifest.statistics,
        made_at=datetime.now(UTC),
    )


def judge(expectation: Expectation, manifest: Manifest) -> Verdict:
    """How one expectation came out."""
    passed, observed = _JUDGES[type(expectation)](expectation, manifest)
    return Verdict(expectation=expectation, passed=passed, observed=observed)


Outcome = tuple[bool, str]


def _rows_conserved(expectation: RowsConserved, manifest: Manifest) -> Outcome:
    counts = manifest.counts
    account = (
        f"{counts.rows_in} in, {counts.rows_out} out, {counts.rows_rejected} rejected, "
        f"{counts.rows_filtered} filtered"
    )
    missing = counts.rows_in - counts.rows_out - counts.rows_rejected - counts.rows_filtered
    if missing > 0:
        return False, f"{account}: {missing} lost"
    return (True, account) if missing == 0 else (False, f"{account}: {-missing} too many")


def _no_nulls(expectation: NoNulls, manifest: Manifest) -> Outcome:
    column = manifest.statistics.get(expectation.column)
    if column is None:
        return _no_such_column(expectation.column, manifest)
    return column.nulls == 0, f"{column.nulls} nulls in {column.count} rows"


def _between(expectation: Between, manifest: Manifest) -> Outcome:
    column = manifest.statistics.get(expectation.column)
    if column is None:
        return _no_such_column(expectation.column, manifest)
    if column.minimum is None or column.maximum is None:
        return _without_numbers(column)
    inside = expectation.minimum <= column.minimum and column.maximum <= expectation.maximum
    observed = f"{column.minimum:.6g} to {column.maximum:.6g}"
    if column.nans:
        return False, f"{observed}, and {column.nans} NaN"
    return inside, observed


def _without_numbers(column: ColumnStatistics) -> Outcome:
    if column.nans:
        return False, f"{column.nans} NaN and no number"
    if column.count == column.nulls:
        return True, "no values"
    return False, f"a column of {column.type} cannot be compared with numbers"


def _largest_share(expectation: LargestShare, manifest: Manifest) -> Outcome:
    column = manifest.statistics.get(expectation.column)
    if column is None:
        return _no_such_column(expectation.column, manifest)
    if column.count == 0:
        return True, "no rows"
    if column.top is None:
        return False, "cannot be judged: the column has too many distinct values, or no plain ones"
    if not column.top:
        return True, "no values"
    value, count = max(column.top.items(), key=lambda item: (item[1], item[0]))
    share = count / column.count
    return share <= expectation.maximum, f"{value!r} is {_percent(share)} of {column.count} rows"


def _rejected_share(expectation: RejectedShare, manifest: Manifest) -> Outcome:
    counts = manifest.counts
    if counts.rows_in == 0:
        return True, "no rows"
    share = counts.rows_rejected / counts.rows_in
    observed = f"{counts.rows_rejected} of {counts.rows_in} rows rejected ({_percent(share)})"
    return share <= expectation.maximum, observed


def _no_such_column(name: str, manifest: Manifest) -> Outcome:
    return False, f"there is no column {name!r}; there are {', '.join(manifest.statistics)}"


def _percent(share: float) -> str:
    """Two significant digits for what is small, so that 0.04 % does not read as 0 %."""
    digits = 1 if share >= 0.01 or share == 0 else 1 - math.floor(math.log10(share * 100))
    return f"{100 * share:.{digits}f} %"


_JUDGES: dict[type[Any], Callable[[Any, Manifest], Outcome]] = {
    Between: _between,
    LargestShare: _largest_share,
    NoNulls: _no_nulls,
    RejectedShare: _rejected_share,
    RowsConserved: _rows_conserved,
}
