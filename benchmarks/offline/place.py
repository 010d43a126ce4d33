"""Where the races are run: a Ray of its own, a local S3, and a folder that is removed."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyarrow import fs

from benchmarks.offline.processes import Watch, busy_workers, family, workers
from demo import processes, s3, stack
from demo.ports import HOST, free_block, free_ports
from demo.processes import Process
from demo.ray_cluster import LOOPBACK
from demo.s3 import BUCKET, REGION, S3

OBJECT_STORE_BYTES = 4 * 1024**3
"""What Ray itself would take of a machine of 16 GiB, and more than anyone here fills."""
_HERE = str(Path(__file__).parents[2])
"""Everyone imports what is measured from where this module was imported from."""
_CORES = os.cpu_count() or 1


@dataclass(frozen=True)
class Place:
    """A folder, and the servers that everyone uses."""

    folder: Path
    ray: Process
    ray_address: str
    s3: S3

    @property
    def env(self) -> dict[str, str]:
        """Environment of everyone who takes part."""
        return {
            **stack.base_env(),
            **self.s3.env,
            **LOOPBACK,
            "PYTHONPATH": _HERE,
            "RAY_ADDRESS": self.ray_address,
            "RAY_AUTH_MODE": "disabled",
            "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
        }

    def free_bytes(self) -> int:
        """Bytes that the disk still takes."""
        return shutil.disk_usage(self.folder).free

    def root(self, near: str) -> str:
        """Where outputs go: where the input lies."""
        return f"s3://{BUCKET}/bench" if near.startswith("s3://") else str(self.folder)

    def filesystem(self, uri: str) -> tuple[fs.FileSystem, str]:
        """The file system of a URI, and the path in it."""
        if not uri.startswith("s3://"):
            return fs.LocalFileSystem(), uri
        store = fs.S3FileSystem(
            access_key=self.s3.access_key_id,
            secret_key=self.s3.secret_access_key,
            endpoint_override=self.s3.url,
            region=REGION,
        )
        return store, uri.removeprefix("s3://")

    def watching(self, driver: int) -> Watch:
        """Memory and CPU of a driver, its children and the workers of the cluster."""
        return Watch(lambda: [*family(driver), *workers(self.ray.members())])

    def await_idle(self) -> None:
        """Waits until the workers of drivers that are gone are gone too, for some seconds."""
        deadline = time.monotonic() + 10
        while busy_workers(self.ray.members()) and time.monotonic() < deadline:
            time.sleep(0.1)


@contextmanager
def place() -> Iterator[Place]:
    """Starts the servers in a temporary folder; ends them and removes it."""
    folder = Path(tempfile.mkdtemp(prefix="graphs-bench-"))
    try:
        stack.prepare(folder)
        store = s3.start(folder, stack.base_env())
        ray, address = _start_ray(folder, {**stack.base_env(), **store.env})
        yield Place(folder, ray, address, store)
    finally:
        processes.end(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _start_ray(folder: Path, env: dict[str, str]) -> tuple[Process, str]:
    """One node with as many CPUs as the machine has cores, no dashboard, no token."""
    gcs, *others = free_ports(6)
    first, last = free_block(400)
    options = {
        "port": gcs,
        "dashboard-agent-listen-port": others[0],
        "dashboard-agent-grpc-port": others[1],
        "runtime-env-agent-port": others[2],
        "node-manager-port": others[3],
        "object-manager-port": others[4],
        "min-worker-port": first,
        "max-worker-port": last,
        "node-ip-address": HOST,
        "num-cpus": _CORES,
        "object-store-memory": OBJECT_STORE_BYTES,
        "temp-dir": folder / "ray",
        "include-dashboard": "false",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", *flags]
    settings = {**LOOPBACK, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    process = processes.start("ray", command, {**env, **settings}, folder)
    log = Path(process.log)
    processes.await_ready(process, lambda: "Ray runtime started" in log.read_text(), within_s=90)
    return process, f"{HOST}:{gcs}"
