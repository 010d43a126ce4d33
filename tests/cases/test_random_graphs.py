"""Random graphs over random rows: every way of carrying them out gives what a graph means."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from graphs.checks import check
from graphs.ir import Graph
from graphs.planners.inline import plan_inline
from graphs.planners.offline import OfflinePlan, plan_offline
from graphs.profiles import InlineProfile, OfflineProfile
from graphs.rewrites import rewrite
from graphs.runtimes.inline import run_plan
from graphs.runtimes.kernel import Computed
from graphs.runtimes.ray_data import travel
from graphs.runtimes.ray_data.stage import StageWorker
from graphs.runtimes.ray_data.work import Work
from graphs.spec import DoneRecord, Input
from graphs.storage.file_lists import listed, read_rows
from graphs.storage.inputs import list_input, plan_shards
from graphs.storage.objects import Store
from graphs.storage.parquet import encode_table
from graphs.storage.snapshots import Dataset
from tests.cases.authors import random_graph, random_rows
from tests.cases.case import Outcome, exact, table_differences
from tests.cases.reference import Reference, Verdict

VERSION = "0" * 16
A_SHARD = 3


RANDOM = settings(
    max_examples=500,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@RANDOM
@given(data=st.data())
def test_a_random_graph_means_the_same_however_it_is_carried_out(data: st.DataObject) -> None:
    judge_a_random_graph(data)


def judge_a_random_graph(data: st.DataObject) -> None:
    # Given a random graph, run parameters for it, and rows
    made, parameters = random_graph(data.draw)
    table = random_rows(data.draw)
    graph = made.graph
    note(_drawn(graph))
    check(graph, "offline")

    # When it is carried out in this process
    whole = _inline(graph, table, parameters)

    # Then the rows come out that a reading of it row by row says, and none is lost
    assert _reference(graph, table, parameters) == _fates(graph, table, whole)
    dropped = sum(whole.filtered.values())
    assert table.num_rows == whole.table.num_rows + len(whole.rejected) + dropped
    # And neither the size of a batch nor the stages of an offline run change anything
    outcome = Outcome(whole.table, _rejected(whole), whole.filtered)
    for batch_rows in (1, 2):
        part = _inline(graph, table, parameters, batch_rows)
        _assert_same(outcome, Outcome(part.table, _rejected(part), part.filtered))
    with tempfile.TemporaryDirectory() as folder:
        _assert_same(outcome, offline(graph, table, parameters, Path(folder)))


def _inline(
    graph: Graph, table: pa.Table, parameters: Mapping[str, Any], batch_rows: int = 1024
) -> Computed:
    plan = plan_inline(rewrite(graph), VERSION, InlineProfile(batch_rows=batch_rows))
    return run_plan(plan, table, parameters)


def offline(graph: Graph, table: pa.Table, parameters: Mapping[str, Any], folder: Path) -> Outcome:
    """The stages of an offline run one after the other, without a cluster."""
    plan = plan_offline(rewrite(graph), VERSION, OfflineProfile(batch_rows=2))
    Store.open(f"{folder}/input").put("rows.parquet", encode_table(table, A_SHARD))
    input = Input(uri=f"{folder}/input")
    shards = plan_shards(
        input,
        list_input(input, "all"),
        shard_rows=A_SHARD,
        shard_bytes=2**30,
        check=lambda schema, where: None,
        bad_file="fail",
    )
    rows = [travel.waiting_row(shards[position]) for position in range(len(shards))]
    for stage in range(len(plan.stages)):
        worker = StageWorker(_work(plan, stage, input, f"{folder}/output", parameters))
        rows = [done for row in rows for done in worker.run(row, 0)]
    records = [DoneRecord.model_validate_json(row.column("done")[0].as_py()) for row in rows]
    return _published(Dataset(f"{folder}/output"), records)


def _work(
    plan: OfflinePlan, stage: int, input: Input, output: str, parameters: Mapping[str, Any]
) -> Work:
    return Work(
        plan=plan,
        stage=stage,
        input=input,
        output=output,
        partition_key="all",
        run_key="run",
        attempt="try",
        parameters=dict(parameters),
        hopeless_after=None,
    )


def _published(dataset: Dataset, records: Sequence[DoneRecord]) -> Outcome:
    assert all(record.counts.add_up for record in records)
    files = [file for record in records for file in record.files]
    filtered = Counter[str]()
    rejected = []
    for record in records:
        filtered.update(record.counts.filtered)
        for row in _rows_of(dataset, record):
            place = int(row["shard"]) * A_SHARD + row["row"]
            rejected.append((place, row["node"], row["error"], row["message"]))
    table = read_rows(dataset.store, listed(files), None)
    return Outcome(table, tuple(sorted(rejected)), dict(filtered))


def _rows_of(dataset: Dataset, record: DoneRecord) -> list[dict[str, Any]]:
    if not record.rejected_files:
        return []
    table = read_rows(dataset.store, listed(record.rejected_files), None)
    found: list[dict[str, Any]] = table.to_pylist()
    return found


def _rejected(computed: Computed) -> tuple[tuple[int, str, str, str], ...]:
    return tuple((row.row, row.node, row.error, row.message) for row in computed.rejected)


def _assert_same(one: Outcome, other: Outcome) -> None:
    assert table_differences(one.table, other.table) == []
    assert one.rejected == other.rejected
    assert one.filtered == other.filtered


def _reference(
    graph: Graph, table: pa.Table, parameters: Mapping[str, Any]
) -> tuple[list[Any], dict[str, int]]:
    """What must become of each row, and the rows that each filter must drop."""
    reference = Reference(graph, parameters)
    fates, filtered = [], Counter[str]()
    for row in table.to_pylist():
        fate = reference.row(row)
        if not isinstance(fate, Verdict):
            fates.append(exact(fate))
        elif fate.error:
            fates.append((fate.path, fate.error))
        else:
            fates.append("filtered")
            filtered[fate.path] += 1
    return fates, dict(filtered)


def _fates(graph: Graph, table: pa.Table, computed: Computed) -> tuple[list[Any], dict[str, int]]:
    """What became of each row, and the rows that each filter dropped."""
    fates: list[Any] = ["filtered"] * table.num_rows
    for place, row in zip(computed.kept.tolist(), computed.table.to_pylist(), strict=True):
        fates[place] = exact(row)
    for rejected in computed.rejected:
        fates[rejected.row] = (rejected.node, rejected.error)
    return fates, computed.filtered


def _drawn(graph: Graph, margin: str = "") -> str:
    lines = []
    for edge in graph.edges:
        lines.append(f"{margin}{edge.source}.{edge.source_port} → {edge.target}.{edge.target_port}")
    for node in graph.nodes:
        lines.append(f"{margin}{node.name}: {node.kind} {node.ref} {node.parameters}")
        lines += [
            f"{margin}  {label}\n{_drawn(body, margin + '    ')}" for label, body in node.bodies
        ]
    return "\n".join(lines)
