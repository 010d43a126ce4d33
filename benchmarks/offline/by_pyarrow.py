"""Plain pyarrow: a script that reads a row group, computes and writes it, until none is left."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from benchmarks.offline.workloads import CODEC, DICTIONARIES, GROUP_ROWS, LEVEL, WORKLOADS

_SMALL_BYTES = 1024**2
"""Files below that are read whole, and many of them are written as one."""

Unit = tuple[str, int | None]
"""A file, and a row group of it or all of them."""


def one_process(job: Any) -> None:
    """One after the other, with as many threads as pyarrow likes."""
    _score(job.workload, job.output, 0, _units(job.input), {})


def two_processes(job: Any) -> None:
    """Every process half of the row groups, each in a file of its own."""
    _in_processes(job, {})


def two_processes_tuned(job: Any) -> None:
    """The same by someone who knows which columns want a dictionary."""
    _in_processes(job, {"use_dictionary": DICTIONARIES})


def _in_processes(job: Any, options: dict[str, Any], count: int = 2) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"  # two processes on two cores
    units = _units(job.input)
    size = -(-len(units) // count)
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(
            target=_score,
            args=(job.workload, job.output, i, units[i * size : (i + 1) * size], options),
        )
        for i in range(count)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        if worker.exitcode:
            raise RuntimeError(f"a process ended with {worker.exitcode}")


def filesystem_of(uri: str) -> tuple[fs.FileSystem, str]:
    """The file system of a URI and the path in it, without a trailing slash."""
    if not uri.startswith("s3://"):
        return fs.LocalFileSystem(), uri.rstrip("/")
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    store = fs.S3FileSystem(
        endpoint_override=endpoint,
        region=os.environ["AWS_REGION"],
        allow_delayed_open=True,  # one request for a small file
    )
    return store, uri.removeprefix("s3://").rstrip("/")


def _units(uri: str) -> list[Unit]:
    store, folder = filesystem_of(uri)
    files = sorted(
        (info for info in store.get_file_info(fs.FileSelector(folder)) if info.is_file),
        key=lambda info: info.path,
    )
    units: list[Unit] = []
    for info in files:
        if info.size < _SMALL_BYTES:
            units.append((info.path, None))
        else:
            groups = pq.read_metadata(info.path, filesystem=store).num_row_groups
            units += [(info.path, group) for group in range(groups)]
    return units


def _score(
    workload: str, output: str, part: int, units: Sequence[Unit], options: dict[str, Any]
) -> None:
    compute = WORKLOADS[workload].by_hand
    source, _ = filesystem_of(units[0][0] if units[0][0].startswith("/") else "s3://")
    sink, folder = filesystem_of(output)
    sink.create_dir(folder)
    writer: pq.ParquetWriter | None = None
    for table in _tables(source, units):
        scored = compute(table)
        if writer is None:
            writer = pq.ParquetWriter(
                f"{folder}/part-{part}.parquet",
                scored.schema,
                filesystem=sink,
                compression=CODEC,
                compression_level=LEVEL,
                **options,
            )
        writer.write_table(scored, row_group_size=GROUP_ROWS)
    if writer is not None:
        writer.close()


def _tables(source: fs.FileSystem, units: Sequence[Unit]) -> Iterator[pa.Table]:
    """Row groups of large files one by one, small files together up to a row group's rows."""
    file, opened = None, ""
    small: list[pa.Table] = []
    for path, group in units:
        if path != opened:
            file, opened = pq.ParquetFile(path, filesystem=source, pre_buffer=True), path
        assert file is not None
        if group is not None:
            yield file.read_row_group(group)
            continue
        small.append(file.read())
        if sum(table.num_rows for table in small) >= GROUP_ROWS:
            yield pa.concat_tables(small)
            small = []
    if small:
        yield pa.concat_tables(small)
