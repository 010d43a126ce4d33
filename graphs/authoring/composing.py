"""Graphs: functions that wire nodes, graphs inside graphs, and graphs by reference."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from graphs.authoring.tracing import bind, current_trace, source_of, trace_body
from graphs.errors import AuthoringError, GraphNotFound
from graphs.ir import GRAPH, Edge, Graph, Node, Port, ports_of

ALLOW_VARIABLE = "GRAPHS_ALLOW"
"""Environment variable of the cluster: comma-separated packages that graphs may come from."""


class GraphFunction:
    """What ``@graph`` makes: the traced :class:`graphs.ir.Graph`, and a node of other graphs."""

    def __init__(self, function: Callable[..., Any], key: str, inputs: tuple[Port, ...]) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self._key = key
        self._inputs = {port.name: port for port in inputs}

    @functools.cached_property
    def body(self) -> Graph:
        """The graph without its key: only the inputs that the function names.

        Raises:
            AuthoringError: the function cannot be traced.
        """
        function = self.function
        parameters = list(inspect.signature(function).parameters)
        missing = [p for p in parameters if p not in self._inputs]
        if missing:
            raise AuthoringError(
                f"parameters {missing} are not among the inputs {sorted(self._inputs)}",
                where=f"graph {function.__name__!r} at {source_of(function)}",
                remedy="Name parameters after input columns",
            )
        inputs = [self._inputs[p] for p in parameters]
        body, _ = trace_body(function.__name__, function, inputs, lambda c: function(**c))
        return replace(body, ref=f"{function.__module__}:{function.__qualname__}")

    @functools.cached_property
    def graph(self) -> Graph:
        """The graph as a frozen value; traced at first use.

        Raises:
            AuthoringError: the function cannot be traced.
        """
        body, key = self.body, self._key
        given = {port.name: port for port in body.outputs}
        if key in self._inputs and key not in given:
            key_port = Port(key, self._inputs[key].type)
            outputs: tuple[Port, ...] = (key_port, *body.outputs)
            edges = (*body.edges, Edge(GRAPH, key, GRAPH, key))
        else:
            rest = [port for port in body.outputs if port.name != key]
            outputs, edges = (*([given[key]] if key in given else []), *rest), body.edges
        read = {port.name for port in body.inputs}
        inputs = tuple(
            replace(port, is_nullable=port.is_nullable and port.name != key)
            if port.name in read or port.name == key
            # A column that nothing reads may come along and may be missing.
            else replace(port, is_nullable=True, default=port.default or "null")
            for port in self._inputs.values()
        )
        return replace(body, key=key, inputs=inputs, outputs=outputs, edges=edges)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Use this graph as a node of the graph that is being traced. Inputs that may be left out
        of its data may be left out here."""
        name = self.function.__name__
        if (trace := current_trace()) is None:
            raise AuthoringError(
                "a graph is not called with data",
                where=f"graph {name!r}",
                remedy="Use graphs.run(graph, table) to run it in this process",
            )
        body = self.body
        optional = [port.name for port in body.inputs if port.default is not None]
        bound = bind(inspect.signature(self.function), name, args, kwargs, optional)
        node = Node(
            name=name,
            ref="",
            kind="graph",
            inputs=body.inputs,
            outputs=body.outputs,
            bodies=(("", body),),
        )
        return trace.add(node, bound)

    def _repr_svg_(self) -> str:
        """What a notebook shows. Drawing stands above authoring, so it is loaded late."""
        from graphs.pictures import draw

        return draw(self).svg


def graph(*, key: str, inputs: object) -> Callable[[Callable[..., Any]], GraphFunction]:
    """Make a function that wires nodes a graph.

    The function's parameters name the input columns it uses; it returns a dict of output name to
    column (or the columns of one node). The key column comes first in the outputs by itself.

    Args:
        key: the input column whose value names a row; a row without one is rejected.
        inputs: the columns of a row, as a ``pyarrow.Schema``, a dict of name to Arrow type or a
            pydantic model; see :func:`graphs.ir.types.ports_of`.

    Raises:
        AuthoringError: ``inputs`` declares no columns.
    """

    def decorate(function: Callable[..., Any]) -> GraphFunction:
        return GraphFunction(function, key, ports_of(inputs))

    return decorate


def load_graph(ref: str) -> Graph:
    """The graph that a ``"module:name"`` reference names.

    Where the environment variable ``GRAPHS_ALLOW`` is set (on a cluster), only the packages it
    lists are imported.

    Raises:
        GraphNotFound: the reference is malformed, not allowed, does not import, or is no graph.
        AuthoringError: the graph cannot be traced.
    """
    where = f"graph reference {ref!r}"
    module, _, name = ref.partition(":")
    if not module or not name:
        raise GraphNotFound("is not of the form 'module:name'", where)
    allowed = [p.strip() for p in os.environ.get(ALLOW_VARIABLE, "").split(",") if p.strip()]
    if allowed and not any(module == p or module.startswith(p + ".") for p in allowed):
        raise GraphNotFound(
            f"module {module!r} is not allowed here",
            where,
            f"Add its package to {ALLOW_VARIABLE} where the cluster starts",
        )
    try:
        found = getattr(importlib.import_module(module), name)
    except AttributeError as error:
        raise GraphNotFound(f"module {module!r} has no {name!r}", where) from error
    except Exception as error:
        raise GraphNotFound(
            f"importing {module!r} failed: {type(error).__name__}: {error}",
            where,
            "It must be importable where the graph runs: install it there, or ship it in the "
            "runtime environment",
        ) from error
    if not isinstance(found, GraphFunction):
        raise GraphNotFound(f"is a {type(found).__name__}, not a @graph function", where)
    return found.graph
