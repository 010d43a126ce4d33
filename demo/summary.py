"""The figures at the end: on the screen and in ``summary.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from demo.journey import EXPECTED_TOPIC, QUESTION, ROUTE, Figures
from demo.screen import Screen
from demo.stack import Stack
from graphs.spec import RunResult
from graphs.storage.objects import Store


def save_reports(figures: Figures, folder: Path) -> list[Path]:
    """Copy the report pages out of the store, where a browser would need credentials."""
    reports = folder / "reports"
    reports.mkdir(exist_ok=True)
    saved = []
    for run in figures.runs:
        if run.report is None:
            continue
        uri, _, name = run.report.rpartition("/")
        page = reports / f"{run.partition_key}{Path(urlsplit(name).path).suffix}"
        page.write_bytes(Store.open(uri).read(name))
        saved.append(page)
    return saved


def as_json(
    figures: Figures, stack: Stack, reports: list[Path], seconds: dict[str, float]
) -> dict[str, Any]:
    """The figures of ``summary.json``."""
    share = figures.agreed / figures.sampled if figures.sampled else 0.0
    return {
        "partitions": [_partition(run) for run in figures.runs],
        "parity": {"sampled": figures.sampled, "agreed": figures.agreed, "share": share},
        "version": figures.version,
        "question": QUESTION,
        "answer": {"topic": figures.answer["topic"], "score": figures.answer["score"]},
        "expected_topic": EXPECTED_TOPIC,
        "report": str(reports[-1]) if reports else None,
        "addresses": addresses(stack),
        "seconds": {**seconds, "total": round(sum(seconds.values()), 1)},
    }


def addresses(stack: Stack) -> dict[str, str]:
    """Where to look."""
    return {
        "airflow": stack.airflow.url,
        "ray_dashboard": stack.ray.dashboard_url,
        "topics": stack.ray.serve_url + ROUTE,
        "s3": stack.s3.url,
    }


def write(summary: dict[str, Any], folder: Path) -> Path:
    """Write ``summary.json``."""
    path = folder / "summary.json"
    path.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    return path


def show(summary: dict[str, Any], stack: Stack, screen: Screen, *, is_left_running: bool) -> None:
    """The final tables."""
    head = ("day", "rows in", "rows out", "rejected", "rows/s", "gate")
    rows = [
        (
            one["partition_key"],
            f"{one['rows_in']:,}",
            f"{one['rows_out']:,}",
            f"{one['rows_rejected']:,}",
            "committed before" if one["was_committed"] else f"{one['rows_per_s']:,.0f}",
            "passed" if one["passed"] else "failed",
        )
        for one in summary["partitions"]
    ]
    screen.show_table("Scored", head, rows)
    parity, answer = summary["parity"], summary["answer"]
    figures = [
        ("version", f"{summary['version']} — offline and online"),
        ("parity", f"{parity['share']:.0%} of {parity['sampled']} sampled keys"),
        ("question", summary["question"]),
        ("answer", f"{answer['topic']} ({answer['score']:.2f})"),
        ("report", summary["report"] or "none"),
        ("took", f"{summary['seconds']['total']:.0f} s"),
    ]
    screen.show_figures("Online", figures)
    if is_left_running:
        looks = [
            ("Airflow", summary["addresses"]["airflow"]),
            (
                "Ray dashboard",
                f"{summary['addresses']['ray_dashboard']} — token: {stack.ray.token}",
            ),
            ("the graph's API", f"{summary['addresses']['topics']}/docs"),
            ("S3", f"{summary['addresses']['s3']} — first: source {stack.folder / 'env.sh'}"),
            ("stop it", "make down"),
        ]
        screen.show_figures("Where to look", looks)
    else:
        screen.say("Everything was on 127.0.0.1 and is stopped now; `make up` leaves it running.")


def _partition(run: RunResult) -> dict[str, Any]:
    return {
        "partition_key": run.partition_key,
        "rows_in": run.counts.rows_in,
        "rows_out": run.counts.rows_out,
        "rows_rejected": run.counts.rows_rejected,
        "rows_per_s": run.rows_per_s,
        "passed": run.passed,
        "shards": run.shards,
        "shards_computed": run.shards_computed,
        "was_committed": run.was_committed,
    }
