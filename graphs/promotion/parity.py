"""Parity: do online answers equal offline rows for the same inputs?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from graphs.spec import Parity

DEFAULT_TOLERANCE = 1e-3
"""Largest allowed absolute difference of a float column that the spec does not name.

float32 models give other last digits in other batch sizes; a wrong model is far off this.
"""

_TOLD = 5
_SHOWN = 80


def compare(
    offline: pa.Table,
    online: pa.Table,
    *,
    key: str,
    tolerance: Mapping[str, float],
    refused: Mapping[Any, str] | None = None,
) -> Parity:
    """Compare two tables row by row.

    Floats agree within a column's tolerance (absolute), wherever they stand: in a column, a list
    or a struct. NaN agrees with NaN. Everything else must be equal.

    Args:
        offline: rows of a snapshot, each key once.
        online: answers of the same schema, in any order.
        key: the column that names a row.
        tolerance: per column; :data:`DEFAULT_TOLERANCE` where not named.
        refused: why a key has no answer, by key.

    Returns:
        what agreed, and the first few disagreements as lines a reader can act on.
    """
    answers = {row[key]: row for row in online.to_pylist()}
    allowed = {name: tolerance.get(name, DEFAULT_TOLERANCE) for name in offline.column_names}
    largest: dict[str, float] = {
        field.name: 0.0 for field in offline.schema if _holds_floats(field.type)
    }
    lines: list[str] = []
    agreed = 0
    for row in offline.to_pylist():
        answer = answers.get(row[key])
        if answer is None:
            why = (refused or {}).get(row[key], "no answer")
            lines.append(f"{key}={row[key]!r}: {why}")
            continue
        distances = {name: distance(value, answer.get(name)) for name, value in row.items()}
        wrong = [name for name, far in distances.items() if far > allowed[name]]
        lines.extend(
            f"{key}={row[key]!r}: {name} is {_shown(row[name])} offline, "
            f"{_shown(answer.get(name))} online"
            for name in wrong
        )
        agreed += not wrong
        for name in largest:
            # A record is JSON, which has no infinity: a column that cannot be measured is told
            # about in ``disagreements`` only.
            if math.isfinite(distances[name]):
                largest[name] = max(largest[name], distances[name])
    return Parity(
        sampled=offline.num_rows,
        agreed=agreed,
        largest_difference=largest,
        disagreements=tuple(lines[:_TOLD]),
    )


def distance(one: Any, other: Any) -> float:
    """How far two values are apart: 0 when equal, infinity when they cannot be measured."""
    if isinstance(one, float) and isinstance(other, float):
        if one == other or (math.isnan(one) and math.isnan(other)):
            return 0.0
        far = abs(one - other)
        return math.inf if math.isnan(far) else far
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return max((distance(a, b) for a, b in zip(one, other, strict=True)), default=0.0)
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return max((distance(value, other[name]) for name, value in one.items()), default=0.0)
    return 0.0 if type(one) is type(other) and one == other else math.inf


def _holds_floats(type_: pa.DataType) -> bool:
    if pa.types.is_floating(type_):
        return True
    return any(_holds_floats(type_.field(i).type) for i in range(type_.num_fields))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
