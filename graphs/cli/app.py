"""Author an inference graph once; check it, look at it, run it.

Exit codes: 0 done; 1 a typed error, its text on stderr; 2 wrong usage; 3 `diff` found a difference.
"""

from __future__ import annotations

import os
import sys

import typer

from graphs.cli import job, judging, planning, running, runs

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)


@app.callback()
def import_from_here() -> None:
    # As `python -m` does: a graph in the current folder can be named without installing it.
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)


app.command()(judging.check)
app.command()(judging.show)
app.command()(planning.plan)
app.command()(planning.draw)
app.command()(running.run)
app.command()(judging.diff)
app.add_typer(runs.app, name="runs")
app.command("job", hidden=True)(job.job)
