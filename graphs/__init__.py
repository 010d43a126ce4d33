"""Author an inference graph once; run it in this process, on Ray Data and on Ray Serve."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphs.authoring import Column, Model, graph, load_graph, node
    from graphs.compiler import compile
    from graphs.errors import GraphsError
    from graphs.ir import Behaviour, Graph, Resources
    from graphs.pictures import draw
    from graphs.runtimes.inline import run
    from graphs.storage.reading import read

__all__ = [
    "Behaviour",
    "Column",
    "Graph",
    "GraphsError",
    "Model",
    "Resources",
    "compile",
    "draw",
    "graph",
    "load_graph",
    "node",
    "read",
    "run",
]

_HOME = {
    "Behaviour": "graphs.ir",
    "Column": "graphs.authoring",
    "Graph": "graphs.ir",
    "GraphsError": "graphs.errors",
    "Model": "graphs.authoring",
    "Resources": "graphs.ir",
    "compile": "graphs.compiler",
    "draw": "graphs.pictures",
    "graph": "graphs.authoring",
    "load_graph": "graphs.authoring",
    "node": "graphs.authoring",
    "read": "graphs.storage.reading",
    "run": "graphs.runtimes.inline",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for: Airflow parses DAGs that need the records alone,
    and these need neither pyarrow nor numpy."""
    if name not in _HOME:
        raise AttributeError(f"module 'graphs' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
