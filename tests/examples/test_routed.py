from pathlib import Path

import pyarrow as pa
import pytest

from graphs import run
from graphs.compiler import compile
from graphs.examples import routed

LONG = (
    "Since nine the shop is down. We tried again at ten and at eleven and nothing helped so far. "
    "Some orders are lost."
)


def scored(*texts: str | None, language: str = "en", **parameters: int):
    rows = [
        {"ticket_id": str(n), "text": text, "language": language} for n, text in enumerate(texts)
    ]
    table = pa.Table.from_pylist(rows, pa.schema(routed.TICKET))
    return run(routed.urgency, table, parameters=parameters)


def test_the_most_urgent_sentence_speaks_for_a_ticket():
    assert scored("It is slow. It is down! Please look today.").table.to_pylist() == [
        {
            "ticket_id": "0",
            "urgency": 3,
            "sentences": ["It is slow", "It is down", "Please look today"],
        }
    ]


def test_of_a_long_ticket_the_first_and_the_last_sentence_count():
    (row,) = scored(LONG).table.to_pylist()

    assert row["sentences"] == ["Since nine the shop is down", "Some orders are lost"]


def test_what_is_long_is_a_run_parameter():
    (row,) = scored(LONG, longest=1000).table.to_pylist()

    assert len(row["sentences"]) == 3


def test_tickets_in_other_languages_are_filtered_and_counted():
    answer = scored("Alles kaputt.", "Error!", language="de")

    assert answer.table.num_rows == 0
    assert answer.filtered == {"filter": 2}


def test_a_ticket_without_text_is_rejected_and_one_without_a_sentence_is_not():
    answer = scored(None, "")

    assert answer.table.to_pylist() == [{"ticket_id": "1", "urgency": 0, "sentences": []}]
    assert [(row.row, row.node) for row in answer.rejected] == [(0, "is_long")]


@pytest.mark.parametrize("target", ["inline", "offline", "online"])
def test_it_compiles_for_every_target(target):
    assert compile(routed.urgency.graph, target).version


def test_it_is_under_60_lines():
    assert len(Path(routed.__file__).read_text().splitlines()) < 60
