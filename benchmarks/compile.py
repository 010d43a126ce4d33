"""How long it takes to trace, compile and version a large graph."""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Measure, within
from graphs import Graph, compile, load_graph
from graphs.ir import version

NODES = 1000
LIMIT_S = 1.0

_HEAD = """
import pyarrow as pa
import pyarrow.compute as pc
from graphs import Column, graph, node

def scaled(number, factor):
    return pc.multiply(number, factor)
"""

_NODE = """
FACTOR_{n} = {n}

@node(inputs={{"number": pa.int64()}}, outputs={{"number": pa.int64()}})
def step_{n}(number: pa.Array) -> pa.Array:
    return scaled(number, FACTOR_{n})
"""

_TAIL = """
@graph(key="id", inputs={"id": pa.string(), "number": pa.int64()})
def large(number: Column) -> dict[str, Column]:
    before = number
    for n in range(NODES):
        number = globals()[f"step_{n}"](number)
    return {"number": number, "before": before}
"""


def authored(folder: Path) -> Graph:
    """A graph of a thousand different nodes, one after the other."""
    nodes = "".join(_NODE.format(n=n) for n in range(NODES))
    (folder / "large_graph.py").write_text(f"NODES = {NODES}\n{_HEAD}{nodes}{_TAIL}")
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        return load_graph("large_graph:large")
    finally:
        sys.path.remove(str(folder))


def measures(quick: bool) -> Iterator[Measure]:
    """``compile.1000_nodes_s`` (for each target) and ``version.1000_nodes_s``, against a second."""
    runs = 3 if quick else 9
    with tempfile.TemporaryDirectory() as folder:
        graph = authored(Path(folder))
        yield within("compile.1000_nodes_s", lambda: compile(graph, "inline"), LIMIT_S, runs)
        yield within(
            "compile.1000_nodes_offline_s", lambda: compile(graph, "offline"), LIMIT_S, runs
        )
        yield within("compile.1000_nodes_online_s", lambda: compile(graph, "online"), LIMIT_S, runs)
        yield within("version.1000_nodes_s", lambda: version(graph), LIMIT_S, runs)
