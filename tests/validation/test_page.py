from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser

import pyarrow as pa

from graphs.spec import Between, Counts, LargestShare, NoNulls, Report, RowsConserved, Verdict
from graphs.validation.page import page
from graphs.validation.statistics import of_table

NASTY = "<script>alert('&')</script>"


def report(passed: bool = True) -> Report:
    table = pa.table({"topic": [NASTY, NASTY, "b", ""], "score": [0.1, 0.2, 0.3, None]})
    return Report(
        run_key="0123456789abcdef",
        graph="topics",
        version="v1",
        partition_key="2026-01-01",
        verdicts=(
            Verdict(expectation=RowsConserved(), passed=True, observed="4 in, 4 out"),
            Verdict(
                expectation=LargestShare(column="topic", maximum=0.4),
                passed=passed,
                observed=f"{NASTY!r} is 50 %",
            ),
            Verdict(expectation=NoNulls(column="topic"), passed=True, observed="0 nulls"),
            Verdict(
                expectation=Between(column="score", minimum=0, maximum=1),
                passed=True,
                observed="0.1 to 0.3",
            ),
        ),
        counts=Counts(rows_in=5, rows_out=4, rejected={"classify": 1}),
        statistics=of_table(table),
        made_at=datetime(2026, 1, 2, tzinfo=UTC),
    )


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.addresses: list[str | None] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


def test_the_page_is_well_formed_and_needs_nothing_from_outside() -> None:
    reader = read(page(report()))
    assert reader.open == []
    assert reader.addresses == []
    assert "url(" not in page(report())


def test_nothing_in_the_data_becomes_markup() -> None:
    reader = read(page(report()))
    assert "script" not in reader.seen
    assert NASTY in reader.text


def test_the_verdict_comes_first_and_failures_lead_the_table() -> None:
    texts = [text for text in read(page(report(passed=False))).text if text.strip()]
    assert texts[0] == "topics 2026-01-01: failed"
    assert texts.index("✗ failed") < texts.index("✓ held")
    assert "no topic has more than 0.4 of the rows" in texts


def test_an_empty_snapshot_has_a_page_too() -> None:
    empty = report().model_copy(update={"counts": Counts(), "statistics": {}, "verdicts": ()})
    assert "None were declared." in read(page(empty)).text
