"""When do online answers agree with offline rows?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa

from graphs.promotion.parity import compare
from graphs.spec import Parity

SCHEMA = pa.schema(
    [("id", pa.string()), ("topic", pa.string()), ("score", pa.float32()), ("n", pa.int64())]
)


def rows(**columns: list[Any]) -> pa.Table:
    count = len(columns["id"])
    defaults: dict[str, list[Any]] = {
        "topic": ["a"] * count,
        "score": [0.5] * count,
        "n": [1] * count,
    }
    return pa.table({**defaults, **columns}, schema=SCHEMA)


def test_equal_rows_agree_in_whatever_order_they_come() -> None:
    parity = compare(rows(id=["x", "y"]), rows(id=["y", "x"]), key="id", tolerance={})

    assert (parity.sampled, parity.agreed, parity.share) == (2, 2, 1.0)
    assert parity.disagreements == ()


def test_floats_agree_within_the_tolerance_of_their_column() -> None:
    offline, online = rows(id=["x"], score=[0.5]), rows(id=["x"], score=[0.5 + 1 / 128])

    assert compare(offline, online, key="id", tolerance={"score": 0.01}).agreed == 1
    assert compare(offline, online, key="id", tolerance={"score": 0.007}).agreed == 0
    assert compare(offline, online, key="id", tolerance={}).agreed == 0
    assert compare(offline, online, key="id", tolerance={}).largest_difference == {"score": 1 / 128}


def test_a_disagreement_names_key_column_and_both_values() -> None:
    offline = rows(id=["x", "y"], topic=["dates", "dates"])
    online = rows(id=["x", "y"], topic=["dates", "maths"])

    parity = compare(offline, online, key="id", tolerance={})

    assert parity.agreed == 1
    assert parity.disagreements == ("id='y': topic is 'dates' offline, 'maths' online",)


def test_everything_but_floats_must_be_equal() -> None:
    parity = compare(rows(id=["x"], n=[1]), rows(id=["x"], n=[2]), key="id", tolerance={})
    assert parity.agreed == 0
    assert "n" not in parity.largest_difference


def test_nan_agrees_with_nan_and_with_nothing_else() -> None:
    nan = rows(id=["x"], score=[math.nan])

    assert compare(nan, nan, key="id", tolerance={}).agreed == 1
    wrong = compare(nan, rows(id=["x"], score=[0.0]), key="id", tolerance={})
    assert wrong.agreed == 0
    assert Parity.model_validate_json(wrong.model_dump_json()) == wrong


def test_infinities_agree_only_with_their_own_sign() -> None:
    positive, negative = rows(id=["x"], score=[math.inf]), rows(id=["x"], score=[-math.inf])

    assert compare(positive, positive, key="id", tolerance={}).agreed == 1
    assert compare(positive, negative, key="id", tolerance={}).agreed == 0


def test_null_is_not_a_number() -> None:
    null = rows(id=["x"], score=[None])

    assert compare(null, null, key="id", tolerance={}).agreed == 1
    assert compare(null, rows(id=["x"], score=[0.0]), key="id", tolerance={}).agreed == 0


def test_vectors_are_compared_element_by_element() -> None:
    schema = pa.schema([("id", pa.string()), ("v", pa.list_(pa.float32(), 3))])
    vector = np.array([0.1, 0.2, 0.3], np.float32)

    def table(values: Any) -> pa.Table:
        return pa.table({"id": ["x"], "v": [list(values)]}, schema=schema)

    near = compare(table(vector), table(vector + np.float32(1e-4)), key="id", tolerance={})
    far = compare(table(vector), table(vector[::-1]), key="id", tolerance={})

    assert near.agreed == 1
    assert 5e-5 < near.largest_difference["v"] < 2e-4
    assert far.agreed == 0


def test_a_key_without_an_answer_is_told_with_the_reason() -> None:
    parity = compare(
        rows(id=["x", "y"]),
        rows(id=[]),
        key="id",
        tolerance={},
        refused={"x": "rejected online by node 'clean' (ValueError: no)"},
    )

    assert parity.agreed == 0
    assert parity.disagreements == (
        "id='x': rejected online by node 'clean' (ValueError: no)",
        "id='y': no answer",
    )
