"""Random graphs, wired through the public authoring API, and random rows for them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from graphs import Column, graph
from graphs.authoring import GraphFunction, NodeFunction
from graphs.authoring.tracing import current_trace
from graphs.nodes.control import constant, each, filter, parameter, switch
from tests.cases.nodes import BOOL, FLOAT, FUNCTIONS, INT, INTS, TEXT, TEXTS, Affine

SCHEMA = pa.schema(
    [
        pa.field("id", TEXT),
        pa.field("number", INT),
        pa.field("other", INT),
        pa.field("needed", INT, nullable=False),
        pa.field("ratio", FLOAT),
        pa.field("word", TEXT),
        pa.field("flag", BOOL),
        pa.field("numbers", INTS),
        pa.field("words", TEXTS),
    ]
)

DEEPEST = 2
"""Bodies in bodies, at most."""

Draw = Callable[[st.SearchStrategy[Any]], Any]

_INTS = st.sampled_from([3, 7, -2, 12, 0, 1, 5, 25, -1, 2])
_WORDS = st.sampled_from(["", "a", "7", "-3", "ß1", "日本", "🔑", "12", "+"])
VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    INT: _INTS,
    FLOAT: st.sampled_from([0.0, -0.0, 1.5, -2.25, 1e300, float("inf"), float("nan")]),
    TEXT: _WORDS,
    BOOL: st.booleans(),
    INTS: st.lists(st.one_of(_INTS, st.none()), max_size=3),
    TEXTS: st.lists(st.one_of(_WORDS, st.none()), max_size=3),
}
CASES: dict[pa.DataType, list[Any]] = {
    INT: [0, 1, 2, 5],
    TEXT: ["+", "-", "", "7", "default"],
    BOOL: [True, False],
}


def random_rows(draw: Draw) -> pa.Table:
    """Up to six rows with nulls everywhere, few of them where none may be."""
    count = draw(st.sampled_from([5, 6, 4, 3, 2, 1, 0]))
    columns = {}
    for column in SCHEMA:
        is_null = st.sampled_from([False] * (19 if column.name in ("id", "needed") else 4) + [True])
        columns[column.name] = [
            None
            if draw(is_null)
            else f"row {row}"
            if column.name == "id"
            else draw(VALUES[column.type])
            for row in range(count)
        ]
    return pa.table(columns, schema=pa.schema([f.with_nullable(True) for f in SCHEMA]))


def random_graph(draw: Draw) -> tuple[GraphFunction, dict[str, Any]]:
    """A graph over ``SCHEMA``, and values for some of its run parameters."""
    author = Author(draw)
    names = [name for name in SCHEMA.names if name != "id"]

    def wired(*columns: Column) -> dict[str, Column]:
        found = author.wire(list(columns), steps=draw(st.sampled_from([5, 8, 3, 10, 1])), depth=0)
        chosen = [author.one(found[-8:]) for _ in range(draw(st.sampled_from([3, 4, 2, 1])))]
        trace = current_trace()
        assert trace is not None
        read = {edge.source_port for edge in trace.edges if not edge.source}
        read |= {column.name for column in chosen if not column.node}
        unread = [column for column in columns if column.name not in read]
        return {f"out{place}": column for place, column in enumerate([*chosen, *unread])}

    made = graph(key="id", inputs=SCHEMA)(_with_parameters(wired, names))
    assert made.graph
    given = {name: draw(VALUES[type_]) for name, type_ in author.parameters if draw(st.booleans())}
    return made, given


@dataclass
class Author:
    """Wires random nodes to random columns."""

    draw: Draw
    parameters: list[tuple[str, pa.DataType]] = field(default_factory=list)

    def one(self, columns: Sequence[Any]) -> Any:
        """Any of some; rather a late one, so that nodes read what other nodes give."""
        return columns[-1 - self.draw(st.integers(0, len(columns) - 1))]

    def wire(self, columns: list[Column], steps: int, depth: int) -> list[Column]:
        """The columns there are and those of some more nodes."""
        found = list(columns)
        for _ in range(steps):
            kinds = [self._filter, self._fixed, self._model]
            if depth < DEEPEST:
                kinds += [self._switch, self._each, self._inner]
            kinds += [self._function] * 3
            made = self.one(kinds)(found, depth)
            found += [made] if isinstance(made, Column) else list(made)
        return found

    def _function(self, columns: list[Column], depth: int) -> Any:
        types = {column.type for column in columns}
        fitting = [f for f in FUNCTIONS if all(p.type in types for p in f.template.inputs)]
        return self._called(self.one(fitting), columns) if fitting else []

    def _called(self, function: NodeFunction, columns: list[Column]) -> Any:
        arguments = {
            port.name: self.one(_of(columns, port.type))
            for port in function.template.inputs
            if port.default is None or self.draw(st.booleans())
        }
        return function(**arguments)

    def _model(self, columns: list[Column], depth: int) -> Any:
        if not (fitting := _of(columns, INT)):
            return []
        model = Affine(
            scale=self.draw(st.integers(-2, 3)), limit=self.draw(st.sampled_from([8, 30, 3]))
        )
        return model(self.one(fitting))

    def _fixed(self, columns: list[Column], depth: int) -> Any:
        type_ = self.one([INT, TEXT, BOOL, INTS])
        value = self.draw(st.one_of(VALUES[type_], VALUES[type_], st.none()))
        if self.draw(st.booleans()):
            return constant(value, type_)
        name = f"told{len(self.parameters)}"
        self.parameters.append((name, type_))
        return parameter(name, type_, default=value)

    def _filter(self, columns: list[Column], depth: int) -> Any:
        if fitting := _of(columns, BOOL):
            filter(self.one(fitting))
        return []

    def _switch(self, columns: list[Column], depth: int) -> Any:
        by = self.one([column for column in columns if column.type in CASES] or [None])
        if by is None:
            return []
        arguments = self._some(columns, 3)
        types = [self.one(arguments).type for _ in range(self.draw(st.integers(1, 2)))]
        values = dict.fromkeys(self.one(CASES[by.type]) for _ in range(3))
        cases = {value: self._branch(arguments, depth, types) for value in values}
        default = self._branch(arguments, depth, types) if self.draw(st.booleans()) else None
        return switch(by, cases, *arguments, default=default)

    def _each(self, columns: list[Column], depth: int) -> Any:
        fitting = [column for column in columns if pa.types.is_list(column.type)]
        if not fitting:
            return []
        lists = self._some(fitting, 2)
        beside = self._some(columns, 1) if self.draw(st.booleans()) else []
        branch = self._branch([*lists, *beside], depth, None)
        return each(branch, *lists, **{f"p{len(lists)}": column for column in beside})

    def _inner(self, columns: list[Column], depth: int) -> Any:
        arguments = self._some(columns, 3)
        return self._branch(arguments, depth, None, is_graph=True)(*arguments)

    def _some(self, columns: list[Column], most: int) -> list[Column]:
        return [self.one(columns) for _ in range(self.draw(st.integers(1, most)))]

    def _branch(
        self,
        arguments: list[Column],
        depth: int,
        types: list[pa.DataType | None] | None,
        is_graph: bool = False,
    ) -> Any:
        """A function, or a graph, that wires a few nodes.

        Args:
            arguments: what it will be called with. types: those of its outputs; any when not given.
        """

        def wired(*columns: Column) -> Any:
            found = self.wire(
                list(columns), steps=self.draw(st.sampled_from([2, 3, 1, 0])), depth=depth + 1
            )
            if types is not None:
                chosen = [self.one(_of(found, type_)) for type_ in types]
            else:
                chosen = [self.one(found) for _ in range(self.draw(st.integers(1, 2)))]
            return {f"y{place}": column for place, column in enumerate(chosen)}

        names = [f"p{place}" for place in range(len(arguments))]
        branch = _with_parameters(wired, names)
        if not is_graph:
            return branch
        is_nullable = st.sampled_from([True, True, False])
        fields = [
            pa.field(name, column.type, self.draw(is_nullable))
            for name, column in zip(names, arguments, strict=True)
        ]
        return graph(key="p0", inputs=pa.schema(fields))(branch)


def _of(columns: list[Column], type_: pa.DataType | None) -> list[Column]:
    return [column for column in columns if column.type == type_]


def _with_parameters(function: Callable[..., Any], names: list[str]) -> Callable[..., Any]:
    """A function that takes these parameters, by position or by name."""
    signature = inspect.Signature(
        [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    )

    def wired(*args: Any, **kwargs: Any) -> Any:
        return function(*signature.bind(*args, **kwargs).args)

    wired.__signature__ = signature  # type: ignore[attr-defined]
    return wired
