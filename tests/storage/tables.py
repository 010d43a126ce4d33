"""Tables of every format that a sink can commit to, for the tests of the sinks."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from graphs.spec import DeltaSink, IcebergSink, LanceSink, Manifest, Sink
from graphs.storage.sinks import SinkWriter, Written, open_sink
from tests.storage.sinks import fragments, manifest, rows, write

KINDS = ("iceberg", "delta", "lance")
CATALOG = "sinks"


@dataclass(frozen=True)
class Table:
    """A sink's table, and the dataset whose snapshots go there."""

    kind: str
    dataset: str
    sink: Sink

    def open(self) -> SinkWriter:
        return open_sink(self.sink, self.dataset)

    def run(
        self,
        run_key: str,
        tables: Sequence[pa.Table],
        before: Manifest | None = None,
        partition_key: str = "p",
    ) -> Run:
        """A run whose shards are written and that is about to commit."""
        writer = self.open()
        written = write(writer, tables, run_key, partition_key)
        return Run(writer, written, manifest(written, run_key, self.sink, partition_key), before)

    def committed(
        self,
        run_key: str,
        tables: Sequence[pa.Table],
        before: Manifest | None = None,
        partition_key: str = "p",
    ) -> Manifest:
        run = self.run(run_key, tables, before, partition_key)
        run.commit()
        return run.manifest

    def read(self) -> pa.Table:
        """The table's rows as any reader sees them now, through a connection of its own."""
        return read(self.kind, self.sink)

    def runs(self) -> dict[str, int]:
        """How many rows of each run a reader sees."""
        counts: dict[str, int] = {}
        for run in self.read()["run"].to_pylist():
            counts[run] = counts.get(run, 0) + 1
        return counts

    def runs_by_duckdb(self) -> dict[str, int]:
        """The same, by DuckDB over the format's own Arrow reader."""
        source = arrow_reader(self.kind, self.sink)
        with duckdb.connect() as connection:
            connection.register("source", source)
            return dict(connection.sql("select run, count(*) from source group by run").fetchall())

    def versions(self) -> int:
        """How many commits the table has seen."""
        return versions(self.kind, self.sink)


@dataclass(frozen=True)
class Run:
    writer: SinkWriter
    written: tuple[Written, ...]
    manifest: Manifest
    before: Manifest | None

    def commit(self) -> None:
        self.writer.commit(self.manifest, fragments(self.written), self.before)


def table_of(kind: str, root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    """A table below ``root``; its catalog, if any, is a database in ``tmp_path``."""
    catalog = f"PYICEBERG_CATALOG__{CATALOG.upper()}__"
    monkeypatch.setenv(f"{catalog}TYPE", "sql")
    monkeypatch.setenv(f"{catalog}URI", f"sqlite:///{tmp_path}/catalog.db")
    monkeypatch.setenv(f"{catalog}WAREHOUSE", f"{root}/warehouse")
    return Table(kind, f"{root}/dataset", sink_of(kind, root))


def sink_of(kind: str, root: str) -> Sink:
    if kind == "iceberg":
        return IcebergSink(catalog=CATALOG, table="lake.scores")
    uri = f"{root}/table"
    return DeltaSink(uri=uri) if kind == "delta" else LanceSink(uri=uri)


def read(kind: str, sink: Any) -> pa.Table:
    if kind == "iceberg":
        return _iceberg(sink).scan().to_arrow()
    if kind == "delta":
        return _delta(sink).to_pyarrow_table()
    return _lance(sink).to_table()


def arrow_reader(kind: str, sink: Any) -> Any:
    if kind == "iceberg":
        return _iceberg(sink).scan().to_arrow_batch_reader()
    return _delta(sink).to_pyarrow_dataset() if kind == "delta" else _lance(sink)


def rewrite(kind: str, sink: Any) -> None:
    """What a table's keeper may do to it: the rows stay, their files don't."""
    if kind == "iceberg":
        _iceberg(sink).overwrite(read(kind, sink))
    elif kind == "delta":
        _delta(sink).optimize.compact()
    else:
        _lance(sink).optimize.compact_files()


def rewrite_some(kind: str, sink: Any) -> None:
    """The same to some files: of the row ``key-00000``, or with fewer than five rows."""
    if kind == "iceberg":
        _iceberg(sink).delete("key == 'key-00000'")
    elif kind == "delta":
        _delta(sink).delete("key = 'key-00000'")
    else:
        _lance(sink).optimize.compact_files(target_rows_per_fragment=5)


def clean(kind: str, sink: Any) -> None:
    """Removes for good whatever the table's present version does not use."""
    if kind == "delta":
        _delta(sink).vacuum(0, dry_run=False, enforce_retention_duration=False)
    elif kind == "lance":
        _lance(sink).cleanup_old_versions(timedelta(0), delete_unverified=True)


def versions(kind: str, sink: Any) -> int:
    if kind == "iceberg":
        return len(_iceberg(sink).snapshots())
    if kind == "delta":
        return int(_delta(sink).version())
    return int(_lance(sink).version)


def _iceberg(sink: IcebergSink) -> Any:
    from pyiceberg.catalog import load_catalog
    from pyiceberg.utils.config import Config

    s3 = {"s3.endpoint": os.environ.get("AWS_ENDPOINT_URL"), "s3.region": "us-east-1"}
    configured: dict[str, Any] = dict(Config().get_catalog_config(sink.catalog) or {})
    return load_catalog(sink.catalog, **configured, **s3).load_table(sink.table)


def _delta(sink: DeltaSink) -> Any:
    from deltalake import DeltaTable

    return DeltaTable(sink.uri, storage_options=_s3("AWS_ENDPOINT_URL", "AWS_ALLOW_HTTP"))


def _lance(sink: LanceSink) -> Any:
    import lance

    return lance.dataset(sink.uri, storage_options=_s3("aws_endpoint", "allow_http"))


def _s3(endpoint: str, http: str) -> dict[str, str]:
    url = os.environ.get("AWS_ENDPOINT_URL")
    return {endpoint: url, http: "true"} if url else {}


def race(table: Table, runs: Sequence[tuple[str, str]]) -> list[str]:
    """Runs that write first and then commit at the same moment, each in a process of its own.

    Args:
        table: where they commit.
        runs: each with its run key and partition key.

    Returns:
        What each came to: "committed", or its error.
    """
    context = multiprocessing.get_context("spawn")
    barrier, outcomes = context.Barrier(len(runs)), context.Queue()
    racers = [context.Process(target=_racer, args=(table, *run, barrier, outcomes)) for run in runs]
    for racer in racers:
        racer.start()
    found = dict(outcomes.get(timeout=300) for _ in racers)
    for racer in racers:
        racer.join()
    return [found[run_key] for run_key, _ in runs]


def _racer(table: Table, run_key: str, partition_key: str, barrier: Any, outcomes: Any) -> None:
    outcome = "died"
    try:
        run = table.run(run_key, [rows(run_key, 5), rows(run_key, 5, 5)], None, partition_key)
        barrier.wait(240)
        run.commit()
        outcome = "committed"
    except Exception as error:
        outcome = f"{type(error).__name__}: {error}"
    finally:
        outcomes.put((run_key, outcome))
