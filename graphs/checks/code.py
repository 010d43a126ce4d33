"""Rules about code and artifacts: every process must be able to find them by name."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Iterator
from typing import Any

from graphs.checks.wiring import at
from graphs.errors import GraphError
from graphs.ir import Graph, Node, artifact_path


def code_is_importable(graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        module, _, qualname = node.ref.partition(":")
        if "<lambda>" in qualname:
            yield (
                f"{at(node)}: a lambda has no name by which another process could import it; "
                f"write a function at the top of module {module!r}"
            )
        elif "<" in qualname:
            yield (
                f"{at(node)}: {qualname!r} lives inside a function, so no other process can "
                f"import it; define it at the top of module {module!r}"
            )
        elif node.ref:
            try:
                importlib.import_module(module)
            except ImportError as error:
                yield (
                    f"{at(node)}: module {module!r} does not import: {error}; install it, or put "
                    "its folder on the path"
                )


def code_is_a_node(graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        if not node.ref or "<" in node.ref or not _imports(node):
            continue
        found = _target(node)
        template = getattr(found, "template", None)
        if template is None or template.ref != node.ref:
            yield (
                f"{at(node)}: {node.ref!r} names {_described(found)}, not this node; give nodes "
                "names of their own at the top of their module"
            )


def code_has_no_closure(graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        if node.kind != "function" or "<" in node.ref or not _imports(node):
            continue
        function = getattr(_target(node), "function", None)
        closure = getattr(function, "__code__", None)
        is_wrapper = hasattr(function, "__wrapped__")  # its decorator is part of the version
        if closure is not None and closure.co_freevars and not is_wrapper:
            yield (
                f"{at(node)}: it reads {sorted(closure.co_freevars)} of the function around it, "
                "which a version cannot see; make these module constants, inputs, or constructor "
                "arguments of a Model"
            )


def artifacts_exist(graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        for name, uri in node.artifacts:
            try:
                artifact_path(uri)
            except GraphError as error:
                remedy = error.remedy or "Put it there, or declare where it is"
                yield f"{at(node)}: artifact {name!r}, {uri!r}: {error.problem}. {remedy}"


def constructor_takes_the_parameters(graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        if node.kind != "model" or "<" in node.ref or not _imports(node):
            continue
        kind = _target(node)
        if not inspect.isclass(kind):
            continue
        given = json.loads(node.parameters)
        try:
            inspect.signature(kind.__init__).bind(None, **given)
        except TypeError as error:
            yield (
                f"{at(node)}: constructor arguments {given} do not fit: {error}; change them, or "
                f"__init__ of {node.ref!r}"
            )


def _imports(node: Node) -> bool:
    try:
        importlib.import_module(node.ref.partition(":")[0])
    except ImportError:
        return False
    return True


def _target(node: Node) -> Any:
    module, _, qualname = node.ref.partition(":")
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def _described(found: object) -> str:
    return "nothing" if found is None else f"a {type(found).__name__}"
