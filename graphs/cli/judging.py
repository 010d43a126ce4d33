"""``check``, ``show`` and ``diff``: what a graph is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from graphs.authoring import load_graph
from graphs.cli.output import (
    AsJson,
    Reference,
    console,
    print_json,
    print_table,
    typed_errors_exit_1,
)
from graphs.compiler import Target, compile
from graphs.errors import CheckFailed, GraphNotFound
from graphs.ir import Behaviour, Graph, Node, Port, Resources, facts, type_name, version
from graphs.ir.changes import Change, changes

Side = Annotated[str, typer.Argument(help='"module:name", or a file that `show --json` wrote')]


_ALIKE = 3
"""Nodes that are listed one by one though the same thing happened to them."""


def check(
    graph: Reference,
    target: Annotated[Target, typer.Option(help="what the graph must be fit for")] = "inline",
    as_json: AsJson = False,
) -> None:
    """Check a graph and print its version.

    What keeps it from other targets is told on stderr.
    """
    with typed_errors_exit_1(as_json):
        authored = load_graph(graph)
        stamp = compile(authored, target).version
    problems = {name: _problems(authored, name) for name in get_args(Target)}
    if as_json:
        print_json({"graph": authored.name, "version": stamp, "problems": problems})
        return
    typer.echo(stamp)
    for name, found in problems.items():
        for problem in found:
            typer.echo(f"not {name}: {problem}", err=True)


def _problems(graph: Graph, target: Target) -> list[str]:
    try:
        compile(graph, target)
    except CheckFailed as error:
        return list(error.problems)
    return []


def show(graph: Reference, as_json: AsJson = False) -> None:
    """Show a graph: inputs, outputs, nodes, and its version."""
    with typed_errors_exit_1(as_json):
        authored = load_graph(graph)
        known = facts(authored)
        stamp = version(authored)
    if as_json:
        told = {
            "graph": authored.name,
            "ref": authored.ref,
            "version": stamp,
            "key": authored.key,
            "source": str(authored.source or ""),
            "inputs": [_port(port) for port in authored.inputs],
            "outputs": [_port(port) for port in authored.outputs],
            "nodes": [_node(path, node) for path, node in _nodes(authored)],
            "facts": known,
        }
        print_json(told)
        return
    head = f"{authored.name} · version {stamp} · key {authored.key}"
    console().print(f"{head} · {authored.source}" if authored.source else head, markup=False)
    print_table("Inputs", ("name", "type", "nulls", "default"), map(_input_row, authored.inputs))
    print_table(
        "Outputs",
        ("name", "type"),
        ((port.name, type_name(port.type)) for port in authored.outputs),
    )
    headings = ("name", "kind", "takes", "gives", "needs and behaviour", "written at")
    print_table("Nodes", headings, (_node_row(path, node) for path, node in _nodes(authored)))


def _nodes(graph: Graph, path: str = "") -> Iterator[tuple[str, Node]]:
    for node in graph.nodes:
        yield f"{path}{node.name}", node
        for label, body in node.bodies:
            yield from _nodes(
                body, f"{path}{node.name}/{label}/" if label else f"{path}{node.name}/"
            )


def _port(port: Port) -> dict[str, Any]:
    return {
        "name": port.name,
        "type": type_name(port.type),
        "view": port.view,
        "is_nullable": port.is_nullable,
        "default": port.default,
    }


def _node(path: str, node: Node) -> dict[str, Any]:
    return {
        "name": path,
        "kind": node.kind,
        "ref": node.ref,
        "source": str(node.source or ""),
        "parameters": json.loads(node.parameters),
        "inputs": [_port(port) for port in node.inputs],
        "outputs": [_port(port) for port in node.outputs],
        "artifacts": dict(node.artifacts),
        "resources": asdict(node.resources),
        "behaviour": asdict(node.behaviour),
    }


def _input_row(port: Port) -> tuple[str, ...]:
    nulls = "allowed" if port.is_nullable else "rejected"
    return port.name, type_name(port.type), nulls, port.default or "must be there"


def _node_row(path: str, node: Node) -> tuple[str, ...]:
    takes = "\n".join(f"{port.name}: {type_name(port.type)}" for port in node.inputs)
    gives = "\n".join(f"{port.name}: {type_name(port.type)}" for port in node.outputs)
    needs = _unusual(node.resources, Resources()) + _unusual(node.behaviour, Behaviour())
    told = json.loads(node.parameters)
    settings = [
        f"{name}={json.dumps(value)}" for name, value in told.items() if node.kind != "each"
    ]
    return path, node.kind, takes, gives, "\n".join(settings + needs), str(node.source or "")


def _unusual(given: Resources | Behaviour, usual: Resources | Behaviour) -> list[str]:
    """What differs from the defaults, as ``name=value``."""
    pairs = ((f.name, getattr(given, f.name), getattr(usual, f.name)) for f in fields(given))
    return [f"{name}={value}" for name, value, default in pairs if value != default]


def diff(before: Side, after: Side, as_json: AsJson = False) -> None:
    """Tell why two graphs have different versions: structure, code or artifacts.

    Exits 0 if they are the same, 3 if not.
    """
    with typed_errors_exit_1(as_json):
        old, new = _facts(before), _facts(after)
        found = changes(old["facts"], new["facts"])
    if as_json:
        told = {
            "before": old["version"],
            "after": new["version"],
            "changes": [asdict(change) for change in found],
        }
        print_json(told)
    elif not found:
        typer.echo(f"no change, version {old['version']}")
    else:
        typer.echo(f"version {old['version']} → {new['version']}")
        print_table("", ("part", "where", "change"), _change_rows(found))
    if found:
        raise typer.Exit(3)


def _facts(side: str) -> dict[str, Any]:
    if not side.endswith(".json"):
        graph = load_graph(side)
        return {"version": version(graph), "facts": facts(graph)}
    try:
        known = json.loads(Path(side).read_text(encoding="utf-8"))
        return {"version": known["version"], "facts": known["facts"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GraphNotFound(
            f"cannot be read: {type(error).__name__}: {error}",
            f"file {side!r}",
            "Write it with `graphs show <module:name> --json`",
        ) from error


def _change_rows(found: Iterable[Change]) -> Iterator[tuple[str, str, str]]:
    """A row for each change; one for all where several nodes changed alike."""
    places: dict[tuple[str, str], list[str]] = {}
    for change in found:
        if change.part != "structure" or change.what in ("added", "removed"):
            text = change.what
        else:
            text = f"{change.what}: {json.dumps(change.before)} → {json.dumps(change.after)}"
        places.setdefault((change.part, text), []).append(change.where)
    for (part, text), where in places.items():
        if text in ("added", "removed") or len(where) <= _ALIKE:
            yield from ((part, place, text) for place in where)
        else:
            yield part, f"{where[0]} and {len(where) - 1} more", text
