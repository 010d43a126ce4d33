"""Arrow types through every runtime: nested, exact, large, and those a target cannot carry."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from graphs import Column, graph, node
from graphs.ir import Behaviour
from tests.cases.case import Case

PLACE = pa.struct([("city", pa.string()), ("floor", pa.int32()), ("area", pa.float32())])
VECTOR = pa.list_(pa.float32(), 3)
WORDS = pa.dictionary(pa.int32(), pa.string())
ZONED = pa.timestamp("ms", "Europe/Berlin")
PRICE = pa.decimal128(20, 4)


@node(inputs={"place": PLACE}, outputs={"next": PLACE, "city": pa.string()})
def climb(place: list[dict[str, Any] | None]) -> tuple[list[Any], list[Any]]:
    """One floor up; fails on the roof."""
    return [_climbed(one) for one in place], [one and one["city"] for one in place]


def _climbed(place: dict[str, Any] | None) -> dict[str, Any] | None:
    if place is None or place["floor"] is None:
        return place
    if place["floor"] > 99:
        raise OverflowError("roof")
    return {**place, "floor": place["floor"] + 1}


@node(inputs={"places": pa.list_(PLACE)}, outputs={"cities": pa.list_(pa.string())})
def cities(places: list[Any]) -> list[list[str | None] | None]:
    return [None if row is None else [one and one["city"] for one in row] for row in places]


@graph(key="id", inputs={"id": pa.int64(), "place": PLACE, "places": pa.list_(PLACE)})
def nested(place: Column, places: Column) -> dict[str, Column]:
    """Structs, lists of them, and the key is a number."""
    up, city = climb(place)
    return {"up": up, "city": city, "cities": cities(places), "places": places}


@node(inputs={"vector": VECTOR}, outputs={"doubled": VECTOR}, behaviour=Behaviour(nulls="skip"))
def double(vector: np.ndarray[Any, Any]) -> Any:
    assert vector.ndim == 2
    return vector * np.float32(2)


@node(inputs={"word": WORDS}, outputs={"upper": WORDS, "length": pa.int64()})
def shout(word: pa.Array) -> tuple[Any, Any]:
    plain = pc.cast(word, pa.string())
    return pc.utf8_upper(plain).dictionary_encode(), pc.cast(pc.utf8_length(plain), pa.int64())


@graph(key="id", inputs={"id": pa.string(), "vector": VECTOR, "word": WORDS})
def packed(vector: Column, word: Column) -> dict[str, Column]:
    """Fixed-size lists and dictionaries."""
    upper, length = shout(word)
    return {"doubled": double(vector), "upper": upper, "word": word, "length": length}


@node(
    inputs={"zoned": ZONED, "day": pa.date32(), "local": pa.timestamp("us")},
    outputs={"later": ZONED, "hour": pa.int64(), "year": pa.int64()},
)
def delay(zoned: pa.Array, day: pa.Array, local: pa.Array) -> tuple[Any, Any, Any]:
    """An hour and a half later; the hour is that of the zone."""
    later = pc.add(zoned, pa.scalar(timedelta(minutes=90), pa.duration("ms")))
    return later, pc.hour(zoned), pc.add(pc.year(day), pc.year(local))


@graph(
    key="id",
    inputs={"id": pa.string(), "zoned": ZONED, "day": pa.date32(), "local": pa.timestamp("us")},
)
def timed(zoned: Column, day: Column, local: Column) -> dict[str, Column]:
    later, hour, year = delay(zoned, day, local)
    return {"later": later, "hour": hour, "year": year, "day": day, "local": local}


@node(inputs={"price": PRICE}, outputs={"taxed": pa.decimal128(24, 6), "cents": pa.int64()})
def tax(price: list[Decimal | None]) -> tuple[list[Any], list[Any]]:
    """Fails for a negative price."""
    return [p and p * Decimal("1.19") for p in price], [_cents(p) for p in price]


def _cents(price: Decimal | None) -> int | None:
    if price is not None and price < 0:
        raise ValueError(f"{price} is negative")
    return None if price is None else int(price * 100)


@node(
    inputs={"blob": pa.binary(), "large": pa.large_binary()},
    outputs={"joined": pa.binary(), "size": pa.int64()},
)
def join(blob: list[bytes | None], large: list[bytes | None]) -> tuple[list[Any], list[Any]]:
    joined = [(a or b"") + (b or b"") for a, b in zip(blob, large, strict=True)]
    return joined, [len(one) for one in joined]


@graph(
    key="id",
    inputs={
        "id": pa.string(),
        "price": PRICE,
        "blob": pa.binary(),
        "large": pa.large_binary(),
    },
)
def priced(price: Column, blob: Column, large: Column) -> dict[str, Column]:
    """Decimals and bytes."""
    taxed, cents = tax(price)
    joined, size = join(blob, large)
    return {"taxed": taxed, "cents": cents, "joined": joined, "size": size, "large": large}


SMALL = {
    "id": pa.string(),
    "tiny": pa.int8(),
    "short": pa.int16(),
    "byte": pa.uint8(),
    "huge": pa.uint64(),
    "single": pa.float32(),
    "flag": pa.bool_(),
}


@node(
    inputs={"tiny": pa.int8(), "short": pa.int16(), "byte": pa.uint8()},
    outputs={"sum": pa.int16()},
)
def add(tiny: pa.Array, short: pa.Array, byte: pa.Array) -> Any:
    wide = [pc.cast(column, pa.int32()) for column in (tiny, short, byte)]
    return pc.cast(pc.add(pc.add(wide[0], wide[1]), wide[2]), pa.int16())


@node(inputs={"flag": pa.bool_()}, outputs={"flipped": pa.bool_()})
def flip(flag: pa.Array) -> Any:
    return pc.invert(flag)


@graph(key="id", inputs=SMALL)
def widths(
    tiny: Column, short: Column, byte: Column, huge: Column, single: Column, flag: Column
) -> dict[str, Column]:
    """Numbers of every width, to their ends."""
    return {
        "sum": add(tiny, short, byte),
        "flipped": flip(flag),
        "huge": huge,
        "single": single,
        "tiny": tiny,
        "flag": flag,
    }


@node(inputs={"text": pa.string()}, outputs={"turned": pa.string(), "length": pa.int64()})
def turn(text: list[str]) -> tuple[list[str], list[int]]:
    """Backwards; fails where the text says so."""
    if any(one and "fail" in one for one in text):
        raise ValueError("ﬁne is not fail: ✗")
    return [one and one[::-1] for one in text], [len(one or "") for one in text]


@graph(key="id", inputs={"id": pa.string(), "text": pa.string()})
def turned(text: Column) -> dict[str, Column]:
    backwards, length = turn(text)
    return {"turned": backwards, "length": length}


@graph(key="id", inputs={"id": pa.string(), "text": pa.large_string(), "blob": pa.binary()})
def copied(text: Column, blob: Column) -> dict[str, Column]:
    return {"text": text, "blob": blob}


COUNTS = pa.map_(pa.string(), pa.int64())


@node(inputs={"word": pa.string()}, outputs={"counts": COUNTS})
def count(word: list[str]) -> list[list[tuple[str, int]]]:
    return [[(letter, one.count(letter)) for letter in sorted(set(one))] for one in word]


@graph(key="id", inputs={"id": pa.string(), "word": pa.string()})
def counted(word: Column) -> dict[str, Column]:
    """A map, which JSON cannot carry."""
    return {"counts": count(word)}


@node(inputs={"at": pa.timestamp("us", "UTC")}, outputs={"after": pa.timestamp("ns", "UTC")})
def tick(at: pa.Array) -> Any:
    return pc.add(pc.cast(at, pa.timestamp("ns", "UTC")), pa.scalar(1, pa.duration("ns")))


@graph(key="id", inputs={"id": pa.string(), "at": pa.timestamp("us", "UTC")})
def ticked(at: Column) -> dict[str, Column]:
    """Nanoseconds, which JSON cannot carry."""
    return {"after": tick(at)}


@node(inputs={"months": pa.int64()}, outputs={"interval": pa.month_day_nano_interval()})
def interval(months: list[int]) -> list[Any]:
    return [pa.MonthDayNano([one, 0, 0]) for one in months]


@graph(key="id", inputs={"id": pa.string(), "months": pa.int64()})
def intervals(months: Column) -> dict[str, Column]:
    """Intervals, which neither parquet nor JSON can hold."""
    return {"interval": interval(months)}


def _place(city: str | None, floor: int | None, area: float | None = 1.5) -> dict[str, Any]:
    return {"city": city, "floor": floor, "area": area}


def _ns(nanoseconds: int) -> Any:
    return pa.scalar(nanoseconds, pa.timestamp("ns", "UTC")).as_py()


BERLIN = ZoneInfo("Europe/Berlin")

CASES = (
    Case(
        "structs and lists of structs, with nulls at every level",
        nested,
        {
            "id": [3, 1, 2, 9, -5],
            "place": [
                _place("Köln", 1),
                None,
                _place(None, None, None),
                _place("top", 100),
                _place("x", -1, -0.0),
            ],
            "places": [[_place("a", 1), None, _place(None, 2)], [], None, [], [None]],
        },
        {
            "id": [3, 1, 2, -5],
            "up": [_place("Köln", 2), None, _place(None, None, None), _place("x", 0, -0.0)],
            "city": ["Köln", None, None, "x"],
            "cities": [["a", None, None], [], None, [None]],
            "places": [[_place("a", 1), None, _place(None, 2)], [], None, [None]],
        },
        rejected=((3, "climb", "OverflowError"),),
    ),
    Case(
        "fixed-size lists and dictionaries",
        packed,
        {
            "id": list("abcd"),
            "vector": [[1, 2, 3], None, [0.1, -0.0, 1e-45], [1e38, 5, 6]],
            "word": ["on", "off", None, "on"],
        },
        {
            "id": list("abcd"),
            "doubled": [[2, 4, 6], None, [0.2, -0.0, 2.8e-45], [2e38, 10, 12]],
            "upper": ["ON", "OFF", None, "ON"],
            "word": ["on", "off", None, "on"],
            "length": [2, 3, None, 2],
        },
    ),
    Case(
        "no rows of nested types",
        packed,
        {"id": [], "vector": [], "word": []},
        {"id": [], "doubled": [], "upper": [], "word": [], "length": []},
    ),
    Case(
        "times with and without a zone, across a change of the clocks",
        timed,
        {
            "id": list("abc"),
            "zoned": [
                datetime(2026, 3, 29, 0, 15, 0, 123000, UTC),
                None,
                datetime(1969, 12, 31, 23, 59, 59, 999000, UTC),
            ],
            "day": [date(2026, 2, 28), None, date(1, 1, 1)],
            "local": [datetime(2026, 1, 1, 1, 2, 3, 456789), None, datetime(1, 1, 1)],
        },
        {
            "id": list("abc"),
            "later": [
                datetime(2026, 3, 29, 3, 45, 0, 123000, BERLIN),
                None,
                datetime(1970, 1, 1, 2, 29, 59, 999000, BERLIN),
            ],
            "hour": [1, None, 0],
            "year": [4052, None, 2],
            "day": [date(2026, 2, 28), None, date(1, 1, 1)],
            "local": [datetime(2026, 1, 1, 1, 2, 3, 456789), None, datetime(1, 1, 1)],
        },
    ),
    Case(
        "decimals and bytes",
        priced,
        {
            "id": list("abcd"),
            "price": [Decimal("10.0000"), None, Decimal("-0.0001"), Decimal("9999999999999999.9")],
            "blob": [b"\x00\xff", None, b"", b"abc"],
            "large": [b"", b"\x80", b"", None],
        },
        {
            "id": list("abd"),
            "taxed": [Decimal("11.900000"), None, Decimal("11899999999999999.881000")],
            "cents": [1000, None, 999999999999999990],
            "joined": [b"\x00\xff", b"\x80", b"abc"],
            "size": [2, 1, 3],
            "large": [b"", b"\x80", None],
        },
        rejected=((2, "tax", "ValueError"),),
    ),
    Case(
        "numbers of every width",
        widths,
        {
            "id": list("abc"),
            "tiny": [-128, 127, None],
            "short": [-32000, 32000, 1],
            "byte": [0, 255, 1],
            "huge": [0, 2**64 - 1, None],
            "single": [0.1, -3.4e38, None],
            "flag": [True, False, None],
        },
        {
            "id": list("abc"),
            "sum": [-32128, 32382, None],
            "flipped": [False, True, None],
            "huge": [0, 2**64 - 1, None],
            "single": [0.1, -3.4e38, None],
            "tiny": [-128, 127, None],
            "flag": [True, False, None],
        },
    ),
    Case(
        "unicode in keys, values and errors",
        turned,
        {
            "id": ["ключ", "鍵", "🔑", "", " \t\n\"'\\"],
            "text": ["straße", "日本語", "fail 🙂", "👩‍👩‍👧", None],
        },
        {
            "id": ["ключ", "鍵", "", " \t\n\"'\\"],
            "turned": ["eßarts", "語本日", "👩‍👩‍👧"[::-1], None],
            "length": [6, 3, 5, 0],
        },
        rejected=((2, "turn", "ValueError"),),
    ),
    Case(
        "rows of a megabyte",
        copied,
        {"id": ["a", "b"], "text": ["é" * 500_000, "x"], "blob": [b"\x00", bytes(1_000_000)]},
        {"id": ["a", "b"], "text": ["é" * 500_000, "x"], "blob": [b"\x00", bytes(1_000_000)]},
    ),
    Case(
        "maps, which online refuses",
        counted,
        {"id": ["a", "b"], "word": ["anna", ""]},
        {"id": ["a", "b"], "counts": [[("a", 2), ("n", 2)], []]},
        refused={
            "online": "output 'counts' is map<string, int64>, which has no JSON form; "
            "convert it in a node"
        },
    ),
    Case(
        "nanoseconds, which online refuses",
        ticked,
        {"id": ["a", "b"], "at": [1_700_000_000_123_456, None]},
        {"id": ["a", "b"], "after": [_ns(1_700_000_000_123_456_001), None]},
        refused={
            "online": "output 'after' is timestamp[ns, tz=UTC], which has no JSON form; "
            "convert it in a node"
        },
    ),
    Case(
        "intervals, which only this process can hold",
        intervals,
        {"id": ["a"], "months": [3]},
        {"id": ["a"], "interval": [pa.MonthDayNano([3, 0, 0])]},
        refused={
            "offline": "output 'interval' is month_day_nano_interval, which parquet cannot hold; "
            "convert it in a node",
            "online": "output 'interval' is month_day_nano_interval, which has no JSON form; "
            "convert it in a node",
        },
    ),
)
