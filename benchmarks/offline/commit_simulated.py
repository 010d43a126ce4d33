"""A run of very many shards without the computing: ``python -m benchmarks.offline.commit_simulated
<shards>``. What it took leaves as one JSON line.

Everything that the driver does for a shard is done for real, in a local dataset: listing named,
planned, the plan frozen and read back, shards made into what Ray would be given, done-records read
as workers send them, entered, packed and told, the manifest made and committed. What stands for
Ray and the store (making up listings and records) is not counted.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from graphs.runtimes.ray_data import travel
from graphs.runtimes.ray_data.ledger import Ledger
from graphs.runtimes.ray_data.telling import Packer, Teller
from graphs.spec import (
    ColumnStatistics,
    Counts,
    DataFile,
    DoneRecord,
    ErrorBudget,
    Input,
    NodeUsage,
    ParquetSink,
    ShardPlan,
    Usage,
)
from graphs.storage.inputs import Shards, list_input, plan_shards, run_key
from graphs.storage.objects import ObjectInfo
from graphs.storage.snapshots import Dataset, data_path

PARTITION = "2026-01-01"
ROWS = 1000
"""Rows of a shard."""
_WAVE = 1000
"""Shards on their way at a time."""


@dataclass(frozen=True)
class Took:
    """What a simulation took."""

    shards: int
    seconds: float
    cpu_s: float
    peak_bytes: int


class Clock:
    """Adds up wall-clock and CPU seconds of what is ours."""

    def __init__(self) -> None:
        self.seconds = self.cpu_s = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        began, cpu = time.perf_counter(), time.process_time()
        yield
        self.seconds += time.perf_counter() - began
        self.cpu_s += time.process_time() - cpu


def simulate(shards: int, folder: Path) -> Took:
    """Plans and commits that many shards."""
    clock = Clock()
    input = Input(uri=str(folder / "input"))
    dataset = Dataset(str(folder / "output"))
    objects = _listing(input, shards)
    with clock.running():
        plan, frozen = _planned(dataset, input, objects)
        del objects
        ledger = Ledger(plan, frozen, ErrorBudget(share=1))
    with Teller(dataset, plan.run_key, "bench", None) as teller:
        teller.start(ledger.progress(0.0))
        _compute(clock, dataset, ledger, teller)
        with clock.running():
            manifest = ledger.manifest(dataset, "id", ParquetSink(), None, ledger.usage)
            dataset.commit(manifest, None)
    assert manifest.counts.rows_out == shards * (ROWS - 1)
    assert dataset.files(manifest).num_rows == shards
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Took(shards, clock.seconds, clock.cpu_s, peak)


def _listing(input: Input, shards: int) -> list[ObjectInfo]:
    """As many objects as shards; only the first is there, as only that is looked into."""
    folder = Path(input.uri)
    folder.mkdir()
    table = pa.table({"id": np.arange(ROWS), "text": ["some text"] * ROWS})
    pq.write_table(table, folder / "part-0000000.parquet")
    (first,) = list_input(input, PARTITION)
    return [replace(first, path=f"part-{number:07d}.parquet") for number in range(shards)]


def _planned(dataset: Dataset, input: Input, objects: list[ObjectInfo]) -> tuple[ShardPlan, Shards]:
    shards = plan_shards(
        input, objects, shard_rows=ROWS, shard_bytes=2**30, check=lambda schema, where: None
    )
    assert len(shards) == len(objects)
    plan = ShardPlan(
        run_key=run_key("version", PARTITION, input, objects, {}),
        graph="graph",
        version="version",
        partition_key=PARTITION,
        input=input,
        shards=len(shards),
        rows=shards.rows,
        bytes=shards.bytes,
        shards_at="",
    )
    dataset.write_plan(plan, shards)
    found = dataset.read_plan(plan.run_key)  # as whoever resumes does
    assert found is not None
    return found


def _compute(clock: Clock, dataset: Dataset, ledger: Ledger, teller: Teller) -> None:
    packer = Packer(dataset, ledger.plan.run_key, "bench")
    pending = np.random.default_rng(0).permutation(ledger.pending)
    width = len(ledger.shards[0].id)
    for start in range(0, len(pending), _WAVE):
        wave = pending[start : start + _WAVE]
        with clock.running():
            rows = [travel.waiting_row(ledger.shards[int(position)]) for position in wave]
            pa.concat_tables(rows)
        sent = [record(ledger.plan.run_key, f"{n:0{width}d}").model_dump_json() for n in wave]
        with clock.running():
            for text in sent:
                done = DoneRecord.model_validate_json(text)
                ledger.add(done)
                packer.add(text)
                teller.update(ledger.progress(1.0))


def record(run_key: str, shard: str) -> DoneRecord:
    """The done-record of a graph with two nodes and four columns, one of them of classes."""
    number = {"count": ROWS - 1, "nulls": 3, "minimum": 0.125, "maximum": 7.5, "total": 1234.5}
    return DoneRecord(
        run_key=run_key,
        shard=shard,
        attempt="bench-0a1b2c3d-4",
        files=(
            DataFile(
                path=data_path(PARTITION, run_key, shard, "bench-0a1b2c3d-4"),
                rows=ROWS - 1,
                bytes=123_456,
            ),
        ),
        counts=Counts(
            rows_in=ROWS,
            rows_out=ROWS - 1,
            rejected={"parse": 1},
            errors={"parse": {"ValueError": 1}},
        ),
        statistics={
            "id": ColumnStatistics(type="string", count=ROWS - 1, nulls=0),
            "score": ColumnStatistics(type="double", **number),
            "length": ColumnStatistics(type="float", **number),
            "topic": ColumnStatistics(
                type="string", count=ROWS - 1, nulls=0, top={"a": 500, "b": 400, "c": ROWS - 901}
            ),
        },
        usage=Usage(
            bytes_read=120_000,
            bytes_written=123_456,
            requests=4,
            peak_memory_bytes=300_000_000,
            nodes={"parse": NodeUsage(rows=ROWS, seconds=0.01), "score": NodeUsage(rows=ROWS)},
        ),
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="graphs-bench-") as place:
        print(json.dumps(asdict(simulate(int(sys.argv[1]), Path(place)))))
