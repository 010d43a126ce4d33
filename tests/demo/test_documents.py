"""Three days of documents, each written once."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from demo.documents import FILES_A_DAY, ROWS_A_DAY, last_days, write_days
from graphs.examples.corpus import SCHEMA

DOCUMENTS = pa.table(
    {name: [f"{name} {row}" for row in range(5_000)] for name in SCHEMA.names}, schema=SCHEMA
)


def ids_of(lake: Path, day: date) -> set[str]:
    files = sorted((lake / "docs" / f"day={day}").glob("*.parquet"))
    assert len(files) == FILES_A_DAY
    return {
        doc_id for file in files for doc_id in pq.ParquetFile(file).read()["doc_id"].to_pylist()
    }


def test_the_backfill_covers_the_day_that_the_schedule_is_due_for_and_two_before() -> None:
    assert last_days(date(2026, 3, 1)) == (date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1))


def test_each_day_has_its_own_thousand_documents(tmp_path: Path) -> None:
    days = last_days(date(2026, 3, 1))

    assert write_days(str(tmp_path), DOCUMENTS, days) == 3

    chosen = [ids_of(tmp_path, day) for day in days]
    assert [len(ids) for ids in chosen] == [ROWS_A_DAY] * 3
    assert chosen[0] != chosen[1] != chosen[2]


def test_a_day_that_is_there_stays_and_one_left_unfinished_is_written_again(tmp_path: Path) -> None:
    days = last_days(date(2026, 3, 1))
    write_days(str(tmp_path), DOCUMENTS, days)
    unfinished = tmp_path / "docs" / f"day={days[1]}" / "part-0.parquet"
    unfinished.unlink()

    assert write_days(str(tmp_path), DOCUMENTS, days) == 1

    assert unfinished.exists()
