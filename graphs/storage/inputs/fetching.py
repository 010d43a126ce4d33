"""Parts of objects fetched side by side: which requests, and a file made of their answers."""

from __future__ import annotations

import io
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import pyarrow.parquet as pq

from graphs.storage.inputs.places import Place

V = TypeVar("V")

TAIL = 256 * 1024
"""Read at once from the end of a file: the footer of all but extreme files."""

_GAP = 256 * 1024
"""Bytes nobody asked for that are fetched along rather than asked around: a request costs about
as much as they do."""

_REQUEST = 8 * 1024 * 1024
"""Bytes of a request, about; several at once fill the line (AWS advises 8 to 16 MB)."""

Fetch = Callable[[int, int], "Future[memoryview]"]
"""Asks for the bytes from a start to a stop."""


def chunk_spans(
    metadata: pq.FileMetaData, groups: Sequence[int], columns: Sequence[str]
) -> list[tuple[int, int]]:
    """Where the column chunks are that hold some columns of some row groups, in file order."""
    leaves = leaves_of(metadata, columns)
    spans = []
    for group in groups:
        facts = metadata.row_group(group)
        for leaf in leaves:
            chunk = facts.column(leaf)
            start = chunk.data_page_offset
            if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < start:
                start = chunk.dictionary_page_offset
            spans.append((start, start + chunk.total_compressed_size))
    return sorted(spans)


def leaves_of(metadata: pq.FileMetaData, columns: Sequence[str]) -> list[int]:
    """Positions of the leaf columns at or below some names."""
    wanted = set(columns)
    leaves = []
    for leaf in range(metadata.num_columns):
        parts = metadata.schema.column(leaf).path.split(".")
        if any(".".join(parts[: n + 1]) in wanted for n in range(len(parts))):
            leaves.append(leaf)
    return leaves


def requests_for(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Requests that together cover spans: small gaps bridged, large ones cut."""
    requests: list[tuple[int, int]] = []
    for start, stop in spans:
        if requests:
            first, last = requests[-1]
            if start - last <= _GAP and max(stop, last) - first <= _REQUEST:
                requests[-1] = (first, max(stop, last))
                continue
            start = max(start, last)
        while stop - start > 2 * _REQUEST:
            requests.append((start, start + _REQUEST))
            start += _REQUEST
        if stop > start:
            requests.append((start, stop))
    return requests


class FetchedFile(io.RawIOBase):
    """Random access to a file of which parts are under way already; others are asked for."""

    def __init__(self, size: int, fetch: Fetch, spans: Sequence[tuple[int, int]]) -> None:
        self._size, self._fetch = size, fetch
        self._position = 0
        self.fetched = 0
        self._parts: list[tuple[int, int, Future[memoryview]]] = []
        self.prefetch(spans)

    def prefetch(self, spans: Sequence[tuple[int, int]]) -> None:
        """Asks for spans that will be read; they are in file order and do not overlap."""
        for start, stop in spans:
            self._parts.append((start, stop, self._fetch(start, stop)))
            self.fetched += stop - start
        self._parts.sort(key=lambda part: part[0])

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = start + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes | memoryview:
        rest = max(0, self._size - self._position)
        length = rest if size is None or size < 0 else min(size, rest)
        start = self._position
        self._position += length
        parts = list(self._covering(start, start + length))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _covering(self, start: int, stop: int) -> Iterator[memoryview]:
        while start < stop:
            at = bisect_right(self._parts, start, key=lambda part: part[0]) - 1
            if at >= 0 and start < self._parts[at][1]:
                first, last, coming = self._parts[at]
                end = min(stop, last)
                yield coming.result()[start - first : end - first]
            else:
                following = self._parts[at + 1][0] if at + 1 < len(self._parts) else stop
                end = min(stop, following)
                self.fetched += end - start
                yield self._fetch(start, end).result()
            start = end


def fetched(
    place: Place,
    requests: ThreadPoolExecutor,
    path: str,
    etag: str,
    size: int,
    spans: Sequence[tuple[int, int]],
) -> FetchedFile:
    """One version of an object, with some of its spans under way already."""

    def read(start: int, stop: int) -> memoryview:
        return place.read_range(path, start, stop - start, etag)[0]

    return FetchedFile(size, lambda start, stop: requests.submit(read, start, stop), spans)


class Recent(Generic[V]):
    """The last few things read of objects' versions."""

    def __init__(self, limit: int = 16) -> None:
        self._limit = limit
        self._kept: OrderedDict[tuple[str, str], V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, str], read: Callable[[], V]) -> V:
        """What was read of a path's version; reads it if that was not lately."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        value = read()
        with self._lock:
            self._kept[key] = value
            while len(self._kept) > self._limit:
                self._kept.popitem(last=False)
        return value
