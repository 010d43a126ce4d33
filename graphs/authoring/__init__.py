"""Author a graph in plain Python: ``@node``, ``Model`` and ``@graph`` trace into the IR.

Inside a ``@graph`` function a node is called with columns and gives columns; anywhere else the
same node is an ordinary callable on batches, so it can be tried and tested by itself.
"""

from graphs.authoring.composing import GraphFunction, graph, load_graph
from graphs.authoring.declaring import Model, NodeFunction, node
from graphs.authoring.tracing import Column, Columns

__all__ = [
    "Column",
    "Columns",
    "GraphFunction",
    "Model",
    "NodeFunction",
    "graph",
    "load_graph",
    "node",
]
