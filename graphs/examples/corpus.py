"""Real input for the example: the documentation strings of everything that is installed here.

A row is one public documentation string of the standard library or of an installed package:

| Column | Holds |
|---|---|
| ``doc_id`` | dotted name, unique, such as ``pathlib.Path.glob`` |
| ``package`` | first part of the name, such as ``pathlib`` |
| ``kind`` | ``module``, ``class``, ``function`` or ``method`` |
| ``text`` | the documentation string, cleaned of its indentation |

Sources are parsed, never imported. Left out are names with a leading underscore, nested functions,
tests, vendored copies and texts of fewer than three words.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import os
import sys
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import distributions
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema([(name, pa.string()) for name in ("doc_id", "package", "kind", "text")])
FORMAT = "1"  # part of the cache's name; raise it when the rules below change
LEFT_OUT = frozenset({"test", "tests", "testing", "vendor", "vendored", "site-packages", "idlelib"})
FEWEST_WORDS = 3
FILES_A_TASK = 100

Row = tuple[str, str, str, str]
Source = tuple[str, str]  # dotted name of a module, path of its file


def collect(*, workers: int = 2) -> pa.Table:
    """Every documentation string, ordered by ``doc_id``.

    Args:
        workers: processes that parse.
    """
    tasks = list(_chunks(sources(), FILES_A_TASK))
    rows: dict[str, Row] = {}
    # Spawned, because the caller may have threads.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for found in pool.map(read_files, tasks):
            for row in found:
                rows.setdefault(row[0], row)  # a name defined twice counts once
    columns = zip(*(rows[doc_id] for doc_id in sorted(rows)), strict=True)
    return pa.table([pa.array(column, pa.string()) for column in columns], schema=SCHEMA)


def collect_once(folder: Path) -> pa.Table:
    """What :func:`collect` gives, kept in a folder until something else is installed."""
    kept = folder / f"{fingerprint()}.parquet"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_suffix(f".{os.getpid()}")
        pq.write_table(collect(), unfinished)
        unfinished.replace(kept)
    return pq.read_table(kept, schema=SCHEMA)


def fingerprint() -> str:
    """Names what is installed: this Python and the version of every package."""
    installed = sorted({f"{one.name}=={one.version}" for one in distributions()})
    text = "\n".join([FORMAT, sys.version, *installed])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def choose(documents: pa.Table, rows: int, *, seed: str) -> pa.Table:
    """A representative choice that depends on nothing but the seed and the names.

    Returns:
        At most that many rows, ordered by ``doc_id``.
    """

    def lot(numbered: tuple[int, str]) -> bytes:
        return hashlib.blake2b(f"{seed}/{numbered[1]}".encode(), digest_size=8).digest()

    drawn = sorted(enumerate(documents["doc_id"].to_pylist()), key=lot)[:rows]
    return documents.take(sorted(position for position, _ in drawn))


def sources() -> list[Source]:
    """Every source file of the standard library and the installed packages, in order."""
    paths = sysconfig.get_paths()
    roots = dict.fromkeys(Path(paths[name]) for name in ("stdlib", "purelib", "platlib"))
    return sorted({source for root in roots for source in _below(root)})


def _below(root: Path) -> Iterator[Source]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if _is_public(name) and "." not in name)
        parts = Path(folder).relative_to(root).parts
        for name in files:
            stem, extension = os.path.splitext(name)
            if extension != ".py":
                continue
            if stem == "__init__":
                yield ".".join(parts), os.path.join(folder, name)
            elif _is_public(stem):
                yield ".".join([*parts, stem]), os.path.join(folder, name)


def _is_public(name: str) -> bool:
    return not name.startswith(("_", "test_")) and name not in LEFT_OUT and name != "conftest"


def read_files(files: list[Source]) -> list[Row]:
    """Rows of some modules; a file that this Python can't parse has none."""
    rows: list[Row] = []
    for module, path in files:
        try:
            text = Path(path).read_bytes()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # other people's invalid escapes
                tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            continue
        rows.extend(_rows(module, tree))
    return rows


def _rows(module: str, tree: ast.Module) -> Iterator[Row]:
    package = module.partition(".")[0]
    for name, kind, node in [
        (module, "module", tree),
        *_definitions(module, tree.body, "function"),
    ]:
        text = ast.get_docstring(node, clean=False) or ""
        if name and len(text.split(None, FEWEST_WORDS)) >= FEWEST_WORDS:
            yield name, package, kind, inspect.cleandoc(text).encode("utf-8", "replace").decode()


_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _definitions(
    scope: str, body: Iterable[ast.stmt], kind: str
) -> Iterator[tuple[str, str, _Documented]]:
    """Public classes and functions of a module or class, also those under an if or a try."""
    for statement in body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                if _is_public(name):
                    yield f"{scope}.{name}", kind, statement
            case ast.ClassDef(name=name) if _is_public(name):
                yield f"{scope}.{name}", "class", statement
                yield from _definitions(f"{scope}.{name}", statement.body, "method")
            case ast.If(body=inner) | ast.Try(body=inner):
                yield from _definitions(scope, inner, kind)
                yield from _definitions(scope, statement.orelse, kind)


def _chunks(files: list[Source], size: int) -> Iterator[list[Source]]:
    remaining = iter(files)
    while chunk := list(islice(remaining, size)):
        yield chunk
