"""``graphs runs``: what a dataset's runs came to; going on with them, and clearing up."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated

import typer

from graphs.cli.history import Run, runs_of
from graphs.cli.output import (
    AsJson,
    DatasetUri,
    moment,
    print_json,
    print_table,
    size,
    typed_errors_exit_1,
)
from graphs.cli.rerunning import replay, resume
from graphs.cli.showing import show
from graphs.storage.aliases import Registry
from graphs.storage.garbage import Findings, Garbage, find_garbage, remove
from graphs.storage.snapshots import Dataset

app = typer.Typer(
    no_args_is_help=True, help="Look at a dataset's offline runs, go on with them, clear up."
)

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def ls(
    dataset: DatasetUri,
    partition: Annotated[str | None, typer.Option(help="runs of this partition only")] = None,
    as_json: AsJson = False,
) -> None:
    """List runs, the latest first."""
    with typed_errors_exit_1(as_json):
        runs = runs_of(Dataset(dataset), partition)
    if as_json:
        print_json({"dataset": Dataset(dataset).uri, "runs": [_told(run) for run in runs]})
        return
    if not runs:
        typer.echo(f"no runs in {Dataset(dataset).uri}")
    headings = ("run", "partition", "state", "graph", "version", "shards", "rows", "when")
    print_table("", headings, map(_row, runs), unfolded=headings[:2])


def _told(run: Run) -> dict[str, object]:
    done, of = run.shards
    return {
        "run_key": run.key,
        "partition_key": run.partition_key,
        "state": run.state,
        "graph": run.graph,
        "version": run.version,
        "shards_done": done,
        "shards": of,
        "rows": run.rows,
        "rejected": run.rejected,
        "replay": run.record.spec.replay if run.record else None,
        "when": run.when.isoformat() if run.when else None,
    }


def _row(run: Run) -> tuple[object, ...]:
    done, of = run.shards
    state = f"{run.state} (replay)" if run.record and run.record.spec.replay else run.state
    rows = "" if run.rows is None else f"{run.rows:,}"
    rows += f" ({run.rejected:,} rejected)" if run.rejected else ""
    when = moment(run.when)
    graph = run.graph.rpartition(":")[2]
    return run.key, run.partition_key, state, graph, run.version, f"{done}/{of}", rows, when


def gc(
    dataset: DatasetUri,
    older_than: Annotated[
        str, typer.Option(help="what is younger stays: a number and s, m, h, d or w")
    ] = "7d",
    delete: Annotated[
        bool, typer.Option("--delete", help="remove it; else it is only told")
    ] = False,
    registry: Annotated[
        list[str] | None,
        typer.Option(help="URI of a registry whose aliases keep runs; may be repeated"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find what no manifest and no alias names any more, and remove it with --delete.

    Runs that were replaced or never committed, and files of attempts that lost. A run that shows
    signs of life stays, and so does what it builds on.
    """
    bound = _span(older_than)
    with typed_errors_exit_1(as_json):
        place = Dataset(dataset)
        found = find_garbage(place, bound, registries=[Registry(uri) for uri in registry or ()])
        gone = remove(place, found) if delete else found
    objects, bytes = _total(gone.garbage)
    if as_json:
        told = {"dataset": place.uri, "deleted": delete, "objects": objects, "bytes": bytes}
        print_json({**told, "garbage": [_garbage(one) for one in gone.garbage], "kept": gone.kept})
        return
    print_table(
        "",
        ("run", "partition", "what", "objects", "size", "last written"),
        map(_garbage_row, gone.garbage),
        unfolded=("run", "partition"),
    )
    verb, hint = ("removed", "") if delete else ("would remove", "; --delete removes them")
    typer.echo(f"{verb} {objects:,} objects, {size(bytes)}{hint if objects else ''}")
    _tell_kept(gone, has_registry=bool(registry))


def _span(text: str) -> timedelta:
    found = re.fullmatch(r"(\d+)\s*([smhdw])", text.strip())
    if found is None:
        raise typer.BadParameter(
            f"{text!r} is no time span; write 7d, 12h or 30m", param_hint="--older-than"
        )
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _total(garbage: Iterable[Garbage]) -> tuple[int, int]:
    sizes = [(one.objects, one.bytes) for one in garbage]
    return sum(objects for objects, _ in sizes), sum(bytes for _, bytes in sizes)


def _garbage(one: Garbage) -> dict[str, object]:
    return {
        "run_key": one.run_key,
        "partition_key": one.partition_key,
        "objects": one.objects,
        "bytes": one.bytes,
        "newest": one.newest.isoformat(),
        "orphans": one.orphans,
    }


def _garbage_row(one: Garbage) -> tuple[object, ...]:
    what = "the run" if one.orphans is None else "what lost attempts left"
    return (
        one.run_key,
        one.partition_key,
        what,
        f"{one.objects:,}",
        size(one.bytes),
        moment(one.newest),
    )


def _tell_kept(found: Findings, *, has_registry: bool) -> None:
    for reason, runs in sorted(found.kept.items()):
        typer.echo(f"kept {runs:,} {'run' if runs == 1 else 'runs'}: {reason}")
    if not has_registry:
        typer.echo("no --registry was given, so no alias kept a run")


app.command()(ls)
app.command()(show)
app.command()(resume)
app.command()(replay)
app.command()(gc)
