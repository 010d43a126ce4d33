"""Many done-records in one object, so that a resume reads thousands of them a second.

A pack is a cache of done-records that exist as objects of their own and never change; one that
cannot be read is left out, and its records are read one by one. One JSON document a line, zstd.
Airflow workers import this module, so pyarrow is imported only where packs are made or read.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice, takewhile
from typing import TypeVar

from graphs.errors import StorageError
from graphs.spec import DoneRecord
from graphs.storage.layout import done_folder, done_path, new_pack_path, packs_folder
from graphs.storage.objects import Store
from graphs.storage.records import decode

log = logging.getLogger("graphs.run")

T = TypeVar("T")
U = TypeVar("U")

READERS = 16
"""Requests in flight while done-records or files are read; they wait on the network."""

PACK = 1000
"""Done-records of a pack: few enough to lose little, enough to read two thousand a second."""

_PACKS_AHEAD = 4


def encode_pack(records: Iterable[DoneRecord | bytes]) -> bytes:
    """Done-records, or the JSON of some on a line each, as one object."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as lines:
        for record in records:
            lines.write(record if isinstance(record, bytes) else record.model_dump_json().encode())
            lines.write(b"\n")
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def decode_pack(data: bytes, where: str) -> Iterator[DoneRecord]:
    """The done-records of a pack, as far as they can be read.

    Args:
        data: the object's bytes.
        where: the object's URI, named in the log.
    """
    import pyarrow as pa

    try:
        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            lines = stream.read().splitlines()
        for line in lines:
            yield decode(DoneRecord, line, where)
    except (OSError, pa.ArrowException, StorageError) as error:
        log.warning("%s is no pack; its done-records are read one by one (%s)", where, error)


def done_records(store: Store, run_key: str, repack_as: str | None = None) -> Iterator[DoneRecord]:
    """Every done-record of a run, each shard once: packs first, then those that no pack holds.

    Holds a few packs and the names of the done-records, whatever the number of shards. A shard
    that is done while this reads may or may not be among them.

    Args:
        store: the dataset's.
        run_key: which run.
        repack_as: an attempt, to pack what no pack holds, so that the next resume need not read it
            one by one; ``None`` writes nothing.
    """
    packed = set[str]()
    paths = [info.path for info in store.list(packs_folder(run_key))]
    for path, data in in_order(lambda path: (path, store.read(path)), paths, _PACKS_AHEAD):
        for record in decode_pack(data, store.uri_of(path)):
            if record.shard not in packed:
                packed.add(record.shard)
                yield record
    singles = store.list(done_folder(run_key), after=_all_packed_up_to(run_key, packed))
    rest = (info.path for info in singles if _shard(info.path) not in packed)
    found = in_order(lambda path: (path, store.read(path)), rest)
    while some := list(islice(found, PACK)):
        lines = []
        for path, data in some:
            record = decode(DoneRecord, data, store.uri_of(path))
            lines.append(record.model_dump_json().encode())
            yield record
        if repack_as is not None:
            write_pack(store, run_key, repack_as, lines)


def write_pack(
    store: Store, run_key: str, attempt: str, records: Iterable[DoneRecord | bytes]
) -> None:
    """Writes published done-records as a pack; where that fails, a resume takes longer."""
    path = new_pack_path(run_key, attempt)
    try:
        store.put(path, encode_pack(records))
    except StorageError as error:
        log.warning("a pack of done-records could not be written: %s", error)


def _all_packed_up_to(run_key: str, packed: AbstractSet[str]) -> str | None:
    """Path of the last done-record before which every shard is packed: what need not be listed.

    Shards are done nearly in the order of the plan, so that is most of them, and a listing of a
    million objects is a thousand requests, one after the other.
    """
    width = len(next(iter(packed), ""))
    ids = (f"{number:0{width}d}" for number in range(len(packed)))
    last = None
    for id in takewhile(packed.__contains__, ids):
        last = id
    return None if last is None else done_path(run_key, last)


def _shard(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".json")


def in_order(read: Callable[[T], U], items: Iterable[T], ahead: int = READERS) -> Iterator[U]:
    """``map`` in threads, in order, with at most ``ahead`` results waiting or under way."""
    with ThreadPoolExecutor(ahead) as readers:
        waiting = deque[Future[U]]()
        try:
            for item in items:
                if len(waiting) == ahead:
                    yield waiting.popleft().result()
                waiting.append(readers.submit(read, item))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
