"""Columns that stand for values while a graph is traced, and the trace that remembers them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa

from graphs.errors import AuthoringError
from graphs.ir import GRAPH, Edge, Graph, Node, Port, Source

_HERE = str(Path(__file__).parent)
_NODES = str(Path(__file__).parents[1] / "nodes")

_RESERVED = "input"
"""Rows with a null where none may be are rejected under this name."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A column of a graph under construction: an input, or one output of a node.

    It has no values: pass it to nodes. Unpacking it, or deciding by it, is an ``AuthoringError``.
    """

    node: str
    """The node that gives it; empty for an input of the graph."""
    name: str
    """The input's name, or the output port's."""
    type: pa.DataType | None
    """Its Arrow type; ``None`` where nobody declared one."""
    trace: Any = field(default=None, repr=False)
    """The trace it belongs to."""

    def __iter__(self) -> NoReturn:
        raise AuthoringError(
            f"{self.label} is one column and cannot be unpacked, at {caller()}",
            remedy="Only a node with several outputs gives several columns",
        )

    def __bool__(self) -> NoReturn:
        raise AuthoringError(
            f"{self.label} has no value while the graph is traced, so Python cannot decide by it, "
            f"at {caller()}",
            remedy="Decide inside a node, or route rows with switch(...) or filter(...)",
        )

    @property
    def label(self) -> str:
        """The column as an error names it."""
        return f"{self.node}.{self.name}" if self.node else f"input {self.name!r}"


class Columns(tuple[Column, ...]):
    """Several outputs of a node, in order; unpack them, or take one by name.

    ``topic, score = classify(vector)``, ``classify(vector)["topic"]`` and
    ``classify(vector).topic`` are the same column.
    """

    names: tuple[str, ...]

    def __new__(cls, columns: Mapping[str, Column]) -> Columns:
        made = super().__new__(cls, columns.values())
        made.names = tuple(columns)
        # Likely names of outputs, which the methods of a tuple would hide.
        vars(made).update({name: columns[name] for name in ("count", "index") if name in columns})
        return made

    def __getattr__(self, name: str) -> Column:
        if name.startswith("__") or name == "names":
            raise AttributeError(name)
        column: Column = self[name]
        return column

    def __getitem__(self, name: Any) -> Any:
        if not isinstance(name, str):
            return super().__getitem__(name)
        if name not in self.names:
            raise AuthoringError(
                f"there is no output {name!r} among {list(self.names)}, at {caller()}",
                remedy="Take one of these",
            )
        return super().__getitem__(self.names.index(name))

    def as_dict(self) -> dict[str, Column]:
        """Name to column, in order."""
        return dict(zip(self.names, self, strict=True))

    def select(self, *names: str) -> Columns:
        """Only these columns, in this order."""
        return Columns({name: self[name] for name in names})

    def rename(self, **new_to_old: str) -> Columns:
        """The same columns in the same order, some under new names: ``rename(label="topic")``."""
        old_to_new = {old: new for new, old in new_to_old.items()}
        for old in old_to_new:
            self[old]
        return Columns({old_to_new.get(name, name): c for name, c in self.as_dict().items()})


@dataclass(slots=True)
class Trace:
    """The nodes and edges gathered so far while a graph function runs."""

    name: str
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    uses: dict[str, int] = field(default_factory=dict)
    """The last number given to each node that is used several times."""

    def add(self, template: Node, arguments: Mapping[str, Any]) -> Column | Columns:
        """Wire a node; its outputs as columns.

        Raises:
            AuthoringError: an argument is no column of this graph.
        """
        source = caller()
        name = self._free_name(template.name)
        self.need_columns(name, arguments)
        for port, value in arguments.items():
            self.edges.append(Edge(value.node, value.name, name, port))
        self.nodes[name] = replace(template, name=name, source=source)
        columns = {port.name: Column(name, port.name, port.type, self) for port in template.outputs}
        return next(iter(columns.values())) if len(columns) == 1 else Columns(columns)

    def _free_name(self, wanted: str) -> str:
        name = wanted
        while name in self.nodes or name == _RESERVED:
            self.uses[wanted] = self.uses.get(wanted, 1) + 1
            name = f"{wanted}_{self.uses[wanted]}"
        return name

    def need_columns(self, name: str, arguments: Mapping[str, Any]) -> None:
        """Each argument of a node is a column of this graph.

        Raises:
            AuthoringError: one is not.
        """
        for port, value in arguments.items():
            self._check_argument(name, port, value)

    def _check_argument(self, name: str, port: str, value: Any) -> None:
        where = f"graph {self.name!r}, node {name!r} at {caller()}"
        if isinstance(value, Columns):
            raise AuthoringError(
                f"{port}= got the {len(value)} columns {list(value.names)}",
                where,
                "Pass one of them",
            )
        if not isinstance(value, Column):
            raise AuthoringError(
                f"{port}={value!r} is not a column",
                where,
                "Pass a graph input or another node's output; a fixed value is constant(value, "
                "type), or a constructor argument of a Model",
            )
        if value.trace is not self:
            raise AuthoringError(
                f"{port}= got {value.label}, a column of another graph",
                where,
                "Pass it into a case or a body as an argument",
            )


_TRACE: ContextVar[Trace | None] = ContextVar("trace", default=None)


def current_trace() -> Trace | None:
    """The trace of the graph function that is running, if one is."""
    return _TRACE.get()


def needed_trace(what: str) -> Trace:
    """The running trace.

    Raises:
        AuthoringError: none is running.
    """
    if (trace := _TRACE.get()) is None:
        raise AuthoringError(f"{what} is called inside a @graph function only")
    return trace


def trace_body(
    name: str, function: Callable[..., Any], inputs: Sequence[Port], call: Callable[[Any], Any]
) -> tuple[Graph, Any]:
    """Trace a function into a graph without a key.

    Args:
        name: the graph's name.
        function: for error messages.
        inputs: input ports of the graph.
        call: called with the columns of the inputs by name; returns what the function returns.

    Returns:
        The graph, and what the function returned.
    """
    trace = Trace(name)
    token = _TRACE.set(trace)
    try:
        returned = call({p.name: Column(GRAPH, p.name, p.type, trace) for p in inputs})
    finally:
        _TRACE.reset(token)
    source = source_of(function)
    outputs = _outputs(returned, name, source)
    edges = [Edge(column.node, column.name, GRAPH, port) for port, column in outputs.items()]
    body = Graph(
        name=name,
        ref="",
        key="",
        inputs=tuple(inputs),
        outputs=tuple(Port(port, column.type) for port, column in outputs.items()),
        nodes=tuple(trace.nodes.values()),
        edges=(*trace.edges, *edges),
        source=source,
    )
    return body, returned


def _outputs(returned: object, name: str, source: Source | None) -> dict[str, Column]:
    where = f"graph {name!r} at {source}"
    if isinstance(returned, Column):
        return {"value": returned}
    if isinstance(returned, Columns):
        return returned.as_dict()
    if not isinstance(returned, dict) or not returned:
        raise AuthoringError(
            f"returned {returned!r}", where, "Return a dict of output name to column"
        )
    wrong = sorted(port for port, value in returned.items() if not isinstance(value, Column))
    if wrong:
        raise AuthoringError(
            f"outputs {wrong} are not single columns",
            where,
            "Unpack a node with several outputs: a, b = node(x)",
        )
    return returned


def bind(
    signature: inspect.Signature,
    name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    optional: Sequence[str] = (),
) -> dict[str, Any]:
    """Arguments by parameter name; optional ones may be missing though they have no default.

    Raises:
        AuthoringError: they do not fit.
    """
    try:
        given = dict(signature.bind_partial(*args, **kwargs).arguments)
        for parameter in signature.parameters.values():
            if parameter.name not in (*given, *optional) and parameter.default is parameter.empty:
                raise TypeError(f"missing a required argument: {parameter.name!r}")
        return given
    except TypeError as error:
        raise AuthoringError(
            str(error), where=f"node {name!r} at {caller()}", remedy=f"It takes {signature}"
        ) from error


def source_of(function: Callable[..., Any]) -> Source | None:
    """Where a function is written."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return Source(Path(code.co_filename).name, code.co_firstlineno) if code else None


def caller() -> Source:
    """The line of the author's that called a node."""
    frame = next(f for f in _frames() if not f.f_code.co_filename.startswith((_HERE, _NODES)))
    return Source(Path(frame.f_code.co_filename).name, frame.f_lineno)


def _frames() -> Iterator[Any]:
    frame: Any = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def columns_of(values: Iterable[Any]) -> bool:
    """Whether any of some arguments is a column."""
    return any(isinstance(value, Column | Columns) for value in values)
