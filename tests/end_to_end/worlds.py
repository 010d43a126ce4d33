"""What the end-to-end tests set up and look at: input, jobs, done-records, the live route."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq

from demo.airflow import Airflow
from demo.airflow_api import DagRun, wait_until
from demo.ray_cluster import RayCluster
from graphs.spec import Release, RunResult
from graphs.storage.aliases import Registry
from graphs.storage.objects import Store
from graphs.storage.snapshots import Dataset
from tests.end_to_end.trial import WEIGHTS

FILES, ROWS_A_FILE = 4, 25
RUN_WITHIN_S = 180.0


def restore_weights() -> None:
    """Put the artifact of the trial graphs in place as it was when versions were made."""
    WEIGHTS.parent.mkdir(parents=True, exist_ok=True)
    WEIGHTS.write_text(json.dumps({"factor": 1.0}))


def tamper_with_weights() -> None:
    """Change the artifact where it lies."""
    WEIGHTS.write_text(json.dumps({"factor": 0.5}))


@dataclass(frozen=True)
class World:
    """A lake, and the servers that work on it."""

    lake: str
    airflow: Airflow
    ray: RayCluster

    def write_partition(self, partition: str, *, flag: Path | None = None) -> list[str]:
        """Write an input partition; the third file's shard waits for a flag. Gives the keys."""
        store = Store.open(f"{self.lake}/in")
        keys = []
        for file in range(FILES):
            ids = [f"{partition}-{file}-{row}" for row in range(ROWS_A_FILE)]
            keys += ids
            waits = [
                str(flag) if flag and file == 2 and row == 0 else None for row in range(len(ids))
            ]
            table = pa.table(
                {
                    "id": ids,
                    "number": list(range(ROWS_A_FILE)),
                    "wait_for": pa.array(waits, pa.string()),
                }
            )
            sink = io.BytesIO()
            pq.write_table(table, sink)
            store.put(f"part={partition}/{file}.parquet", sink.getvalue())
        return keys

    def start(self, dag_id: str, partition: str, graph: str = "trial") -> DagRun:
        """Start a run through the scheduler."""
        self.airflow.api.await_dag(dag_id)
        self.airflow.api.unpause(dag_id)
        conf = {"lake": self.lake, "partition": partition, "graph": graph}
        return self.airflow.api.trigger(dag_id, conf=conf)

    def finish(self, run: DagRun) -> DagRun:
        """Wait until a run has ended, either way."""
        return self.airflow.api.await_run(run.dag_id, run.run_id, within_s=RUN_WITHIN_S)

    def result(self, run: DagRun) -> RunResult:
        """What the ``score`` task returned."""
        return RunResult.model_validate(self.airflow.api.xcom(run.dag_id, run.run_id, "score"))

    def done_records(self) -> list[dict[str, Any]]:
        """The done-records of every run so far."""
        store = Store.open(f"{self.lake}/out")
        return [json.loads(store.read(o.path)) for o in store.list("runs") if "/done/" in o.path]

    def await_done_records(self, count: int) -> None:
        """Wait until some shards are done."""
        wait_until(
            lambda: len(self.done_records()) >= count,
            f"{count} shards to be done",
            within_s=RUN_WITHIN_S,
            seen=self.done_records,
        )

    def jobs_of(self, run: DagRun) -> list[dict[str, Any]]:
        """The Ray jobs that were submitted for a DAG run."""
        jobs = self.ray.get("/api/jobs/").json()
        return [job for job in jobs if (job["metadata"] or {}).get("airflow_run_id") == run.run_id]

    def snapshot_keys(self, partition: str) -> Counter[str]:
        """How often each key is in the committed snapshot."""
        dataset = Dataset(f"{self.lake}/out")
        found = dataset.read_manifest(partition)
        assert found is not None
        return Counter(dataset.read_snapshot(found[0]).column("id").to_pylist())

    def release(self) -> Release | None:
        """The current release of the graph."""
        found = Registry(f"{self.lake}/registry").read_release("trial")
        return found[0] if found else None

    def champion(self) -> str | None:
        """The version that the alias names."""
        found = Registry(f"{self.lake}/registry").read_alias("trial", "champion")
        return found[0].version if found else None

    def ask(self, number: int) -> httpx.Response:
        """Ask the live route."""
        row = {"id": "asked", "number": number, "wait_for": None}
        return httpx.post(f"{self.ray.serve_url}/trial", json=row, timeout=30)
