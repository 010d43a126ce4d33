"""Whether counts add up: every row that was planned came out, was rejected or filtered, once."""

from __future__ import annotations

from collections.abc import Sequence

from graphs.spec import Counts, DataFile, DoneRecord, SkippedFile


def what_is_wrong(record: DoneRecord, planned: int | None) -> str:
    """Why a done-record does not account for its shard; empty when it does.

    Args:
        record: what is said to have been done.
        planned: the shard's rows; ``None`` where planning did not count them.
    """
    counts = record.counts
    return (
        what_is_missing(counts, record.skipped, planned)
        or _of_errors(counts)
        or _of_files("files", record.files, counts.rows_out)
        or _of_files("files of rejected rows", record.rejected_files, counts.rows_rejected)
    )


def what_is_missing(counts: Counts, skipped: Sequence[SkippedFile], planned: int | None) -> str:
    """Why counts do not account for the rows that were planned; empty when they do.

    Args:
        counts: where rows went.
        skipped: input that could not be read; some of it may have an unknown number of rows.
        planned: rows there were to be; ``None`` where nobody knew.
    """
    if not counts.add_up:
        return f"rows are missing or doubled: {_told(counts)}"
    left_out = [file.rows for file in skipped]
    rest = None if planned is None else planned - sum(rows or 0 for rows in left_out)
    if rest is None or counts.rows_in == rest or (None in left_out and counts.rows_in < rest):
        return ""
    files = f", {len(left_out)} files left out" if left_out else ""
    return f"{planned} rows planned: {_told(counts)}{files}"


def _told(counts: Counts) -> str:
    return (
        f"{counts.rows_in} in, {counts.rows_out} out, {counts.rows_rejected} rejected, "
        f"{counts.rows_filtered} filtered"
    )


def _of_errors(counts: Counts) -> str:
    for node, types in counts.errors.items():
        if sum(types.values()) != counts.rejected.get(node, 0):
            rows = counts.rejected.get(node, 0)
            return f"node {node!r} rejected {rows} rows, its errors are {types}"
    return ""


def _of_files(what: str, files: Sequence[DataFile], rows: int) -> str:
    """A sink may have no files of the dataset's own; those there are hold every row."""
    held = sum(file.rows for file in files)
    return f"the {what} hold {held} rows, not {rows}" if files and held != rows else ""


def after_replay(before: Counts, replayed: Counts) -> Counts:
    """A snapshot's counts once its rejected rows were run again: they stand where they ended."""
    filtered = dict(before.filtered)
    for node, rows in replayed.filtered.items():
        filtered[node] = filtered.get(node, 0) + rows
    return Counts(
        rows_in=before.rows_in - before.rows_rejected + replayed.rows_in,
        rows_out=before.rows_out + replayed.rows_out,
        rejected=replayed.rejected,
        filtered=filtered,
        errors=replayed.errors,
    )
