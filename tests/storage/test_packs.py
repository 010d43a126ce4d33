"""Done-records are read back completely and each once, however they are packed."""

from __future__ import annotations

import itertools
import logging
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from graphs.spec import ColumnStatistics, Counts, DataFile, DoneRecord
from graphs.storage.layout import packs_folder
from graphs.storage.packs import decode_pack, encode_pack, in_order
from graphs.storage.snapshots import Dataset
from tests.storage import servers


def done(number: int, attempt: str = "a") -> DoneRecord:
    return DoneRecord(
        run_key="r1",
        shard=f"{number:05d}",
        attempt=attempt,
        files=(DataFile(path=f"snapshots/p/r1/{number:05d}-{attempt}.parquet", rows=9, bytes=99),),
        counts=Counts(rows_in=10, rows_out=9, rejected={"parse": 1}),
        statistics={
            "score": ColumnStatistics(type="double", count=9, nulls=0, maximum=float("inf"))
        },
    )


def publish(dataset: Dataset, count: int) -> list[DoneRecord]:
    with ThreadPoolExecutor(16) as writers:
        return list(writers.map(lambda n: dataset.write_done(done(n)), range(count)))


def by_shard(dataset: Dataset) -> list[DoneRecord]:
    return sorted(dataset.done_records("r1"), key=lambda record: record.shard)


def test_done_records_are_all_read_beyond_one_page_of_a_listing(root: str) -> None:
    dataset = Dataset(root)
    records = publish(dataset, 1005)
    assert by_shard(dataset) == records


def test_a_shard_is_read_once_however_many_packs_hold_it(root: str) -> None:
    dataset = Dataset(root)
    records = publish(dataset, 30)
    dataset.write_pack("r1", "first", records[:12])
    dataset.write_pack("r1", "second", records[8:20])
    dataset.write_pack("r1", "second", records[10:11])
    assert by_shard(dataset) == records


@pytest.mark.server
def test_packed_records_cost_no_request_of_their_own(
    moto: str, use_s3: Callable[[str], None]
) -> None:
    # Given 50 done-records, 45 of them packed in attempts' two packs
    uri = f"s3://lake/{uuid.uuid4().hex}"
    use_s3(moto)
    records = publish(Dataset(uri), 50)
    Dataset(uri).write_pack("r1", "first", records[:20])
    Dataset(uri).write_pack("r1", "second", records[20:45])
    seen = Counter[str]()

    def note(method: str, path: str) -> bool:
        seen[path.split("?")[0].rpartition("/")[0].rpartition("/")[2]] += 1
        return False

    # When they are read through a proxy that counts
    with servers.proxy(moto, block=note) as counting:
        use_s3(counting)
        assert by_shard(Dataset(uri)) == records
    # Then only the packs and the other five were
    assert (seen["packs"], seen["done"]) == (2, 5)


def test_a_damaged_pack_costs_time_and_no_record(
    root: str, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = Dataset(root)
    records = publish(dataset, 20)
    good = encode_pack(records[:10])
    for name, content in {
        "cut": good[: len(good) // 2],
        "other": b"not a pack",
        "newer": encode_pack([records[3].model_copy(update={"format": 99})]),
    }.items():
        dataset.store.put(f"{packs_folder('r1')}/{name}.jsonl.zst", content)
    with caplog.at_level(logging.WARNING):
        assert by_shard(dataset) == records
    assert sum("is no pack" in line for line in caplog.messages) == 3


def test_a_pack_keeps_its_records_exactly() -> None:
    records = [done(number) for number in range(100)]
    assert list(decode_pack(encode_pack(records), "here")) == records


def test_results_come_in_order_with_a_bounded_number_ahead() -> None:
    begun, bound = itertools.count(1), 4
    high = 0
    taken = 0
    lock = threading.Lock()

    def read(number: int) -> int:
        nonlocal high
        with lock:
            high = max(high, next(begun) - taken)
        return number * 10

    answers = []
    for answer in in_order(read, range(50), bound):
        with lock:
            taken += 1
        answers.append(answer)
    assert answers == [number * 10 for number in range(50)]
    assert high <= bound + 1


def test_an_error_while_reading_reaches_the_reader() -> None:
    def read(number: int) -> int:
        if number == 7:
            raise ValueError("seven")
        return number

    with pytest.raises(ValueError, match="seven"):
        list(in_order(read, range(50), 4))
