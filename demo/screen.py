"""What the demo shows: one line a step, a live table of the backfill, the figures at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

STATE_COLOURS = {
    "success": "green",
    "failed": "red",
    "upstream_failed": "red",
    "up_for_retry": "yellow",
    "running": "cyan",
    "deferred": "magenta",
}


@dataclass(frozen=True)
class DayProgress:
    """How far one day's run has come."""

    day: str
    states: dict[str, str]  # task → state
    rows: str
    last_line: str  # of the log of the task that runs now


@dataclass
class Screen:
    """Writes to a terminal, or plain lines to anything else."""

    console: Console = field(default_factory=lambda: Console(highlight=False))
    seconds: dict[str, float] = field(default_factory=dict)
    _shown: dict[str, DayProgress] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str, title: str) -> Iterator[None]:
        """Time a step and show it while it runs."""
        started = time.monotonic()
        if self.console.is_terminal:
            with self.console.status(title):
                yield
        else:
            self.console.print(f"… {title}")
            yield
        self.seconds[name] = round(time.monotonic() - started, 1)
        self.console.print(f"[green]✓[/green] {title} [dim]{self.seconds[name]:.1f} s[/dim]")

    def say(self, text: str) -> None:
        """One plain line."""
        self.console.print(Text(f"  {text}", style="dim"))

    @contextmanager
    def live(self) -> Iterator[Live | None]:
        """A place that is drawn over; None where nothing can be drawn over."""
        if not self.console.is_terminal:
            yield None
            return
        with Live(console=self.console, transient=True, refresh_per_second=4) as live:
            yield live

    def show_days(self, live: Live | None, days: Sequence[DayProgress]) -> None:
        """Draw the backfill; without a terminal, one line whenever something changes."""
        if live is not None:
            live.update(_days_table(days))
            return
        for day in days:
            if self._shown.get(day.day) != day:
                self._shown[day.day] = day
                tasks = ", ".join(f"{task} {state}" for task, state in day.states.items())
                line = f"  {day.day}: {tasks}  {day.rows}  {day.last_line}"
                self.console.print(Text(line.rstrip()), soft_wrap=True)

    def fail(self, problem: str, details: str = "") -> None:
        """Say what went wrong, with the end of the log that knows more."""
        self.console.print(f"[bold red]✗[/bold red] {Text(problem).markup}")
        if details:
            self.console.print(Panel(Text(details), title="the end of its log", style="red"))

    def show_figures(self, title: str, figures: Sequence[tuple[str, str]]) -> None:
        """A two-column table."""
        table = Table(title=title, show_header=False, title_justify="left", title_style="bold")
        table.add_column(style="dim")
        table.add_column(overflow="fold")
        for name, value in figures:
            table.add_row(name, Text(value))
        self.console.print(table)

    def show_table(self, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table with a heading; the first column is left-aligned, the others right."""
        table = Table(title=title, title_justify="left", title_style="bold")
        for index, name in enumerate(head):
            table.add_column(name, justify="left" if index == 0 else "right")
        for row in rows:
            table.add_row(*row)
        self.console.print(table)


def _days_table(days: Sequence[DayProgress]) -> Table:
    table = Table(title="Airflow backfill", title_justify="left", title_style="bold", expand=True)
    table.add_column("day", no_wrap=True)
    for task in days[0].states if days else ():
        table.add_column(task, no_wrap=True)
    table.add_column("rows", no_wrap=True)
    table.add_column("what it says", ratio=1, no_wrap=True, overflow="ellipsis")
    for day in days:
        states = [Text(state, STATE_COLOURS.get(state, "dim")) for state in day.states.values()]
        table.add_row(day.day, *states, day.rows, Text(day.last_line, "dim"))
    return table
