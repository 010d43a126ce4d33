"""The example with a filter, a switch, an each and a graph inside a graph."""

from __future__ import annotations

from graphs.examples.routed import urgency
from tests.cases.case import Case

LONG = (
    "Since nine the shop is down. We tried again at ten and at eleven, and nothing helped. "
    "All lost."
)

CASES = (
    Case(
        name="tickets are filtered, routed by length and scored sentence by sentence",
        graph=urgency,
        rows={
            "ticket_id": ["1", "2", "3", "4", "5"],
            "text": ["It is slow. It is down!", LONG, "Alles kaputt.", "", None],
            "language": ["en", "en", "de", "en", "en"],
        },
        out={
            "ticket_id": ["1", "2", "4"],
            "urgency": [3, 3, 0],
            "sentences": [
                ["It is slow", "It is down"],
                ["Since nine the shop is down", "All lost"],
                [],
            ],
        },
        rejected=((4, "is_long", "TypeError"),),
        filtered={"filter": 1},
    ),
)
