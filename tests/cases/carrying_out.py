"""The rows of a case through each runtime: in this process, on Ray Data, on Ray Serve."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from graphs import run
from graphs.compiler import compile
from graphs.runtimes.inline import run_plan
from graphs.runtimes.ray_serve.wire import ERROR, FILTERED, Wire
from graphs.spec import ErrorBudget, Input, RunSpec
from graphs.storage.objects import Store
from graphs.storage.parquet import encode_table
from graphs.storage.snapshots import Dataset
from tests.cases.case import Case, Outcome, exact

Rejected = tuple[int, str, str, str]


def inline(case: Case, batch_rows: int | None = None) -> Outcome:
    """In this process, in batches of some rows."""
    if batch_rows is None:
        computed = run(case.graph, case.table, parameters=case.parameters)
    else:
        plan = compile(case.graph.graph, "inline", {"batch_rows": batch_rows})
        computed = run_plan(plan, case.table, case.parameters)
    rejected = tuple((row.row, row.node, row.error, row.message) for row in computed.rejected)
    return Outcome(computed.table, rejected, computed.filtered)


def on_ray_data(case: Case, folder: Path) -> Outcome:
    """As a run over a folder of two shards; the outcome is what the run left there."""
    from graphs.runtimes import ray_data

    a_shard = max(1, -(-case.table.num_rows // 2))
    Store.open(f"{folder}/input").put("rows.parquet", encode_table(case.table, a_shard))
    result = ray_data.run(
        RunSpec(
            graph=case.ref,
            input=Input(uri=f"{folder}/input"),
            output=f"{folder}/output",
            partition_key="all",
            parameters=dict(case.parameters),
            profile={"shard_rows": a_shard, "workers_max": 1},
            error_budget=ErrorBudget(share=1),
        ),
        attempt="case",
    )
    dataset = Dataset(f"{folder}/output")
    found = dataset.read_manifest("all")
    assert found is not None
    table = dataset.read_rejected(found[0])
    rejected = rejected_rows(case, [] if table is None else table.to_pylist(), a_shard)
    assert result.counts.rejected == dict(Counter(node for _, node, _, _ in rejected))
    return Outcome(dataset.read_snapshot(found[0]), rejected, result.counts.filtered)


def rejected_rows(
    case: Case, rows: Sequence[Mapping[str, Any]], a_shard: int
) -> tuple[Rejected, ...]:
    """Rejected rows as a run keeps them, by their position in the input."""
    keys = case.table.column(case.graph.graph.key).to_pylist()
    found = []
    for row in rows:
        place = int(row["shard"]) * a_shard + row["row"]
        assert exact(row["key"]) == exact(keys[place])
        found.append((place, row["node"], row["error"], row["message"]))
    return tuple(sorted(found))


def on_ray_serve(case: Case, url: str, *, is_asked_alone: bool = True) -> Outcome:
    """As one request for all rows and, to compare answers, one each for the first few."""
    wire = Wire(compile(case.graph.graph, "online").graph)
    refused = _refused(url, wire, case.table)
    asked = [place for place in range(case.table.num_rows) if place not in refused]
    entries = _ask(url, wire, case.table.take(pa.array(asked, pa.int64())))
    assert len(entries) == len(asked)
    for place, entry in list(zip(asked, entries, strict=True))[: 3 * is_asked_alone]:
        _ask_alone(url, wire, case.table.slice(place, 1), entry)
    keys = case.table.column(wire.graph.key).to_pylist()
    rows, rejected, dropped = [], dict(refused), 0
    for place, entry in zip(asked, entries, strict=True):
        if not {ERROR, FILTERED} & entry.keys():
            rows.append(entry)
            continue
        assert exact(entry[wire.graph.key]) == exact(keys[place])
        if told := entry.get(ERROR):
            rejected[place] = (place, told["node"], told["type"], told["message"])
        else:
            dropped += 1
    table = pa.Table.from_pylist(rows, schema=wire.graph.output_schema)
    return Outcome(table, tuple(sorted(rejected.values())), {"": dropped} if dropped else {})


def _refused(url: str, wire: Wire, table: pa.Table) -> dict[int, Rejected]:
    """Rows that a request may not hold at all: those that other runtimes reject at the input."""
    status, body = post(url, wire.write_rows(table))
    if status == 200:
        return {}
    assert status == 422, body
    refused: dict[int, Rejected] = {}
    for problem in json.loads(body)["detail"]:
        _, place, name = problem["loc"]
        assert table.column(name)[place].as_py() is None
        refused.setdefault(place, (place, "input", "NullInput", f"{name!r} is null"))
    return refused


def _ask(url: str, wire: Wire, table: pa.Table) -> list[dict[str, Any]]:
    status, body = post(url, wire.write_rows(table))
    assert status == 200, body
    return wire.read_answers(body)


def _ask_alone(url: str, wire: Wire, row: pa.Table, entry: Mapping[str, Any]) -> None:
    """The answer to a row alone is that to the row in a list."""
    status, body = post(url, wire.write_rows(row)[1:-1])
    if status == 200:
        assert [exact(answer) for answer in wire.read_answers(b"[" + body + b"]")] == [exact(entry)]
    else:
        assert status == 422
        (told,) = json.loads(body)["detail"]
        assert told["ctx"] == {"node": entry[ERROR]["node"], "error": entry[ERROR]["type"]}
        assert told["msg"] == entry[ERROR]["message"]


def post(url: str, body: bytes) -> tuple[int, bytes]:
    """Status and body of the response to a request."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
