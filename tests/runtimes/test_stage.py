"""What one worker does to the store, seen from outside while the store misbehaves."""

from __future__ import annotations

import uuid

import pyarrow as pa
import pytest

from graphs.authoring import load_graph
from graphs.compiler import compile
from graphs.errors import StorageError
from graphs.runtimes.ray_data import travel
from graphs.runtimes.ray_data.stage import StageWorker
from graphs.runtimes.ray_data.work import Work
from graphs.spec import DoneRecord, Input, Shard
from graphs.storage.inputs import list_input, plan_shards
from graphs.storage.objects import Store
from graphs.storage.parquet import encode_table
from graphs.storage.snapshots import Dataset
from tests.runtimes import scored
from tests.storage import servers

pytestmark = pytest.mark.server


@pytest.fixture
def place(moto: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {
        "AWS_ENDPOINT_URL": moto,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    uri = f"s3://lake/{uuid.uuid4().hex}"
    table = pa.table(
        {"id": ["a", "b"], "number": [1, -2], "wait_for": ["", ""]}, schema=pa.schema(scored.INPUTS)
    )
    Store.open(f"{uri}/input").put("a.parquet", encode_table(table))
    return uri


def work(place: str, attempt: str = "try") -> tuple[Work, Shard]:
    input = Input(uri=f"{place}/input")
    plan = compile(load_graph("tests.runtimes.scored:plain"), "offline")
    (shard,) = plan_shards(
        input,
        list_input(input, "p"),
        shard_rows=10,
        shard_bytes=10**9,
        check=lambda schema, where: None,
        bad_file="fail",
    )
    return Work(plan, 0, input, f"{place}/output", "p", "run", attempt), shard


def carry_out(place: str, attempt: str = "try", tries: int = 0) -> DoneRecord:
    job, shard = work(place, attempt)
    (answer,) = StageWorker(job).run(travel.waiting_row(shard), tries)
    return DoneRecord.model_validate_json(answer.column("done")[0].as_py())


def stored(place: str) -> set[str]:
    return {info.path for info in Store.open(f"{place}/output").list()}


@pytest.mark.parametrize("folder", ["/snapshots/", "/rejected/"])
def test_no_done_record_is_published_before_its_files_are_written(
    moto: str, place: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with servers.proxy(moto, block=lambda m, path: m == "PUT" and folder in path) as broken:
        monkeypatch.setenv("AWS_ENDPOINT_URL", broken)
        with pytest.raises(StorageError):
            carry_out(place)
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    assert [*Dataset(f"{place}/output").done_records("run")] == []


def test_a_lost_response_to_the_done_record_does_not_cost_its_files(
    moto: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with servers.proxy(moto, cut=lambda m, path: m == "PUT" and "/done/" in path) as lossy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", lossy)
        record = carry_out(place)
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    assert [*Dataset(f"{place}/output").done_records("run")] == [record]
    assert {file.path for file in (*record.files, *record.rejected_files)} < stored(place)


def test_a_retried_shard_that_is_done_is_passed_on_without_reading_its_input(place: str) -> None:
    first = carry_out(place, "first")
    job, shard = work(place, "second")
    Store.open(f"{place}/input").delete("a.parquet")
    (answer,) = StageWorker(job).run(travel.waiting_row(shard), tries=1)
    assert DoneRecord.model_validate_json(answer.column("done")[0].as_py()) == first


def test_an_attempt_that_loses_takes_its_own_files_back_and_no_others(
    moto: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a rival who publishes just after this attempt looked and found the shard pending
    rival: list[DoneRecord] = []

    def interrupt(method: str, path: str) -> bool:
        if method == "PUT" and "/snapshots/" in path and not rival:
            rival.append(None)  # type: ignore[arg-type]
            monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
            rival[0] = carry_out(place, "rival")
        return False

    with servers.proxy(moto, block=interrupt) as busy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", busy)
        record = carry_out(place, "slow")
    assert record == rival[0]
    mine = {path for path in stored(place) if "slow" in path}
    assert mine == set()
    assert {file.path for file in (*record.files, *record.rejected_files)} < stored(place)
