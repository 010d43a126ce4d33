"""Computing on Ray while somebody looks on: bars in a terminal, lines of log elsewhere."""

from __future__ import annotations

import logging
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console, Group, RenderableType
from rich.highlighter import NullHighlighter
from rich.live import Live
from rich.logging import RichHandler
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from graphs.cli.output import console, print_json
from graphs.spec import Counts, Progress, RunResult, RunSpec

_BAR = 24
_SHOWN_NODES = 12
"""Nodes with a line of their own; the slowest, where there are more."""

Watch = Callable[[Progress], None]


def compute(spec: RunSpec, as_json: bool) -> None:
    """Run a spec on Ray, show how far it is, print what it came to.

    Stopped with Ctrl-C, it says how to go on.
    """
    from graphs.runtimes.ray_data import run  # loads ray

    reached: list[Progress] = []
    try:
        with watching() as watch:

            def look(progress: Progress) -> None:
                reached[:] = [progress]
                watch(progress)

            result = run(spec, attempt=f"cli-{uuid.uuid4().hex[:8]}", progress=look)
    except KeyboardInterrupt as error:
        if reached:
            go_on = f"graphs runs resume {spec.output} {reached[0].run_key}"
            typer.echo(f"stopped; `{go_on}` goes on where this ended", err=True)
        raise typer.Exit(130) from error
    if as_json:
        print_json(result.model_dump(mode="json"))
    else:
        print_result(result)


def print_result(result: RunResult) -> None:
    """What a run came to, for people."""
    told = "was committed before" if result.was_committed else "committed"
    console().print(f"{told}: {result.manifest}", markup=False, soft_wrap=True)
    for failure in result.failures:
        console().print(f"expectation failed: {failure}", markup=False, soft_wrap=True)
    typer.echo(f"{result.graph} · version {result.version} · {summary(result.counts)}")


def summary(counts: Counts) -> str:
    """Where the rows went, in one line."""
    return (
        f"{counts.rows_in:,} rows in, {counts.rows_out:,} out, "
        f"{counts.rows_rejected:,} rejected, {counts.rows_filtered:,} filtered"
    )


@contextmanager
def watching(on: Console | None = None) -> Iterator[Watch]:
    """Shows progress on stderr while inside: bars if it is a terminal, else what the run logs."""
    on = on or Console(stderr=True, highlight=False)
    if not on.is_terminal:
        logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
        yield lambda progress: None
        return
    logged = RichHandler(
        console=on,
        show_time=False,
        show_level=False,
        show_path=False,
        highlighter=NullHighlighter(),
    )
    logging.basicConfig(level=logging.INFO, handlers=[logged], format="%(message)s")
    lines = logging.getLogger("graphs.run.progress")
    level = lines.level
    lines.setLevel(logging.WARNING)  # the bars say the same
    try:
        with Live(Text("planning …"), console=on, refresh_per_second=4) as live:
            yield lambda progress: live.update(bars(progress))
    finally:
        lines.setLevel(level)


def bars(progress: Progress) -> RenderableType:
    """How far a run has come, as bars: the run, its stages, and the speed of its nodes."""
    is_over = progress.shards_done == progress.shards
    table = Table.grid(padding=(0, 1))
    for can_fold in (True, False, False, True):
        table.add_column(no_wrap=not can_fold, overflow="fold")
    _add(table, "run", progress.shards_done, progress.shards, "")
    for stage in progress.stages:
        # The account of the stages comes now and then, so at the end it may be a little old.
        done = progress.shards if is_over else stage.shards_done
        workers = f"{stage.workers} worker{'' if stage.workers == 1 else 's'}"
        running = "" if is_over else f"{stage.shards_running} running, {workers}"
        _add(table, f"  {stage.name}", done, progress.shards, running)
    slowest = sorted(progress.nodes.items(), key=lambda node: node[1])[:_SHOWN_NODES]
    nodes = " · ".join(f"{name} {speed:,.0f} rows/s" for name, speed in slowest)
    return Group(table, Text(_told(progress)), *([Text(nodes, "dim")] if nodes else []))


def _add(table: Table, name: str, done: int, of: int, told: str) -> None:
    table.add_row(
        Text(name),
        ProgressBar(total=max(of, 1), completed=done, width=_BAR),
        Text(f"{done:,}/{of:,} shards"),
        Text(told),
    )


def _told(progress: Progress) -> str:
    of = "" if progress.rows is None else f"/{progress.rows:,}"
    words = [f"{progress.rows_done:,}{of} rows"]
    if progress.rejected:
        words.append(f"{progress.rejected:,} rejected")
    words.append(f"{progress.rows_per_s:,.0f} rows/s")
    if progress.eta_s is not None and progress.shards_done < progress.shards:
        words.append(f"{_minutes(progress.eta_s)} left")
    return " · ".join(words)


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
