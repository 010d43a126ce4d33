"""``graphs runs show``: one run in full."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from graphs.cli.history import Run, find_run
from graphs.cli.output import (
    AsJson,
    DatasetUri,
    console,
    moment,
    print_json,
    print_table,
    size,
    typed_errors_exit_1,
)
from graphs.spec import Counts, StageUsage, Usage
from graphs.storage.snapshots import Dataset

_ROWS = 20
"""Rejected rows shown."""


def show(
    dataset: DatasetUri,
    run_key: Annotated[str, typer.Argument(help="its key, or how it begins")],
    as_json: AsJson = False,
) -> None:
    """Show a run: where its rows went, what it took, which rows were rejected and why."""
    with typed_errors_exit_1(as_json):
        place = Dataset(dataset)
        run = find_run(place, run_key)
        report = place.read_report(run.partition_key, run.key) if run.partition_key else None
        counts = run.manifest.counts if run.manifest else (report.counts if report else None)
        rejected = _rejected(place, run)
        places = _places(place, run, has_report=report is not None)
    if as_json:
        print_json(_told(run, counts, rejected, places))
        return
    _print_head(run)
    if counts is not None:
        _print_counts(counts)
    _print_nodes(run, counts)
    _print_stages(run)
    if run.manifest is not None:
        _print_usage(run.manifest.usage)
        headings = ("file", "rows", "error")
        skipped = ((one.path, one.rows, one.error) for one in run.manifest.skipped)
        print_table("input files left out", headings, skipped)
    _print_rejected(rejected, run.rejected)
    for name, where in places.items():
        console().print(f"{name}: {where}", markup=False, soft_wrap=True)


def _told(
    run: Run, counts: Counts | None, rejected: list[dict[str, Any]], places: dict[str, str]
) -> dict[str, Any]:
    usage = run.manifest.usage if run.manifest else None
    return {
        "run_key": run.key,
        "partition_key": run.partition_key,
        "state": run.state,
        "graph": run.graph,
        "version": run.version,
        "when": run.when.isoformat() if run.when else None,
        "record": run.record.model_dump(mode="json") if run.record else None,
        "progress": run.progress.model_dump(mode="json") if run.progress else None,
        "counts": counts.model_dump(mode="json") if counts else None,
        "usage": usage.model_dump(mode="json") if usage else None,
        "rows_per_s": _speeds(run),
        "busy_share": {name: stage.busy_share for name, stage in _stages(usage)},
        "skipped": [one.model_dump() for one in run.manifest.skipped] if run.manifest else [],
        "replays": [one.model_dump() for one in run.manifest.replays] if run.manifest else [],
        "rejected": rejected,
        "places": places,
    }


def _stages(usage: Usage | None) -> list[tuple[str, StageUsage]]:
    return list(usage.stages.items()) if usage else []


def _speeds(run: Run) -> dict[str, float]:
    """Rows a second of computing, per node."""
    if run.manifest is not None:
        nodes = run.manifest.usage.nodes.items()
        return {name: node.rows / node.seconds for name, node in nodes if node.seconds}
    return run.progress.nodes if run.progress else {}


# --- for people ----------------------------------------------------------------------------------


def _print_head(run: Run) -> None:
    when = moment(run.when)
    head = f"run {run.key} · {run.state} · partition {run.partition_key} · {when}"
    lines = [head, f"graph {run.graph} · version {run.version}"]
    if run.record is not None:
        lines.append(f"input {run.record.spec.input.uri} · sink {run.record.spec.sink.kind}")
    for replay in run.manifest.replays if run.manifest else ():
        lines.append(
            f"keeps the rows of run {replay.run_key} (version {replay.version}), "
            f"of which {replay.rows:,} rejected ones were run again"
        )
    if run.manifest is None and run.progress is not None:
        lines.append(str(run.progress))
        lines += [run.progress.problem] if run.progress.problem else []
    for line in lines:
        console().print(line, markup=False, soft_wrap=True)


def _print_counts(counts: Counts) -> None:
    whole = max(counts.rows_in, 1)
    rows = (
        ("in", counts.rows_in),
        ("out", counts.rows_out),
        ("rejected", counts.rows_rejected),
        ("filtered", counts.rows_filtered),
    )
    print_table(
        "Rows", ("", "rows", "share"), ((name, f"{n:,}", f"{n / whole:.2%}") for name, n in rows)
    )


def _print_nodes(run: Run, counts: Counts | None) -> None:
    counts = counts or Counts()
    speeds = _speeds(run)
    taken = run.manifest.usage.nodes if run.manifest else {}
    names = dict.fromkeys([*taken, *speeds, *counts.rejected, *counts.filtered])
    print_table(
        "Nodes",
        ("node", "rows", "seconds", "rows/s", "rejected", "filtered"),
        (
            (
                name,
                f"{taken[name].rows:,}" if name in taken else "",
                f"{taken[name].seconds:,.1f}" if name in taken else "",
                f"{speeds[name]:,.0f}" if name in speeds else "",
                _errors(counts, name),
                f"{counts.filtered[name]:,}" if name in counts.filtered else "",
            )
            for name in names
        ),
    )


def _errors(counts: Counts, node: str) -> str:
    kinds = counts.errors.get(node) or {}
    if kinds:
        return ", ".join(f"{rows:,} {kind}" for kind, rows in sorted(kinds.items()))
    return f"{counts.rejected[node]:,}" if node in counts.rejected else ""


def _print_stages(run: Run) -> None:
    if run.manifest is not None:
        print_table(
            "Stages",
            ("stage", "busy", "computing", "held", "a worker has"),
            (
                (
                    name,
                    f"{stage.busy_share:.0%}",
                    f"{stage.busy_s:,.1f} s",
                    f"{stage.held_s:,.1f} s",
                    f"{stage.cpus:g} CPU" + (f" {stage.gpus:g} GPU" if stage.gpus else ""),
                )
                for name, stage in _stages(run.manifest.usage)
            ),
        )
    elif run.progress is not None:
        print_table(
            "Stages",
            ("stage", "shards done", "running", "workers"),
            ((s.name, s.shards_done, s.shards_running, s.workers) for s in run.progress.stages),
        )


def _print_usage(usage: Usage) -> None:
    rows = [
        ("read", size(usage.bytes_read)),
        ("written", size(usage.bytes_written)),
        ("requests", f"{usage.requests:,}"),
        ("peak memory of a worker", size(usage.peak_memory_bytes)),
        ("retries of shards", f"{usage.retries:,}"),
    ]
    rows += [] if usage.cost is None else [("cost", f"{usage.cost:,.4f}")]
    print_table("What it took", ("", ""), rows)


def _print_rejected(rows: list[dict[str, Any]], of: int) -> None:
    print_table(
        "Rejected rows",
        ("key", "node", "error", "message"),
        ((row["key"], row["node"], row["error"], row["message"]) for row in rows),
    )
    if of > len(rows) > 0:
        typer.echo(f"… and {of - len(rows):,} more")


# --- rejected rows and places --------------------------------------------------------------------


def _rejected(dataset: Dataset, run: Run) -> list[dict[str, Any]]:
    """The first rejected rows, as they are stored."""
    from graphs.cli.tables import as_json
    from graphs.storage.reading import first_rows

    table = first_rows(dataset, _rejected_paths(dataset, run), _ROWS)
    rows: list[dict[str, Any]] = [] if table is None else as_json(table)
    return rows


def _rejected_paths(dataset: Dataset, run: Run) -> Iterator[str]:
    if run.manifest is not None:
        yield from dataset.rejected_files(run.manifest).column("path").to_pylist()
    elif run.rejected or run.progress is None:
        # By its done-records: what lies in the folder may be of an attempt that lost.
        for record in dataset.done_records(run.key):
            yield from (file.path for file in record.rejected_files)


def _places(dataset: Dataset, run: Run, *, has_report: bool) -> dict[str, str]:
    uri = dataset.uri
    places = {"records": f"{uri}/runs/{run.key}/"}
    if run.partition_key:
        places["files"] = f"{uri}/snapshots/{run.partition_key}/{run.key}/"
    if run.rejected:
        places["rejected rows"] = f"{uri}/runs/{run.key}/rejected/"
    if run.manifest is not None:
        places["manifest"] = dataset.manifest_uri(run.partition_key)
    if has_report:
        places["report"] = dataset.report_uri(run.partition_key, run.key)
    return places
