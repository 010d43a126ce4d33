"""The version of a graph: a hash of its structure, its code and its artifacts.

See ``docs/adr/0002-what-a-version-covers.md`` for what is inside and what is not.
"""

from __future__ import annotations

import ast
import builtins
import enum
import hashlib
import importlib
import inspect
import json
import re
import sys
import textwrap
import threading
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from graphs.errors import GraphError
from graphs.ir.artifacts import artifact_digest
from graphs.ir.graph import Graph, Node
from graphs.ir.types import type_name

_LENGTH = 16
"""Hex digits kept: 64 bits, so a billion versions collide with a chance of about 3 %."""

_OWN = re.compile(r"^graphs(\.(?!examples\b|nodes\b)|$)")
"""Modules of this library itself; examples and shipped nodes are an author's code."""


# Python 3.11 counts the depth of syntax trees in one place for all threads, so two that parse at
# once may fail with a SystemError (python/cpython#106905).
_PARSING = threading.Lock()


def version(graph: Graph) -> str:
    """The graph's version, 16 hexadecimal digits; equal on every machine and in every process.

    Raises:
        GraphError: a node's code or artifact cannot be read.
    """
    with _PARSING:
        code = {node.ref: code_digest(node.ref) for node in graph.nodes}
    facts = {
        "structure": structure(graph),
        "code": code,
        "artifacts": {
            f"{node.name}.{name}": artifact_digest(uri)
            for node in graph.nodes
            for name, uri in node.artifacts
        },
    }
    return _digest(facts)[:_LENGTH]


def structure(graph: Graph) -> dict[str, Any]:
    """The part of the version that is wiring: what an author would draw. Scale is left out."""
    return {
        "key": graph.key,
        "inputs": {port.name: type_name(port.type) for port in graph.inputs},
        "outputs": {port.name: type_name(port.type) for port in graph.outputs},
        "nodes": {node.name: _node(node) for node in graph.nodes},
        "edges": sorted(
            [edge.source, edge.source_port, edge.target, edge.target_port] for edge in graph.edges
        ),
    }


def _node(node: Node) -> dict[str, Any]:
    return {
        "ref": node.ref,
        "kind": node.kind,
        "view": node.view,
        "parameters": json.loads(node.parameters),
        "inputs": {port.name: type_name(port.type) for port in node.inputs},
        "outputs": {port.name: type_name(port.type) for port in node.outputs},
    }


def code_digest(ref: str) -> str:
    """Hash of a node's source and of everything of its project that the source reads."""
    module, _, qualname = ref.partition(":")
    target: Any = importlib.import_module(module)
    for part in qualname.split("."):
        target = getattr(target, part)
    facts: dict[str, object] = {}
    _collect(target, module.partition(".")[0], facts)
    return _digest(facts)


def _collect(target: Any, project: str, facts: dict[str, object]) -> None:
    """Add a definition, and what it reads, to ``facts``; each definition once."""
    target = inspect.unwrap(target)
    name = f"{target.__module__}:{target.__qualname__}"
    if name in facts:
        return
    facts[name] = None  # holds the place: definitions may refer to each other
    tree = _definition(target, name)
    facts[name] = _canonical(tree)
    scope = vars(sys.modules[target.__module__])
    for label, value in sorted(_reads(tree, scope), key=lambda read: read[0]):
        _note(label, value, project, facts)


def _note(label: str, value: Any, project: str, facts: dict[str, object]) -> None:
    unwrapped = inspect.unwrap(value) if callable(value) else value
    if inspect.isfunction(unwrapped) or inspect.isclass(unwrapped):
        if _is_of_project(unwrapped.__module__, project):
            _collect(unwrapped, project, facts)
    elif not inspect.ismodule(unwrapped):
        facts[f"value {label}"] = _constant(unwrapped)


def _is_of_project(module: str, project: str) -> bool:
    return module.partition(".")[0] == project and not _OWN.match(module)


def _definition(target: Any, name: str) -> ast.stmt:
    try:
        source = textwrap.dedent(inspect.getsource(target))
    except (OSError, TypeError) as error:
        raise GraphError(
            f"the source of {name!r} cannot be read, so it has no version",
            remedy="Define nodes in a module file, not in a prompt or generated code",
        ) from error
    tree = ast.parse(source).body[0]
    # What a decorator or class keyword declares is in the graph's structure already, where the
    # order of keyword arguments does not count.
    if isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        tree.decorator_list = []
    if isinstance(tree, ast.ClassDef):
        tree.keywords = []
    return tree


def _canonical(node: Any) -> object:
    """A syntax tree as plain data: no positions, comments, docstrings or empty fields.

    ``ast.dump`` will not do: its text differs between Python versions.
    """
    if isinstance(node, ast.AST):
        fields = {name: _canonical(value) for name, value in ast.iter_fields(node)}
        if (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and ast.get_docstring(node, clean=False) is not None
        ):
            fields["body"] = _canonical(node.body[1:])
        kept = {name: value for name, value in fields.items() if value not in (None, [])}
        kept.pop("ctx", None)
        return [type(node).__name__, kept]
    if isinstance(node, list):
        return [_canonical(item) for item in node]
    return _constant(node)


def _reads(tree: ast.AST, scope: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Globals that a definition reads: ``name``, and ``module.attribute`` of its imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in scope and not hasattr(builtins, node.id):
            yield node.id, scope[node.id]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = scope.get(node.value.id)
            if inspect.ismodule(owner) and hasattr(owner, node.attr):
                yield f"{owner.__name__}.{node.attr}", getattr(owner, node.attr)


def _constant(value: Any) -> object:
    """A value as plain data; an object without a plain form counts by its type alone."""
    if value is None or isinstance(value, bool | int | float | str):
        return value if not isinstance(value, float) else repr(value)
    if isinstance(value, bytes):
        return ["bytes", value.hex()]
    if isinstance(value, complex) or value is Ellipsis:
        return repr(value)
    if isinstance(value, dict):
        return ["dict", sorted(([_constant(k), _constant(v)] for k, v in value.items()), key=repr)]
    if isinstance(value, set | frozenset):
        return ["set", sorted((_constant(item) for item in value), key=repr)]
    if isinstance(value, list | tuple):
        return [_constant(item) for item in value]
    if isinstance(value, pa.DataType):
        return ["arrow", type_name(value)]
    if isinstance(value, re.Pattern):
        return ["pattern", value.pattern, value.flags]
    if isinstance(value, enum.Enum):
        return ["enum", type(value).__qualname__, value.name]
    return ["object", f"{type(value).__module__}:{type(value).__qualname__}"]


def _digest(facts: object) -> str:
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
