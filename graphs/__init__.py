"""Author an inference graph once; run it in this process, on Ray Data and on Ray Serve."""

from graphs.authoring import Column, Model, graph, load_graph, node
from graphs.errors import GraphsError
from graphs.ir import Graph, Resources

__all__ = [
    "Column",
    "Graph",
    "GraphsError",
    "Model",
    "Resources",
    "graph",
    "load_graph",
    "node",
]
