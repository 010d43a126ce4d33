"""How Ray Data was tuned by hand, and how we are set: ``python -m benchmarks.offline.tuning``.

Prints rows a second of every configuration in :data:`TRIED`, medians of three rounds in turn.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

from benchmarks.offline.contestants import Job
from benchmarks.offline.place import place
from benchmarks.offline.race import Finish, finish
from benchmarks.offline.tracks import track

_MIB = 1024**2

Knobs = dict[str, Any]

TRIED: dict[str, dict[str, Knobs]] = {
    "cpu": {
        "defaults": {},
        "blocks=2": {"blocks": 2},
        "blocks=4": {"blocks": 4},
        "blocks=8": {"blocks": 8},
        "blocks=32": {"blocks": 32},
        "blocks=64": {"blocks": 64},
        "32 MiB blocks": {"context": {"target_max_block_size": 32 * _MIB}},
        "512 MiB blocks": {"context": {"target_max_block_size": 512 * _MIB}},
        "8 blocks of 1 GiB": {"blocks": 8, "context": {"target_max_block_size": 1024 * _MIB}},
        "preserve order": {"context": {"preserve_order": True}},
        "concurrency=2": {"read_concurrency": 2, "write_concurrency": 2},
        "batches of 100k": {"rows": 100_000},
    },
    "model": {
        "defaults": {},
        "batches of 16k": {"model_rows": 16_384},
        "batches of 4k": {"model_rows": 4096},
        "whole blocks": {"model_rows": None},
        "whole blocks, 16 blocks": {"model_rows": None, "blocks": 16},
        "whole blocks, 32 blocks": {"model_rows": None, "blocks": 32},
        "two actors": {"actors": 2, "actor_cpus": 0.5, "model_rows": 4096},
        "half a CPU": {"actor_cpus": 0.5, "model_rows": 4096, "in_flight": 4},
        "4 in flight": {"model_rows": 4096, "in_flight": 4, "blocks": 32},
        "32 MiB blocks": {"model_rows": 4096, "context": {"target_max_block_size": 32 * _MIB}},
    },
    "small_files": {
        "defaults": {},
        "blocks=4": {"blocks": 4},
        "blocks=8": {"blocks": 8},
        "blocks=32": {"blocks": 32},
        "blocks=100": {"blocks": 100},
        "blocks=8, files of 100k": {"blocks": 8, "file_rows": 100_000},
    },
}
"""Configurations of Ray Data, by workload; arguments of ``by_ray_data.tuned``."""

BEST: dict[str, Knobs] = {
    "cpu": {"blocks": 2},
    "model": {"model_rows": 4096, "context": {"target_max_block_size": 32 * _MIB}},
    "small_files": {},
}
"""The best of them on two cores."""

PROFILES: dict[str, Knobs] = {
    "cpu": {"shard_rows": 400_000},
    "model": {"shard_rows": 400_000, "nodes": {"Perceptron": {"batch_rows": 4096}}},
    "small_files": {},
}
"""Our profile: the defaults, with larger shards where a row is cheap, and the model's batches as
large as the tuned opponent's."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.offline.tuning")
    parser.add_argument("workload", choices=TRIED)
    parser.add_argument("--rows", type=int, default=3_200_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    computed = "model" if options.workload == "model" else "cpu"
    files = options.rows // 270 if options.workload == "small_files" else 8
    found: dict[str, list[Finish]] = {name: [] for name in TRIED[options.workload]}
    with place() as here:
        one = track(here, computed, options.rows, files)
        for _ in range(options.rounds):
            for name, knobs in TRIED[options.workload].items():
                job = Job("tuned", computed, one.uri, f"{here.folder}/out/tuned", knobs)
                found[name].append(finish(here, job, one.rows))
                last = found[name][-1]
                print(
                    f"{name:28} {last.rows_per_s:12,.0f} rows/s {last.cpu_s:8.1f} CPU s", flush=True
                )
    print("\nmedians")
    for name, runs in found.items():
        rate = statistics.median(one.rows_per_s for one in runs)
        cpu_s = statistics.median(one.cpu_s for one in runs)
        print(f"{name:28} {rate:12,.0f} rows/s {cpu_s:8.1f} CPU s")


if __name__ == "__main__":
    main()
