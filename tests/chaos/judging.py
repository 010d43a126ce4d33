"""What is wrong with a committed snapshot, compared with what the input and the graph mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from graphs.spec import DoneRecord, Manifest
from graphs.storage.objects import Store
from graphs.storage.snapshots import Dataset
from tests.chaos import scoring
from tests.chaos.world import PARTITION

SAID = 5
"""Examples that a problem quotes."""


def problems(
    place: str, numbers: Iterable[int], *, graph: str = "scoring", run: int = 0
) -> list[str]:
    """Everything that is wrong with the snapshot; empty when it is exactly what was meant.

    Args:
        place: URI below which ``output`` lies.
        numbers: of the input's rows.
        graph: the graph that the run used.
        run: the number that the run had.
    """
    dataset = Dataset(f"{place}/output")
    found = dataset.read_manifest(PARTITION)
    if found is None:
        return ["nothing is committed"]
    manifest = found[0]
    missing = _missing(dataset.store, manifest)
    if missing:
        return [f"the manifest names files that do not exist: {_some(missing)}"]
    expected = [n for n in numbers if not scoring.is_rejected(n)]
    rejected = [n for n in numbers if scoring.is_rejected(n)]
    rows = dataset.read_snapshot(manifest).to_pylist()
    lost = dataset.read_rejected(manifest)
    return [
        *_keys("output", expected, [row["id"] for row in rows]),
        *_keys("rejected rows", rejected, [] if lost is None else lost["key"].to_pylist()),
        *_wrong_rows(rows, graph, run),
        *_wrong_counts(manifest, len(expected), rejected),
        *_wrong_claims(dataset, manifest),
    ]


def _missing(store: Store, manifest: Manifest) -> list[str]:
    there = {info.path for prefix in ("snapshots", "runs") for info in store.list(prefix)}
    named = [*manifest.files, *manifest.rejected_files]
    return [file.path for file in named if file.path not in there]


def _keys(what: str, expected: list[int], found: list[str]) -> list[str]:
    """Every key once and no other."""
    counted, meant = Counter(found), {f"row {n}" for n in expected}
    lost = sorted(meant - counted.keys())
    foreign = sorted(counted.keys() - meant)
    doubled = sorted(key for key, times in counted.items() if times > 1)
    return [
        f"{what}: {len(wrong)} keys are {how}: {_some(wrong)}"
        for how, wrong in (("lost", lost), ("foreign", foreign), ("doubled", doubled))
        if wrong
    ]


def _wrong_rows(rows: list[dict[str, object]], graph: str, run: int) -> list[str]:
    by = scoring.GUESSED_BY[graph]
    wrong = [
        str(row["id"])
        for row in rows
        if row["id"] != f"row {row['number']}"
        or row["scored"] != 10 * int(str(row["number"])) + by
        or row["run"] != run
    ]
    return [f"{len(wrong)} rows hold what another run computed: {_some(wrong)}"] if wrong else []


def _wrong_counts(manifest: Manifest, rows_out: int, rejected: list[int]) -> list[str]:
    negative = sum(n < 0 for n in rejected)
    per_node = {"prepare": negative, "finish": len(rejected) - negative}
    counts = manifest.counts
    if (
        counts.add_up
        and (counts.rows_in, counts.rows_out) == (rows_out + len(rejected), rows_out)
        and counts.rejected == {node: rows for node, rows in per_node.items() if rows}
        and not counts.filtered
    ):
        return []
    return [f"counts: {counts} for {rows_out} rows out and {per_node} rejected"]


def _wrong_claims(dataset: Dataset, manifest: Manifest) -> list[str]:
    """The manifest claims exactly the files of this run's done-records, one record a shard."""
    records: list[DoneRecord] = list(dataset.done_records(manifest.run_key))
    claimed = Counter(file.path for file in (*manifest.files, *manifest.rejected_files))
    proven = Counter(
        file.path for record in records for file in (*record.files, *record.rejected_files)
    )
    found = []
    if len({record.shard for record in records}) != len(records):
        found.append("a shard has two done-records")
    if claimed != proven:
        wrong = sorted((claimed - proven) + (proven - claimed))
        found.append(f"manifest and done-records name different files: {_some(wrong)}")
    return found


def _some(wrong: list[str]) -> str:
    rest = len(wrong) - SAID
    return ", ".join(wrong[:SAID]) + (f" and {rest} more" if rest > 0 else "")
