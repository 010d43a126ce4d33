"""How commands speak: tables for people, JSON for programs, errors on stderr."""

from __future__ import annotations

import json
import os
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from graphs.errors import CheckFailed, GraphsError

Reference = Annotated[str, typer.Argument(help='the graph, as "module:name"')]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
DatasetUri = Annotated[str, typer.Argument(metavar="DATASET", help="URI of the output dataset")]
ProfileSource = Annotated[
    str,
    typer.Option(
        "--profile", help="a YAML or JSON file, or one of the presets laptop, cluster, nearline"
    ),
]

_WIDTH = 120
"""Columns where output goes to a file and not to a terminal, so that it is the same everywhere."""


@contextmanager
def typed_errors_exit_1(as_json: bool = False) -> Iterator[None]:
    """Print a typed error as its author meant it, without a stack."""
    try:
        yield
    except GraphsError as error:
        name = type(error).__name__
        if as_json:
            told: dict[str, Any] = {"error": name, "message": str(error)}
            if isinstance(error, CheckFailed):
                told["problems"] = list(error.problems)
            typer.echo(json.dumps(told), err=True)
        else:
            text = Text.assemble((name, "bold red"), f": {error}")
            Console(stderr=True).print(text, soft_wrap=True)
        raise typer.Exit(1) from error


def print_json(value: object) -> None:
    """One JSON document on stdout."""
    typer.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def print_table(
    title: str,
    headings: Iterable[str],
    rows: Iterable[Iterable[object]],
    *,
    unfolded: Container[str] = (),
) -> None:
    """A table on stdout; nothing if it has no rows.

    Args:
        title: above it.
        headings: of its columns.
        rows: its cells.
        unfolded: headings of the columns that stay on one line, to be copied.
    """
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for heading in headings:
        table.add_column(heading, overflow="fold", no_wrap=heading in unfolded)
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    if table.row_count:
        console().print(table)


def moment(at: datetime | None) -> str:
    """A time for people, in UTC; empty for none."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z" if at else ""


def size(bytes: int) -> str:
    """A number of bytes for people."""
    told, units = float(bytes), iter(("B", "KiB", "MiB", "GiB"))
    for unit in units:
        if told < 1024:
            return f"{told:,.0f} B" if unit == "B" else f"{told:,.1f} {unit}"
        told /= 1024
    return f"{told:,.1f} TiB"


def console() -> Console:
    """Stdout; as wide as the terminal, or of a fixed width where there is none."""
    made = Console(highlight=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = _WIDTH
    return made
