"""How urgent is a support ticket? Rows dropped, routed and unfolded, with no model to download.

English tickets only. Of a long one the first and the last sentence count, of a short one all.
"""

import re

import pyarrow as pa

from graphs import Column, graph, node
from graphs.nodes import each, filter, parameter, switch

TICKET = {name: pa.string() for name in ("ticket_id", "text", "language")}
SENTENCES = pa.list_(pa.string())
URGENT = {"down": 3, "lost": 3, "urgent": 2, "error": 2, "slow": 1, "today": 1}


@node(inputs={"language": pa.string()}, outputs={"is_english": pa.bool_()})
def is_english(language: list[str]) -> list[bool]:
    return [one == "en" for one in language]


@node(inputs={"text": pa.string(), "longest": pa.int64()}, outputs={"is_long": pa.bool_()})
def is_long(text: list[str], longest: list[int]) -> list[bool]:
    return [len(one) > most for one, most in zip(text, longest, strict=True)]


@node(inputs={"text": pa.string()}, outputs={"sentences": SENTENCES})
def split(text: list[str]) -> list[list[str]]:
    return [[part.strip() for part in re.findall(r"[^.!?]+", one) if part.strip()] for one in text]


@node(inputs={"sentences": SENTENCES}, outputs={"sentences": SENTENCES})
def ends(sentences: list[list[str]]) -> list[list[str]]:
    return [[one[0], one[-1]] for one in sentences]


@node(inputs={"sentence": pa.string()}, outputs={"points": pa.int64()})
def score(sentence: list[str]) -> list[int]:
    return [sum(URGENT.get(word, 0) for word in one.lower().split()) for one in sentence]


@node(inputs={"points": pa.list_(pa.int64())}, outputs={"urgency": pa.int64()})
def highest(points: list[list[int]]) -> list[int]:
    return [max(one, default=0) for one in points]


@graph(key="ticket_id", inputs=TICKET)
def gist(text: Column) -> dict[str, Column]:
    return {"sentences": ends(split(text))}


@graph(key="ticket_id", inputs=TICKET)
def urgency(text: Column, language: Column) -> dict[str, Column]:
    filter(is_english(language))
    is_much = is_long(text, parameter("longest", pa.int64(), default=80))
    sentences = switch(is_much, {False: split, True: gist}, text)
    return {"urgency": highest(each(score, sentences)), "sentences": sentences}
