"""A dataset with a committed snapshot and a registry, and a route to ask: what promotions need."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from graphs.authoring import load_graph
from graphs.ir import version
from graphs.runtimes.inline import run
from graphs.spec import (
    Counts,
    DataFile,
    DoneRecord,
    Input,
    Manifest,
    NoNulls,
    ParquetSink,
    PromotionSpec,
    Report,
    ShardPlan,
    Verdict,
)
from graphs.storage.aliases import Registry
from graphs.storage.inputs import Source, list_input, plan_shards, run_key
from graphs.storage.parquet import encode_table
from graphs.storage.snapshots import Dataset, data_path

# Before the graphs are imported, here and (inherited) in the cluster's workers.
WEIGHTS = Path(os.environ.setdefault("GRAPHS_TEST_WEIGHTS", f"{tempfile.mkdtemp()}/weights.json"))
atexit.register(shutil.rmtree, WEIGHTS.parent, ignore_errors=True)
NEXT_WEIGHTS = WEIGHTS.with_name("next.json")
for artifact in (WEIGHTS, NEXT_WEIGHTS):
    artifact.write_text('{"factor": 0.1}')

CHAMPION = "tests.promotion.praise:praise"
NEXT = "tests.promotion.praise_next:praise"
APART = "tests.promotion.praise_apart:praise"


@dataclass(frozen=True)
class World:
    """A folder that holds the input, one dataset and one registry."""

    root: Path
    serve_address: str

    @property
    def registry(self) -> Registry:
        return Registry(str(self.root / "registry"))

    @property
    def dataset(self) -> Dataset:
        return Dataset(str(self.root / "dataset"))

    @property
    def url(self) -> str:
        return f"{self.serve_address}/praise"

    def spec(
        self, graph: str = CHAMPION, partition_key: str = "day-1", **more: Any
    ) -> PromotionSpec:
        return PromotionSpec(
            graph=graph,
            dataset=str(self.root / "dataset"),
            partition_key=partition_key,
            registry=str(self.root / "registry"),
            serve_address=self.serve_address,
            **{"sample": 40, **more},
        )

    def commit(
        self,
        graph: str = CHAMPION,
        partition_key: str = "day-1",
        *,
        rows: int = 60,
        files: int = 2,
        passed: bool = True,
    ) -> Manifest:
        """Write some input, score it in this process and commit it as an offline run would."""
        folder = self.root / "input" / partition_key
        folder.mkdir(parents=True, exist_ok=True)
        for part in range(files):
            ids = range(part, rows, files)
            texts = ["word " * (i % 7 + 1) for i in ids]
            columns = {"id": [f"k{i}" for i in ids], "text": texts, "note": [""] * len(ids)}
            pq.write_table(pa.table(columns), folder / f"{part}.parquet")
        return self.score(graph, partition_key, passed=passed)

    def score(
        self, graph: str = CHAMPION, partition_key: str = "day-1", *, passed: bool = True
    ) -> Manifest:
        """Score the input that is there, one shard for each file."""
        loaded = load_graph(graph)
        made = version(loaded)
        input = Input(uri=str(self.root / "input" / partition_key))
        objects = list_input(input, partition_key)
        key = run_key(made, partition_key, input, objects, {}, ParquetSink())
        shards = plan_shards(
            input,
            objects,
            shard_rows=1,
            shard_bytes=1 << 30,
            check=lambda *_: None,
            bad_file="fail",
        )
        plan = ShardPlan(
            run_key=key,
            graph=loaded.name,
            version=made,
            partition_key=partition_key,
            input=input,
            shards=len(shards),
            rows=shards.rows,
            bytes=shards.bytes,
            shards_at="",
        )
        self.dataset.write_plan(plan, shards)
        source = Source.open(input)
        schema = loaded.input_schema
        data = []
        read = 0
        for shard in map(shards.__getitem__, range(len(shards))):
            rows_in = source.read(shard, schema.names, schema, "fail").table
            read += rows_in.num_rows
            out = run(loaded, rows_in).table
            encoded = encode_table(out)
            file = data_path(partition_key, key, shard.id, "a1")
            self.dataset.store.put(file, encoded)
            data.append(DataFile(path=file, rows=out.num_rows, bytes=len(encoded)))
            self.dataset.write_done(
                DoneRecord(
                    run_key=key,
                    shard=shard.id,
                    attempt="a1",
                    files=(data[-1],),
                    counts=Counts(rows_in=rows_in.num_rows, rows_out=out.num_rows),
                    statistics={},
                    seconds={},
                )
            )
        counts = Counts(rows_in=read, rows_out=sum(file.rows for file in data))
        now = datetime.now(UTC)
        verdict = Verdict(
            expectation=NoNulls(column="score"),
            passed=passed,
            observed="no null in score" if passed else "3 nulls in score",
        )
        common = {"run_key": key, "graph": loaded.name, "version": made, "counts": counts}
        common |= {"partition_key": partition_key, "statistics": {}}
        self.dataset.write_report(
            Report(**common, verdicts=(verdict,), made_at=now), "<p>report</p>"
        )
        manifest = Manifest(**common, key="id", input=input, files=tuple(data), committed_at=now)
        found = self.dataset.read_manifest(partition_key)
        return self.dataset.commit(manifest, found[1] if found else None)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Any
    json: Any


def ask(url: str, body: Any = None, *, raw: bytes | None = None) -> Answer:
    """POST JSON (or raw bytes); GET when there is no body."""
    data = raw if raw is not None or body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return Answer(response.status, response.headers, json.loads(response.read()))
    except urllib.error.HTTPError as error:
        with error:
            is_json = error.headers.get_content_type() == "application/json"
            return Answer(error.code, error.headers, json.loads(error.read()) if is_json else None)


def row(id: str = "q", text: str = "one two three") -> dict[str, Any]:
    return {"id": id, "text": text, "note": ""}


class Crowd:
    """Clients that ask a route without a pause and remember every version and every failure."""

    def __init__(self, url: str, clients: int = 6, rows: list[Any] | None = None) -> None:
        self._url = url
        self._rows = rows or [row("a"), row("b")]
        self._stop = threading.Event()
        self._clients = [threading.Thread(target=self._ask) for _ in range(clients)]
        self.versions: dict[str, int] = {}
        self.failures: list[str] = []

    def _ask(self) -> None:
        while not self._stop.is_set():
            try:
                answer = ask(self._url, self._rows)
            except OSError as error:
                self.failures.append(repr(error))
                continue
            if answer.status != 200:
                self.failures.append(f"{answer.status} {answer.json}")
            version = answer.headers["X-Graph-Version"]
            self.versions[version] = self.versions.get(version, 0) + 1

    def __enter__(self) -> Crowd:
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for client in self._clients:
            client.join()
