"""Runs put in place as an engine would, without computing anything."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from graphs.spec import (
    Counts,
    DataFile,
    DoneRecord,
    Manifest,
    Progress,
    Replay,
    RunRecord,
    RunSpec,
    Usage,
)
from graphs.storage.parquet import encode_table
from graphs.storage.snapshots import Dataset, data_path, rejected_path

DAY = "2026-01-01"


def put_file(dataset: Dataset, path: str, table: pa.Table) -> DataFile:
    data = encode_table(table)
    dataset.store.put(path, data)
    return DataFile(path=path, rows=table.num_rows, bytes=len(data))


def begin(
    dataset: Dataset,
    run_key: str,
    *,
    version: str = "v1",
    day: str = DAY,
    state: str = "running",
    said: timedelta | None = timedelta(hours=1),
    graph: str = "tests.library.toy:toy",
    **spec: Any,
) -> RunRecord:
    """A run that started, and said how far it is so long ago."""
    record = RunRecord(
        run_key=run_key,
        version=version,
        spec=RunSpec(
            graph=graph,
            input={"uri": "/nowhere"},
            output=dataset.uri,
            partition_key=day,
            **spec,
        ),
        started_at=datetime.now(UTC),
    )
    dataset.write_run(record)
    if said is not None:
        say(dataset, run_key, state=state, updated_at=datetime.now(UTC) - said)
    return record


def say(dataset: Dataset, run_key: str, **told: Any) -> Progress:
    defaults: dict[str, Any] = {
        "shards_done": 1,
        "shards": 4,
        "rows_done": 10,
        "rows": 40,
        "rejected": 0,
        "rows_per_s": 5.0,
        "updated_at": datetime.now(UTC),
    }
    progress = Progress(run_key=run_key, attempt="one", **{**defaults, **told})
    dataset.write_progress(progress)
    return progress


def do_shard(
    dataset: Dataset,
    run_key: str,
    shard: str,
    rows: pa.Table,
    *,
    rejected: pa.Table | None = None,
    day: str = DAY,
    attempt: str = "one",
) -> DoneRecord:
    """A shard's files and its done-record."""
    files = (put_file(dataset, data_path(day, run_key, shard, attempt), rows),)
    refused: tuple[DataFile, ...] = ()
    counts = Counts(rows_in=rows.num_rows, rows_out=rows.num_rows)
    if rejected is not None:
        refused = (put_file(dataset, rejected_path(run_key, shard, attempt), rejected),)
        nodes = rejected.column("node").to_pylist()
        errors: dict[str, dict[str, int]] = {}
        for node, error in zip(nodes, rejected.column("error").to_pylist(), strict=True):
            of_node = errors.setdefault(node, {})
            of_node[error] = of_node.get(error, 0) + 1
        counts = Counts(
            rows_in=rows.num_rows + rejected.num_rows,
            rows_out=rows.num_rows,
            rejected={node: sum(kinds.values()) for node, kinds in errors.items()},
            errors=errors,
        )
    return dataset.write_done(
        DoneRecord(
            run_key=run_key,
            shard=shard,
            attempt=attempt,
            files=files,
            rejected_files=refused,
            counts=counts,
            statistics={},
        )
    )


def commit(
    dataset: Dataset,
    run_key: str,
    records: Sequence[DoneRecord],
    *,
    version: str = "v1",
    day: str = DAY,
    replays: Sequence[Replay] = (),
    keeps: Sequence[DataFile] = (),
    usage: Usage | None = None,
) -> Manifest:
    """The snapshot of these shards, in place of the one that is there."""
    before = dataset.read_manifest(day)
    counts = Counts(
        rows_in=sum(record.counts.rows_in for record in records),
        rows_out=sum(record.counts.rows_out for record in records),
        rejected=records[0].counts.rejected if records else {},
        errors=records[0].counts.errors if records else {},
    )
    manifest = Manifest(
        run_key=run_key,
        graph="toy",
        version=version,
        key="id",
        partition_key=day,
        input={"uri": "/nowhere"},
        files=(*keeps, *(file for record in records for file in record.files)),
        rejected_files=tuple(file for record in records for file in record.rejected_files),
        counts=counts,
        statistics={},
        usage=usage or Usage(),
        replays=tuple(replays),
        shards=len(records),
        committed_at=datetime.now(UTC),
    )
    committed = dataset.commit(manifest, before[1] if before else None)
    if dataset.read_progress(run_key) is not None:
        say(dataset, run_key, state="committed")
    return committed


def rows_of(*ids: str, run: str = "") -> pa.Table:
    return pa.table({"id": list(ids), "run": [run] * len(ids)})


def refused_rows(*ids: str, error: str = "ValueError") -> pa.Table:
    """Rejected rows as a run stores them."""
    return pa.table(
        {
            "key": list(ids),
            "shard": ["0"] * len(ids),
            "row": list(range(len(ids))),
            "node": ["halve"] * len(ids),
            "error": [error] * len(ids),
            "message": [f"{one} is odd" for one in ids],
            "input": [{"id": one} for one in ids],
        }
    )
