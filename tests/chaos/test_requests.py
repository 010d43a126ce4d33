"""What a run of many small files asks of S3."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from graphs.spec import RunResult
from graphs.storage.objects import Store
from graphs.storage.parquet import encode_table
from tests.chaos import scoring
from tests.chaos.world import PARTITION, SHARD_ROWS, World, spec_of

pytestmark = pytest.mark.server
FILES = 10_000
FILE_BYTES = 20_000
BALLAST_BYTES = 790  # of a row; the rest of a file is parquet itself
FILES_A_SHARD = 100


@pytest.mark.timeout(400)
def test_10_000_small_files_take_one_request_each_and_four_a_shard_all_told(
    world: World, place: str
) -> None:
    write_small_files(place)
    packed = {"shard_rows": FILES_A_SHARD * SHARD_ROWS, "workers_max": 3}
    before = world.proxy.requests.total()

    result = world.start_driver(spec_of(place, profile=packed)).outcome()

    assert isinstance(result, RunResult)
    asked = world.proxy.requests.total() - before
    assert asked <= FILES + 4 * result.shards
    assert result.shards <= 1.2 * FILES / FILES_A_SHARD
    assert result.counts.rows_out == FILES * SHARD_ROWS


def write_small_files(place: str) -> None:
    """Files of 20 KB, most of it in a column that the graph does not read; no row is rejected."""
    store = Store.open(f"{place}/input/day={PARTITION}")

    def write(file: int) -> int:
        first = file * SHARD_ROWS
        numbers = [scoring.TOO_ROUND * n + 1 for n in range(first, first + SHARD_ROWS)]
        columns = {"id": [f"row {n}" for n in numbers], "number": numbers}
        columns["gate"] = [""] * SHARD_ROWS
        table = pa.table(columns, schema=pa.schema(scoring.INPUTS))
        ballast = pa.array([os.urandom(BALLAST_BYTES) for _ in numbers])
        data = encode_table(table.append_column("ballast", ballast))
        assert FILE_BYTES <= len(data) <= 1.1 * FILE_BYTES
        store.put(f"{file:05d}.parquet", data)
        return len(data)

    with ThreadPoolExecutor(8) as writers:
        assert len([*writers.map(write, range(FILES))]) == FILES
