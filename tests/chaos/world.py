"""A world of its own for a run that is to be troubled: S3 behind a proxy, a Ray, and drivers."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import psutil
import pyarrow as pa

from demo import ray_cluster, stack
from demo import s3 as s3_component
from demo.ray_cluster import RayCluster
from demo.s3 import S3
from graphs.spec import ErrorBudget, Failure, Input, Outcome, RunResult, RunSpec
from graphs.storage.objects import Store
from graphs.storage.outcomes import read_outcome
from graphs.storage.parquet import encode_table
from tests.chaos import scoring
from tests.chaos.proxy import Proxy

SHARD_ROWS = 20
FIRST = -10
"""The first number; negative ones are rejected."""
PARTITION = "2026-01-01"


class Driver:
    """One attempt at a run, as a process."""

    def __init__(self, command: list[str], env: dict[str, str], outcome: Path, log: Path) -> None:
        self._outcome = outcome
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                command, env=env, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
            )

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def outcome(self) -> RunResult | Failure | None:
        """What it left, once it has ended; ``None`` if it was killed before."""
        self.process.wait()
        found: Outcome | None = read_outcome(str(self._outcome))
        return None if found is None else found.outcome  # type: ignore[return-value]


class World:
    """S3, the proxy in front of it, and a Ray cluster whose workers see S3 through it."""

    def __init__(self, folder: Path, *, seed: int = 0, latency_s: float = 0.0) -> None:
        self.folder = folder
        stack.prepare(folder)
        self.marks = folder / "marks"
        self.marks.mkdir()
        self.pace(0.0)
        self._s3: S3 = s3_component.start(folder, stack.base_env())
        self.proxy = Proxy(self._s3.url, seed=seed, latency_s=latency_s)
        self._attempts = 0
        self._drivers: list[Driver] = []
        self.ray: RayCluster
        self.start_cluster()

    # --- S3 ---

    @contextlib.contextmanager
    def within(self) -> Iterator[None]:
        """Lets this process reach S3, past the proxy."""
        before = dict(os.environ)
        os.environ.update(self._s3.env)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    @property
    def env(self) -> dict[str, str]:
        """For a process that reaches S3 through the proxy."""
        return {
            **stack.base_env(),
            **self._s3.env,
            "AWS_ENDPOINT_URL": self.proxy.url,
            "CHAOS_MARKS": str(self.marks),
        }

    def puts_of(self, uri: str) -> int:
        """How often an object was put, through the proxy, since the world began."""
        return self.proxy.written[f"/{uri.removeprefix('s3://')}"]

    # --- Ray ---

    def start_cluster(self) -> None:
        """Starts a cluster; for the second time, a new one after :meth:`kill_cluster`."""
        self.ray = ray_cluster.start(self.folder, self.env)

    def kill_cluster(self) -> None:
        """SIGKILL to every process of the cluster at once, and to the drivers that run on it."""
        reaper = self.ray.process.reaper()
        doomed = [*self.ray.process.members(), *([reaper] if reaper else [])]
        for process in doomed:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        for driver in self._drivers:
            driver.kill()
        psutil.wait_procs(doomed, timeout=30)
        ray_cluster.remove_temp_folder(self.folder)

    def workers(self, kind: str) -> list[psutil.Process]:
        """The living processes that have computed a node of that kind: ``task`` or ``actor``."""
        return [one for path in self.marks.glob(f"{kind}-*") if (one := _worker(path)) is not None]

    def begun(self) -> list[int]:
        """The first number of every shard that was begun, as often as it was."""
        log = self.marks / "begun"
        return [int(line) for line in log.read_text().splitlines()] if log.exists() else []

    # --- runs ---

    def pace(self, pause_s: float) -> None:
        """How long a node waits over a batch from now on, in seconds."""
        (self.marks / "pace").write_text(str(pause_s))

    def start_driver(self, spec: RunSpec, bug: str = "") -> Driver:
        """Starts an attempt at a run, as Airflow would have Ray do it; optionally with a bug."""
        self._attempts += 1
        name = f"attempt-{self._attempts}"
        outcome = self.folder / f"{name}.json"
        command = [sys.executable, "-m", "tests.chaos.job", bug]
        command += [f'{{"run": {spec.model_dump_json()}}}', f"--outcome={outcome}"]
        command += [f"--owner={name}"]
        env = {**self.env, **self.ray.client_env}
        driver = Driver(command, env, outcome, self.folder / "logs" / "drivers.log")
        self._drivers.append(driver)
        return driver

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for driver in self._drivers:
            driver.kill()
        stack.down(self.folder)
        self.proxy.close()


def _worker(mark: Path) -> psutil.Process | None:
    """The process that a mark was made by, if it lives."""
    with contextlib.suppress(psutil.Error, OSError):
        process = psutil.Process(int(mark.name.partition("-")[2]))
        is_it = process.create_time() < mark.stat().st_mtime + 1
        if is_it and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def await_condition(holds: Callable[[], Any], within_s: float = 120, tick_s: float = 0.05) -> Any:
    """Waits until something is true; gives it.

    Raises:
        TimeoutError: it did not become true.
    """
    deadline = time.monotonic() + within_s
    while not (found := holds()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not after {within_s:.0f} s")
        time.sleep(tick_s)
    return found


def write_input(
    place: str, shards: int, *, gate: Callable[[int], str] = lambda shard: "", per_file: int = 1
) -> range:
    """Writes the input of a run of that many shards; gives its rows' numbers.

    Args:
        place: URI below which ``input`` and ``output`` lie.
        shards: how many; each has :data:`SHARD_ROWS` rows.
        gate: for a shard, the path of a file that it waits for; empty for none.
        per_file: shards of a file, one in each of its row groups.
    """
    numbers = range(FIRST, FIRST + shards * SHARD_ROWS)
    store = Store.open(f"{place}/input/day={PARTITION}")
    for first in range(0, shards, per_file):
        of_file = range(first, min(first + per_file, shards))
        mine = numbers[first * SHARD_ROWS : (of_file[-1] + 1) * SHARD_ROWS]
        gates = [gate(shard) for shard in of_file for _ in range(SHARD_ROWS)]
        columns = {"id": [f"row {n}" for n in mine], "number": list(mine), "gate": gates}
        table = pa.table(columns, schema=pa.schema(scoring.INPUTS))
        store.put(f"{first:05d}.parquet", encode_table(table, SHARD_ROWS))
    return numbers


def spec_of(place: str, graph: str = "scoring", **more: Any) -> RunSpec:
    """The run over that input, whose shards are its row groups."""
    more.setdefault("profile", {"shard_rows": SHARD_ROWS, "shard_bytes": 1, "workers_max": 3})
    return RunSpec(
        graph=f"tests.chaos.scoring:{graph}",
        input=Input(uri=f"{place}/input", partition_by="day"),
        output=f"{place}/output",
        partition_key=PARTITION,
        error_budget=ErrorBudget(share=1),
        **more,
    )


def run_keys(place: str) -> tuple[str, ...]:
    """Every run that was ever planned here."""
    return Store.open(f"{place}/output").folders("runs")


def done_shards(place: str) -> set[tuple[str, str]]:
    """Run key and name of every done-record."""
    store = Store.open(f"{place}/output")
    return {
        (key, info.path.rpartition("/")[2])
        for key in run_keys(place)
        for info in store.list(f"runs/{key}/done")
    }
