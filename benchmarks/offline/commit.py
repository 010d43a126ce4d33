"""Planning and committing very many shards, and finding many done-records again."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import Measure, machine
from benchmarks.offline.commit_simulated import Took, record
from demo import processes, s3, stack
from graphs.storage.snapshots import Dataset

CPU_US = 100.0
"""CPU that a shard may cost the driver, in microseconds."""
PEAK_MIB = 2048.0
RECORDS_PER_S = 2000.0
"""Done-records that a resume must read a second, at least."""

_HERE = str(Path(__file__).parents[2])
_PACK = 1000


def measures(quick: bool) -> Iterator[Measure]:
    """``offline.commit_100k_shards_s`` and the like, each against its limit; the million is left
    out of a quick look.

    Seconds and CPU are those of the driver: planning, freezing and reading the plan, taking in
    done-records, packing them, telling how far it is, and the commit. ``…_cpu_growth`` is the CPU
    of a shard among a million over that among a hundred thousand: 1 where it is linear.
    """
    few = [_simulated(100_000) for _ in range(1 if quick else 3)]
    yield from _of(few, "100k")
    if not quick:
        many = [_simulated(1_000_000)]
        yield from _of(many, "1m")
        growth = statistics.median(map(_cpu_us, many)) / statistics.median(map(_cpu_us, few))
        yield held("offline.commit_1m_cpu_growth", [growth], 1.25, "×")
    yield held(
        "offline.resume_records_per_s",
        _resumed(10_000 if quick else 20_000, 1 if quick else 3),
        RECORDS_PER_S,
        "records/s",
    )


def _of(runs: Sequence[Took], size: str) -> Iterator[Measure]:
    limit_s = runs[0].shards * CPU_US / 1e6
    yield held(f"offline.commit_{size}_shards_s", [took.seconds for took in runs], limit_s, "s")
    yield held(f"offline.commit_{size}_cpu_us_a_shard", list(map(_cpu_us, runs)), CPU_US, "µs")
    peaks = [took.peak_bytes / 2**20 for took in runs]
    yield held(f"offline.commit_{size}_peak_mib", peaks, PEAK_MIB, "MiB")


def _cpu_us(took: Took) -> float:
    return took.cpu_s / took.shards * 1e6


def held(measure: str, ours: Sequence[float], limit: float, unit: str) -> Measure:
    """What was measured, against the limit that we are held to."""
    middle = statistics.median(ours)
    return Measure(
        measure=measure,
        ours=middle,
        theirs=limit,
        ratio=middle / limit,
        spread=(max(ours) - min(ours)) / middle,
        unit=unit,
        runs=len(ours),
        machine=machine(),
    )


def _simulated(shards: int) -> Took:
    """In a process of its own, so that the peak of its memory is its own."""
    command = [sys.executable, "-m", "benchmarks.offline.commit_simulated", str(shards)]
    env = {**os.environ, "PYTHONPATH": _HERE}
    done = subprocess.run(command, env=env, cwd=_HERE, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    return Took(**json.loads(done.stdout.splitlines()[-1]))


def _resumed(records: int, runs: int) -> list[float]:
    """Done-records read a second from the local S3 server, as a killed run leaves them: each an
    object, and all but the last half pack also packed.
    """
    with _s3():
        dataset = Dataset(f"s3://{s3.BUCKET}/bench")
        published = [record("run", f"{number:05d}") for number in range(records)]
        with ThreadPoolExecutor(16) as writers:
            list(writers.map(dataset.write_done, published))
        for start in range(0, records - _PACK // 2, _PACK):
            pack = published[start : min(start + _PACK, records - _PACK // 2)]
            dataset.write_pack("run", "bench", pack)
        return [_read_per_s(dataset, records) for _ in range(runs)]


def _read_per_s(dataset: Dataset, records: int) -> float:
    began = time.perf_counter()
    found = sum(1 for _ in dataset.done_records("run"))
    assert found == records
    return found / (time.perf_counter() - began)


@contextmanager
def _s3() -> Iterator[None]:
    """The demo's S3 server, which this process uses meanwhile."""
    folder = Path(tempfile.mkdtemp(prefix="graphs-bench-"))
    before = dict(os.environ)
    try:
        stack.prepare(folder)
        os.environ.update(s3.start(folder, stack.base_env()).env)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        processes.end(folder)
        shutil.rmtree(folder, ignore_errors=True)
