"""The next version of a graph whose nodes live in several processes."""

from __future__ import annotations

from graphs import Column, graph
from tests.runtimes.apart import INPUTS, Root, add, double


@graph(key="id", inputs=INPUTS)
def chain(number: Column) -> dict[str, Column]:
    """The root of twice as much."""
    doubled = double(number)
    return {"sum": add(Root()(double(doubled)), doubled)}
