"""The demo's input: three days of documentation strings as parquet in the lake."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq

from graphs.examples.corpus import choose
from graphs.storage.objects import Store

DAYS = 3
ROWS_A_DAY = 1_000
FILES_A_DAY = 8


def last_days(today: date | None = None) -> tuple[date, ...]:
    """The days of the backfill: today in UTC, which the daily schedule is due for, and before."""
    last = today or datetime.now(UTC).date()
    return tuple(last - timedelta(days=ago) for ago in reversed(range(DAYS)))


def write_days(lake: str, documents: pa.Table, days: Sequence[date]) -> int:
    """Write each day that the lake does not hold; how many were written.

    A day that is there stays as it is, so that what was computed from it stays true. Which
    documents make up a day depends on the day alone.
    """
    store = Store.open(lake)
    written = 0
    for day in days:
        prefix = f"docs/day={day.isoformat()}"
        if store.exists(f"{prefix}/part-0.parquet"):
            continue
        written += 1
        rows = choose(documents, ROWS_A_DAY, seed=day.isoformat())
        size = -(-rows.num_rows // FILES_A_DAY)
        # The first file last: a day that was left unfinished lacks it and is written again.
        for part in reversed(range(FILES_A_DAY)):
            buffer = BytesIO()
            pq.write_table(rows.slice(part * size, size), buffer)
            store.put(f"{prefix}/part-{part}.parquet", buffer.getvalue())
    return written
