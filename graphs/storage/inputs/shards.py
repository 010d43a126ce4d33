"""The shards of a plan as columns, so that a million of them are cheap to keep and to write."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from graphs.errors import StorageError
from graphs.spec import Piece, Shard

SCHEMA = pa.schema(
    [
        ("shard", pa.int32()),
        ("path", pa.string()),
        ("etag", pa.string()),
        ("size", pa.int64()),
        ("rows", pa.int64()),
        ("bytes", pa.int64()),  # stored bytes of this piece
        ("row_groups", pa.list_(pa.int32())),
        ("span_start", pa.int64()),
        ("span_stop", pa.int64()),
    ]
)
"""A row for each piece, by shard and position. Everything in :class:`~graphs.spec.Piece`."""

_FORMAT = {b"graphs.shards": b"1"}
_COUNT = b"graphs.shards.count"
_WIDTH = 5


# Shards has a property of the name.
Parquet = bytes


class Shards:
    """The shards of a plan, in order. A shard's id is its zero-padded position."""

    def __init__(self, pieces: pa.Table, count: int) -> None:
        """Takes rows of :data:`SCHEMA`, ordered by shard; a shard that none names is empty."""
        self._pieces = pieces.combine_chunks()
        self._columns = {name: _whole(self._pieces.column(name)) for name in SCHEMA.names}
        self._count = count
        self._width = max(_WIDTH, len(str(count - 1)))
        self._starts = np.searchsorted(self._numbers("shard"), np.arange(count + 1))
        self._rows = self._sums("rows")
        self._rows[self._sums("rows", unknown=True) > 0] = -1
        self._bytes = self._sums("bytes")

    @classmethod
    def of(cls, shards: Iterable[Shard]) -> Shards:
        """The same shards as columns; a part of a parquet object counts as all of its bytes."""
        kept = tuple(shards)
        rows = [
            {
                "shard": number,
                "bytes": piece.span[1] - piece.span[0] if piece.span else piece.size,
                "span_start": piece.span[0] if piece.span else None,
                "span_stop": piece.span[1] if piece.span else None,
                **piece.model_dump(exclude={"span"}),
            }
            for number, shard in enumerate(kept)
            for piece in shard.pieces
        ]
        return cls(pa.Table.from_pylist(rows, schema=SCHEMA), len(kept))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Shard]:
        return (self[index] for index in range(self._count))

    def __getitem__(self, index: int) -> Shard:
        """A shard by its position.

        Raises:
            IndexError: there are not that many.
        """
        if not -self._count <= index < self._count:
            raise IndexError(f"shard {index} of {self._count}")
        at = index % self._count
        pieces = range(int(self._starts[at]), int(self._starts[at + 1]))
        return Shard(
            id=f"{at:0{self._width}d}", pieces=tuple(self._piece(number) for number in pieces)
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Shards):
            return NotImplemented
        return self._count == other._count and self._pieces.equals(other._pieces)

    __hash__ = None  # type: ignore[assignment]

    def index_of(self, id: str) -> int:
        """The position of a shard.

        Raises:
            KeyError: no shard of this plan has that id.
        """
        if len(id) == self._width and id.isascii() and id.isdigit() and int(id) < self._count:
            return int(id)
        raise KeyError(id)

    def rows_of(self, index: int) -> int | None:
        """Rows of a shard; ``None`` where planning did not look into all of its files."""
        rows = int(self._rows[index])
        return None if rows < 0 else rows

    def bytes_of(self, index: int) -> int:
        """Bytes of a shard's pieces as they are stored."""
        return int(self._bytes[index])

    @property
    def rows(self) -> int | None:
        """Rows of all shards; ``None`` where some are not known."""
        return None if (self._rows < 0).any() else int(self._rows.sum())

    def to_parquet(self) -> Parquet:
        """The shards as one parquet file, which :meth:`from_parquet` reads."""
        table = self._pieces.replace_schema_metadata({**_FORMAT, _COUNT: str(self._count).encode()})
        file = io.BytesIO()
        # Paths and etags hardly repeat, and shards are only ever read all at once.
        encodings = {"shard": "DELTA_BINARY_PACKED", "path": "DELTA_BYTE_ARRAY"}
        pq.write_table(
            table,
            file,
            compression="zstd",
            use_dictionary=False,
            column_encoding=encodings,
            write_statistics=False,
        )
        return file.getvalue()

    @staticmethod
    def from_parquet(data: Parquet, where: str) -> Shards:
        """The shards that :meth:`to_parquet` wrote.

        Args:
            data: the file.
            where: its URI, for errors.

        Raises:
            StorageError: it is no such file.
        """
        try:
            table = pq.ParquetFile(pa.BufferReader(data)).read()
            metadata: dict[bytes, bytes] = table.schema.metadata or {}
            count = int(metadata[_COUNT])
            if not _FORMAT.items() <= metadata.items():
                raise ValueError("it has another format")
            return Shards(table.replace_schema_metadata().cast(SCHEMA), count)
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            raise StorageError(
                f"is no readable list of shards ({error})",
                where,
                "A newer version may have written it; run again with that one",
            ) from error

    @property
    def bytes(self) -> int:
        """Bytes of all pieces as they are stored."""
        return int(self._bytes.sum())

    def _piece(self, number: int) -> Piece:
        at = {name: column[number].as_py() for name, column in self._columns.items()}
        start, groups = at["span_start"], at["row_groups"]
        return Piece(
            path=at["path"],
            etag=at["etag"],
            size=at["size"],
            rows=at["rows"],
            row_groups=None if groups is None else tuple(groups),
            span=None if start is None else (start, at["span_stop"]),
        )

    def _numbers(self, name: str, unknown: bool = False) -> Any:
        column = self._columns[name]
        return (column.is_null() if unknown else column.fill_null(0)).to_numpy(zero_copy_only=False)

    def _sums(self, name: str, unknown: bool = False) -> Any:
        """Per shard; with ``unknown``, how many pieces lack the value."""
        running = np.concatenate([[0], np.cumsum(self._numbers(name, unknown), dtype=np.int64)])
        return running[self._starts[1:]] - running[self._starts[:-1]]


def _whole(column: pa.ChunkedArray) -> pa.Array:
    chunks: Sequence[pa.Array] = column.chunks
    return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks or [column.combine_chunks()])
