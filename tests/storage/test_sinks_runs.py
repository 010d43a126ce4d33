"""Whole runs on a Ray cluster into every table format."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from graphs.spec import RunResult
from graphs.storage.objects import Store
from graphs.storage.parquet import encode_table
from graphs.storage.snapshots import Dataset
from tests.runtimes.conftest import cluster
from tests.runtimes.test_ray_data import rows, run, spec
from tests.storage.tables import Table, table_of

__all__ = ["cluster"]

DAY = "2026-01-01"

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("cluster")]


@pytest.fixture
def table(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    """A local table that does not exist yet, beside the place of the run's input and output."""
    return table_of(kind, str(tmp_path), tmp_path, monkeypatch)


def put(place: Path, file: str, table: pa.Table) -> None:
    Store.open(str(place)).put(f"input/day={DAY}/{file}.parquet", encode_table(table))


def run_into(table: Table, place: Path, attempt: str) -> RunResult:
    return run(spec(str(place), day=DAY, sink=table.sink), attempt)


def test_a_run_its_repetition_and_a_backfill_leave_the_tables_rows_equal_to_the_snapshots(
    table: Table, tmp_path: Path
) -> None:
    put(tmp_path, "one", rows(range(25)))
    put(tmp_path, "two", rows(range(25, 40)))

    first = run_into(table, tmp_path, "first")
    versions = table.versions()
    again = run_into(table, tmp_path, "second")
    assert (again.was_committed, table.versions()) == (True, versions)
    assert table.read().num_rows == first.counts.rows_out == 40

    put(tmp_path, "one", rows(range(5)))
    backfill = run_into(table, tmp_path, "third")

    found = Dataset(f"{tmp_path}/output").read_manifest(DAY)
    assert found is not None
    snapshot = Dataset(f"{tmp_path}/output").read_snapshot(found[0])
    assert backfill.counts.rows_out == 20
    assert table.read().sort_by("id")["id"].equals(snapshot.sort_by("id")["id"])
