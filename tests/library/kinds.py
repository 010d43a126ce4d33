"""A column of three rows for every kind of Arrow type."""

import datetime
import decimal

import pyarrow as pa

UTC = datetime.UTC
EARLY = datetime.datetime(1969, 1, 1, tzinfo=UTC)
EVERY_KIND = {
    "text": (pa.string(), ["a", None, "ä🙂"]),
    "integer": (pa.int32(), [1, 2, -3]),
    "real": (pa.float32(), [0.5, None, -2.0]),
    "flag": (pa.bool_(), [True, False, True]),
    "raw": (pa.binary(), [b"\x00", None, b""]),
    "four": (pa.binary(4), [b"abcd", None, b"wxyz"]),
    "day": (pa.date32(), [datetime.date(2026, 11, 22), None, datetime.date(1969, 1, 1)]),
    "at": (
        pa.timestamp("us", "Europe/Zurich"),
        [
            datetime.datetime(2026, 11, 22, 1, 2, 3, 4, UTC),
            None,
            datetime.datetime(1969, 1, 1, tzinfo=UTC),
        ],
    ),
    "price": (pa.decimal128(10, 2), [decimal.Decimal("1.50"), None, decimal.Decimal("-0.01")]),
    "kind": (pa.dictionary(pa.int32(), pa.string()), ["a", None, "a"]),
    "vector": (pa.list_(pa.float32(), 2), [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
    "many": (pa.list_(pa.int64()), [[1, 2], None, []]),
    "large": (pa.large_list(pa.string()), [["a", None], None, []]),
    "place": (
        pa.struct([("city", pa.string()), ("at", pa.list_(pa.int64()))]),
        [{"city": "Bern", "at": [1]}, None, {"city": None, "at": []}],
    ),
}
