"""What a node's code is, for the version: its definition and all that it reads of its project."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import importlib
import importlib.util
import inspect
import json
import linecache
import sys
import threading
from collections.abc import Iterator
from typing import Any

from graphs.errors import GraphError
from graphs.ir.plain import CODE, OWN, Values, is_of_project, literal

_LENGTH = 16
"""Hex digits kept: 64 bits, so a billion versions collide with a chance of about 3 %."""

# Python 3.11 counts the depth of syntax trees in one place for all threads, so two that parse at
# once may fail with a SystemError (python/cpython#106905).
_PARSING = threading.Lock()

_Named = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_Definition = _Named | ast.Lambda | ast.Assign | ast.List
_LAMBDA = "<lambda>"
_Scope = dict[str, Any]


@dataclasses.dataclass(slots=True)
class _Found:
    """One definition: digests of itself and of the values it reads, and the code it reads."""

    digests: dict[str, str]
    reads: list[Any]


class Code:
    """Digests of code: each module is parsed, and each definition walked, once."""

    def __init__(self) -> None:
        self._modules: dict[str, dict[str, list[_Definition]]] = {}
        self._found: dict[tuple[str, str], _Found] = {}

    def definitions(self, ref: str) -> dict[str, str]:
        """Digests of a node's source and of everything of its project that the source reads.

        Returns:
            By name: ``module:qualname`` of a definition, ``value module.name`` of a global.

        Raises:
            GraphError: a source cannot be read.
        """
        module, _, qualname = ref.partition(":")
        target: Any = importlib.import_module(module)
        for part in qualname.split("."):
            target = getattr(target, part)
        project = module.partition(".")[0]
        digests: dict[str, str] = {}
        pending = [inspect.unwrap(target)]
        while pending:
            one = pending.pop()
            if self.name(one) not in digests:
                found = self._read(one, project)
                digests |= found.digests
                pending += found.reads
        return digests

    def _read(self, target: Any, project: str) -> _Found:
        name = self.name(target)
        if (project, name) in self._found:
            return self._found[project, name]
        tree = self._definition(target)
        scope = vars(sys.modules[target.__module__]) | _imported(tree, target, project)
        reads: list[Any] = []
        values = Values(project, reads, self.name)
        digests, aliases = {}, {}
        for label, value in _reads(tree, scope, project, target.__module__):
            plain = values.plain(value)
            if plain[:1] != [CODE]:
                digests[f"value {label}"] = digest(plain)
            elif not label.endswith(f".{plain[1].rpartition(':')[2]}"):
                aliases[label.rpartition(".")[2]] = plain[1]
        digests[name] = digest([_canonical(tree, scope), aliases])
        self._found[project, name] = _Found(digests, reads)
        return self._found[project, name]

    def name(self, target: Any) -> str:
        """``module:qualname``; lambdas, which have no names, are told apart by what they say."""
        name = f"{target.__module__}:{target.__qualname__}"
        if target.__name__ != _LAMBDA:
            return name
        return f"{name} {digest(_tree(self._definition(target)))}"

    def _definition(self, target: Any) -> _Definition:
        """The syntax tree of a function or a class."""
        module, name = target.__module__, target.__qualname__
        if module not in self._modules:
            self._modules[module] = _definitions(module)
        found = self._modules[module].get(_LAMBDA if target.__name__ == _LAMBDA else name, [])
        if (code := getattr(target, "__code__", None)) is not None:
            # Of several with one name, the one at that line.
            found = [tree for tree in found if _first_line(tree) == code.co_firstlineno] or found
        # A class that was made by a call, such as a named tuple's, is what it was assigned from.
        found = [tree for tree in found if not isinstance(tree, ast.Assign)] or found
        if not found:
            raise GraphError(
                f"the source of '{module}:{name}' cannot be read, so it has no version",
                remedy="Define nodes in a module file, not in a prompt or generated code",
            )
        if target.__name__ == _LAMBDA and len(found) > 1:  # several in a line: any may be meant
            return ast.List(elts=[tree for tree in found if isinstance(tree, ast.Lambda)])
        return found[-1]


def digest(facts: object) -> str:
    """Hash of plain data, 16 hexadecimal digits."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


def _definitions(module: str) -> dict[str, list[_Definition]]:
    """Every function and class of a module by qualified name, in order."""
    file = getattr(sys.modules[module], "__file__", None) or ""
    linecache.checkcache(file)
    source = "".join(linecache.getlines(file, vars(sys.modules[module])))
    with _PARSING:
        tree = ast.parse(source)
    found: dict[str, list[_Definition]] = {}
    pending: list[tuple[str, ast.AST]] = [("", tree)]
    while pending:
        prefix, parent = pending.pop()
        for node in ast.iter_child_nodes(parent):
            inside = prefix
            if isinstance(node, _Named):
                found.setdefault(f"{prefix}{node.name}", []).append(node)
                is_class = isinstance(node, ast.ClassDef)
                inside = f"{prefix}{node.name}{'.' if is_class else '.<locals>.'}"
            elif isinstance(node, ast.Lambda):
                found.setdefault(_LAMBDA, []).append(node)
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found.setdefault(f"{prefix}{node.targets[0].id}", []).append(node)
            pending.append((inside, node))
    return {name: sorted(trees, key=_first_line) for name, trees in found.items()}


def _first_line(tree: _Definition) -> int:
    return min([tree.lineno, *(decorator.lineno for decorator in _decorators(tree))])


def _decorators(tree: _Definition) -> list[ast.expr]:
    return tree.decorator_list if isinstance(tree, _Named) else []


def _imported(tree: ast.AST, target: Any, project: str) -> _Scope:
    """What a definition itself imports of its project."""
    found: _Scope = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if is_of_project(alias.name, project):
                    module = importlib.import_module(alias.name)
                    top = sys.modules[alias.name.partition(".")[0]]
                    found[alias.asname or top.__name__] = module if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            spec = sys.modules[target.__module__].__spec__
            relative = "." * node.level + (node.module or "")
            name = importlib.util.resolve_name(relative, spec.parent if spec else None)
            if is_of_project(name, project):
                found |= {a.asname or a.name: _member(name, a.name) for a in node.names}
    return found


def _member(module: str, name: str) -> Any:
    found = importlib.import_module(module)
    if not hasattr(found, name):
        importlib.import_module(f"{module}.{name}")
    return getattr(found, name)


def _reads(
    tree: _Definition, scope: _Scope, project: str, module: str
) -> Iterator[tuple[str, Any]]:
    """Globals that a definition reads, those of its project's modules by their attributes."""
    for node in (inner for part in _parts(tree, scope) for inner in ast.walk(part)):
        if isinstance(node, ast.Name):
            name, owner, label = node.id, scope, f"{module}.{node.id}"
        elif isinstance(node, ast.Attribute):
            found = _module(node.value, scope)
            if found is None or not is_of_project(found.__name__, project):
                continue
            name, owner, label = node.attr, vars(found), f"{found.__name__}.{node.attr}"
        else:
            continue
        # Names such as __file__ differ between machines.
        if name in owner and not name.startswith("__") and not inspect.ismodule(owner[name]):
            yield label, owner[name]


def _module(node: ast.expr, scope: _Scope) -> Any:
    """The module that ``a`` or ``a.b`` means; ``None`` if it is no module."""
    found = None
    if isinstance(node, ast.Name):
        found = scope.get(node.id)
    elif isinstance(node, ast.Attribute):
        found = getattr(_module(node.value, scope), node.attr, None)
    return found if inspect.ismodule(found) else None


def _parts(tree: _Definition, scope: _Scope) -> list[ast.AST]:
    """The parts of a definition that count. What ``@node``, ``@graph`` and the class keywords of a
    model declare is in the graph's structure already, where the order of keywords does not count.
    """
    skipped: list[ast.AST] = [one for one in _decorators(tree) if _is_ours(one, scope)]
    if isinstance(tree, ast.ClassDef) and hasattr(scope.get(tree.name), "template"):
        skipped += tree.keywords
    return [child for child in ast.iter_child_nodes(tree) if child not in skipped]


def _is_ours(decorator: ast.expr, scope: _Scope) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    found = None
    if isinstance(called, ast.Name):
        found = scope.get(called.id)
    elif isinstance(called, ast.Attribute):
        found = getattr(_module(called.value, scope), called.attr, None)
    return bool(OWN.match(getattr(found, "__module__", None) or ""))


def _canonical(tree: _Definition, scope: _Scope) -> object:
    """A definition as plain data: no positions, comments, docstrings or empty fields.

    ``ast.dump`` will not do: its text differs between Python versions.
    """
    return [type(tree).__name__, getattr(tree, "name", None), _tree(_parts(tree, scope))]


def _tree(node: Any) -> object:
    if isinstance(node, ast.AST):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return []  # a docstring, or another constant that does nothing
        fields = {name: _tree(value) for name, value in ast.iter_fields(node)}
        kept = {name: value for name, value in fields.items() if value not in (None, [])}
        kept.pop("ctx", None)
        return [type(node).__name__, kept]
    if isinstance(node, list):
        return [plain for item in node if (plain := _tree(item)) != []]
    return literal(node)[0] if isinstance(node, bool | int | str) else literal(node)
