"""What a graph means for one row, told again as plainly as possible.

One row at a time, by demand, from the graph as its author wired it: no Arrow, no batches. Of the
rewritten graph it takes only what is a matter of choice: the order of nodes, which says by which of
two nodes that both would reject a row it is rejected, and which outputs of a body are computed.
What the kernel and the rewrites do cleverly is compared with this.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from graphs.ir import GRAPH, Graph, Node
from graphs.rewrites import rewrite
from tests.cases.nodes import MEANS


@dataclass(frozen=True)
class Verdict:
    """Why a row does not come out."""

    path: str
    error: str
    """Empty: it was filtered."""


class Ended(Exception):
    """A row ends here, for one of these reasons."""

    def __init__(self, *verdicts: Verdict) -> None:
        super().__init__(*verdicts)
        self.verdicts = verdicts


class Reference:
    """A graph for one row at a time.

    Args:
        graph: as authored.
        parameters: run parameters.
    """

    def __init__(self, graph: Graph, parameters: Mapping[str, Any]) -> None:
        self._graph = graph
        self._rewritten = rewrite(graph)
        self._parameters = parameters

    def row(self, row: Mapping[str, Any]) -> dict[str, Any] | Verdict:
        """Its outputs, or why it has none."""
        missing = [p.name for p in self._graph.inputs if not p.is_nullable and row[p.name] is None]
        if missing:
            return Verdict("input", "NullInput")
        try:
            return self.computed(self._graph, self._rewritten, row, "")
        except Ended as ended:
            (verdict,) = ended.verdicts
            return verdict

    def computed(
        self, graph: Graph, rewritten: Graph, row: Mapping[str, Any], path: str
    ) -> dict[str, Any]:
        """The outputs of a graph, or of a body, that is at some path.

        Raises:
            Ended: with one verdict.
        """
        scope = Scope(self, graph, rewritten, row.__getitem__, path, "", self._parameters)
        names = [port.name for port in rewritten.outputs]
        try:
            _all(scope.filters())
            outputs = _all([*scope.outputs(names), *scope.conditions()])
        except Ended as ended:
            order = [node.name for node in rewritten.nodes]
            raise Ended(min(ended.verdicts, key=partial(_place, order, path))) from None
        return dict(zip(names, outputs, strict=False))


def _place(order: list[str], path: str, verdict: Verdict) -> int:
    inner = verdict.path.removeprefix(path)
    return next(i for i, name in enumerate(order) if f"{inner}/".startswith(f"{name}/"))


class Scope:
    """The nodes of one graph for one row; each is computed when first asked for."""

    def __init__(
        self,
        reference: Reference,
        graph: Graph,
        rewritten: Graph,
        input: Callable[[str], Any],
        path: str,
        prefix: str,
        parameters: Mapping[str, Any],
    ) -> None:
        self._reference = reference
        self._graph = graph
        self._rewritten = rewritten
        self._input = input
        self._path = path
        self._prefix = prefix
        self._parameters = parameters
        self._feeds = {(e.target, e.target_port): (e.source, e.source_port) for e in graph.edges}
        self._known: dict[str, dict[str, Any] | Ended] = {}
        self._inner = {
            node.name: self._within(node) for node in graph.nodes if node.kind == "graph"
        }

    def _within(self, node: Node) -> Scope:
        (body,) = (body for _, body in node.bodies)
        path, prefix = f"{self._path}{node.name}/", f"{self._prefix}{node.name}/"
        read = partial(self._fed, node.name)
        return Scope(self._reference, body, self._rewritten, read, path, prefix, self._parameters)

    def filters(self) -> Iterable[Callable[[], Any]]:
        """Asking whether the row passes each filter, those of inner graphs included."""
        for node in self._graph.nodes:
            if node.kind == "filter":
                yield partial(self._pass, node.name)
        for inner in self._inner.values():
            yield from inner.filters()

    def conditions(self) -> Iterable[Callable[[], Any]]:
        """Asking for whatever else may end the row without being read by anybody: inputs of inner
        graphs that may not be null, and switches with a filter or such an input inside."""
        for node in self._graph.nodes:
            if node.kind == "switch" and _may_end_a_row(node):
                yield partial(self._node, node)
        for name, inner in self._inner.items():
            for port in inner._graph.inputs:
                if not port.is_nullable:
                    yield partial(self._need, name, port.name)
            yield from inner.conditions()

    def outputs(self, names: Iterable[str]) -> Iterable[Callable[[], Any]]:
        """Asking for some outputs."""
        for name in names:
            yield partial(self._fed, GRAPH, name)

    def _pass(self, name: str) -> None:
        if not self._fed(name, "by"):
            raise Ended(Verdict(f"{self._path}{name}", ""))

    def _need(self, name: str, port: str) -> None:
        if self._fed(name, port) is None:
            raise Ended(Verdict(f"{self._path}{name}/input", "NullInput"))

    def _fed(self, target: str, port: str) -> Any:
        """The value that an edge carries."""
        source, source_port = self._feeds[target, port]
        if source == GRAPH:
            return self._input(source_port)
        if source in self._inner:
            return self._inner[source]._fed(GRAPH, source_port)
        return self._node(self._graph.node(source))[source_port]

    def _node(self, node: Node) -> dict[str, Any]:
        if node.name not in self._known:
            try:
                self._known[node.name] = self._computed(node)
            except Ended as ended:
                self._known[node.name] = ended
        known = self._known[node.name]
        if isinstance(known, Ended):
            raise known
        return known

    def _computed(self, node: Node) -> dict[str, Any]:
        fed = [p.name for p in node.inputs if (node.name, p.name) in self._feeds]
        values = _all([partial(self._fed, node.name, port) for port in fed])
        arguments = dict(zip(fed, values, strict=True))
        told = json.loads(node.parameters)
        path = f"{self._path}{node.name}"
        match node.kind:
            case "constant":
                return {"value": told["value"]}
            case "parameter":
                return {"value": self._parameters.get(told["name"], told["default"])}
            case "switch":
                return self._switched(node, arguments, path)
            case "each":
                return self._folded(node, arguments, told["items"], path)
            case _:
                return _called(node, list(arguments.values()), told, path)

    def _carried_out(self, node: Node) -> Node:
        return self._rewritten.node(f"{self._prefix}{node.name}")

    def _switched(self, node: Node, arguments: dict[str, Any], path: str) -> dict[str, Any]:
        value = arguments.pop("case")
        bodies, rewritten = dict(node.bodies), dict(self._carried_out(node).bodies)
        label = "default" if value is None else json.dumps(value)
        label = label if label in bodies else "default"
        if label not in bodies:
            raise Ended(Verdict(path, "NoCase"))
        return self._reference.computed(bodies[label], rewritten[label], arguments, f"{path}/")

    def _folded(
        self, node: Node, arguments: dict[str, Any], items: list[str], path: str
    ) -> dict[str, Any]:
        lists = [arguments[name] for name in items]
        carried_out = self._carried_out(node)
        names = [port.name for port in carried_out.outputs]
        if any(values is None for values in lists):
            return dict.fromkeys(names)
        if len({len(values) for values in lists}) > 1:
            raise Ended(Verdict(path, "UnevenLists"))
        ((_, body),), ((_, rewritten),) = node.bodies, carried_out.bodies
        found = []
        for values in zip(*lists, strict=True):
            item = {**arguments, **dict(zip(items, values, strict=True))}
            try:
                found.append(self._reference.computed(body, rewritten, item, f"{path}/"))
            except Ended as ended:
                if ended.verdicts[0].error:
                    raise
        return {name: [one[name] for one in found] for name in names}


def _called(node: Node, values: list[Any], told: dict[str, Any], path: str) -> dict[str, Any]:
    means = MEANS[node.ref.partition(":")[2]]
    if None in values and means.nulls == "reject":
        raise Ended(Verdict(path, "NullInput"))
    if None in values and means.nulls == "skip":
        return {port.name: None for port in node.outputs}
    try:
        outputs = means.row(*values, **told)
    except Exception as error:
        raise Ended(Verdict(path, type(error).__name__)) from error
    return {port.name: value for port, value in zip(node.outputs, outputs, strict=True)}


def _all(asked: Iterable[Callable[[], Any]]) -> list[Any]:
    """The answers to several questions, or all reasons why there are none."""
    answers: list[Any] = []
    verdicts: list[Verdict] = []
    for ask in asked:
        try:
            answers.append(ask())
        except Ended as ended:
            verdicts += ended.verdicts
    if verdicts:
        raise Ended(*verdicts)
    return answers


def _may_end_a_row(node: Node) -> bool:
    if node.kind == "graph" and not all(port.is_nullable for port in node.bodies[0][1].inputs):
        return True
    if node.kind in ("switch", "graph"):
        return any(_may_end_a_row(inner) for _, body in node.bodies for inner in body.nodes)
    return node.kind == "filter"
