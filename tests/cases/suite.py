"""Every case."""

from __future__ import annotations

from tests.cases.case import Case
from tests.cases.graphs import composed, examples, items, plain, routing, types

CASES: tuple[Case, ...] = (
    *plain.CASES,
    *types.CASES,
    *routing.CASES,
    *items.CASES,
    *composed.CASES,
    *examples.CASES,
)
