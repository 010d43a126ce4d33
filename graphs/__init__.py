"""Author an inference graph once; run it in this process, on Ray Data and on Ray Serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphs.authoring import Column, Model, graph, load_graph, node
from graphs.errors import GraphsError
from graphs.ir import Graph, Resources

if TYPE_CHECKING:
    from graphs.compiler import compile
    from graphs.runtimes.inline import run

__all__ = [
    "Column",
    "Graph",
    "GraphsError",
    "Model",
    "Resources",
    "compile",
    "graph",
    "load_graph",
    "node",
    "run",
]


def __getattr__(name: str) -> Any:
    """Import the compiler and the inline runtime when first asked for: authoring needs neither."""
    if name == "compile":
        from graphs.compiler import compile

        return compile
    if name == "run":
        from graphs.runtimes.inline import run

        return run
    raise AttributeError(f"module 'graphs' has no attribute {name!r}")
