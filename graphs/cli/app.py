"""Commands and their exit codes: 0 done, 1 a typed error (its text on stderr), 2 wrong usage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from graphs.authoring import load_graph
from graphs.cli import job
from graphs.compiler import compile
from graphs.errors import GraphsError
from graphs.pictures import mermaid

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
app.command("job", hidden=True)(job.job)

Reference = Annotated[str, typer.Argument(help='the graph, as "module:name"')]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of a table")]


@contextmanager
def typed_errors_exit_1() -> Iterator[None]:
    """Print a typed error as its author meant it, without a stack."""
    try:
        yield
    except GraphsError as error:
        text = Text.assemble((type(error).__name__, "bold red"), f": {error}")
        Console(stderr=True).print(text, soft_wrap=True)
        raise typer.Exit(1) from error


@app.command()
def check(graph: Reference) -> None:
    """Check a graph and print its version."""
    with typed_errors_exit_1():
        print(compile(load_graph(graph), "inline").version)


@app.command()
def plan(graph: Reference, as_json: AsJson = False) -> None:
    """Show what a graph becomes offline (stages) and online (deployments)."""
    with typed_errors_exit_1():
        authored = load_graph(graph)
        offline, online = compile(authored, "offline"), compile(authored, "online")
    rows = [("offline", "stage", s.name, s.nodes, s.resources) for s in offline.stages]
    rows += [("online", "deployment", d.name, d.nodes, d.resources) for d in online.deployments]
    if as_json:
        keys = ("target", "kind", "name", "nodes")
        parts = [dict(zip(keys, row[:4], strict=True)) for row in rows]
        print(json.dumps({"graph": authored.name, "version": offline.version, "parts": parts}))
        return
    table = Table(title=f"{authored.name} · version {offline.version}")
    for heading in ("target", "", "nodes", "cpus", "gpus"):
        table.add_column(heading)
    for target, kind, _, nodes, needs in rows:
        table.add_row(target, kind, " → ".join(nodes), f"{needs.cpus:g}", f"{needs.gpus:g}")
    Console().print(table)


@app.command()
def draw(graph: Reference) -> None:
    """Print a graph as Mermaid text."""
    with typed_errors_exit_1():
        print(mermaid(load_graph(graph)))
