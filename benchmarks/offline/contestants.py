"""One run of one contestant, in a process of its own: ``python -m benchmarks.offline.contestants``.

A job comes as JSON in the first argument, what it came to leaves as one JSON line. Time counts
from when the libraries are imported to when the output is complete: joining Ray and starting
workers are in it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.offline import by_pyarrow, by_ray_data
from benchmarks.offline.workloads import GROUP_ROWS, LEVEL


@dataclass(frozen=True)
class Job:
    """What to do."""

    who: str
    workload: str
    input: str
    """Folder of parquet files, ``s3://…`` or a local path."""
    output: str
    knobs: dict[str, Any] = field(default_factory=dict)
    """Of who is tuned; for us, the profile."""


def ours(job: Job) -> None:
    from graphs.runtimes.ray_data import run
    from graphs.spec import Input, ParquetSink, RunSpec

    sink = ParquetSink(row_group_rows=GROUP_ROWS, compression_level=LEVEL)

    run(
        RunSpec(
            graph=f"benchmarks.offline.workloads:{job.workload}",
            input=Input(uri=job.input),
            output=job.output,
            partition_key="all",
            profile=job.knobs,
            sink=sink,
        ),
        attempt="bench",
    )


CONTESTANTS = {
    "ours": ours,
    "documented": by_ray_data.documented,
    "tuned": by_ray_data.tuned,
    "pyarrow_1p": by_pyarrow.one_process,
    "pyarrow_2p": by_pyarrow.two_processes,
    "pyarrow_2p_tuned": by_pyarrow.two_processes_tuned,
}


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    if not job.who.startswith("pyarrow"):
        import ray.data  # noqa: F401  (everyone on Ray needs it, so its import is not timed)
    began = time.perf_counter()
    CONTESTANTS[job.who](job)
    seconds = time.perf_counter() - began
    print(json.dumps({**asdict(job), "seconds": seconds}), flush=True)
    os._exit(0)  # what libraries do at exit is nobody's work


if __name__ == "__main__":
    main()
