"""Done-records are read back completely and each once, however they are packed."""

from __future__ import annotations

import itertools
import logging
import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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


@pytest.mark.parametrize("packed", [range(9), (0, 1, 2, 4, 8), (1, 2, 3), (0,), (8,), range(10)])
def test_no_record_is_overlooked_whichever_are_packed(root: str, packed: Sequence[int]) -> None:
    dataset = Dataset(root)
    records = publish(dataset, 10)
    dataset.write_pack("r1", "a", [records[number] for number in packed])
    assert by_shard(dataset) == records


@pytest.mark.server
def test_packed_records_are_neither_read_nor_listed_one_by_one(
    moto: str, use_s3: Callable[[str], None]
) -> None:
    # Given 2,010 done-records, of which all but two of the last are packed, some as JSON
    uri = f"s3://lake/{uuid.uuid4().hex}"
    use_s3(moto)
    records = publish(Dataset(uri), 2010)
    Dataset(uri).write_pack("r1", "first", records[:1000])
    Dataset(uri).write_pack(
        "r1", "second", [r.model_dump_json().encode() for r in records[1000:2003]]
    )
    Dataset(uri).write_pack("r1", "second", records[2005:])
    asked: list[str] = []

    def note(method: str, path: str) -> bool:
        asked.append(path)
        return False

    # When they are read through a proxy that looks on
    with servers.proxy(moto, block=note) as seen:
        use_s3(seen)
        assert by_shard(Dataset(uri)) == records
    # Then only two were read one by one, and one page was listed of three
    assert sum("/done/" in path and "list-type" not in path for path in asked) == 2
    assert sum("list-type" in path for path in asked) == 2  # of packs, of done-records


def test_who_resumes_packs_for_the_next_one(root: str) -> None:
    # Given done-records that were packed in part when their attempt was killed
    dataset = Dataset(root)
    records = publish(dataset, 25)
    dataset.write_pack("r1", "killed", records[:7])
    # When the next attempt reads them
    assert len(list(dataset.done_records("r1", repack_as="next"))) == 25
    # Then it leaves the rest in a pack of its own, and there is nothing more to pack
    packs = [info.path for info in dataset.store.list(packs_folder("r1"))]
    (new,) = [path for path in packs if "/next-" in path]
    assert list(decode_pack(dataset.store.read(new), new)) == records[7:]
    assert len(list(dataset.done_records("r1", repack_as="third"))) == 25
    assert [info.path for info in dataset.store.list(packs_folder("r1"))] == packs


def test_reading_alone_writes_nothing(root: str) -> None:
    dataset = Dataset(root)
    publish(dataset, 3)
    assert len(list(dataset.done_records("r1"))) == 3
    assert list(dataset.store.list(packs_folder("r1"))) == []


def test_a_pack_that_cannot_be_written_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = Dataset(str(tmp_path))
    records = publish(dataset, 3)
    (tmp_path / packs_folder("r1")).write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        assert list(dataset.done_records("r1", repack_as="a")) == records
    assert "a pack of done-records could not be written" in caplog.text


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
