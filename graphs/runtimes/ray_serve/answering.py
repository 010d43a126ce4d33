"""From requests' rows to their answers, computed together for all requests of a batch. No HTTP."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from graphs.errors import NodeError, ParityFailed
from graphs.ir import Graph
from graphs.promotion.parity import compare
from graphs.runtimes.kernel import Kernel, RejectedRow
from graphs.runtimes.ray_serve.calls import Answered, Calls
from graphs.runtimes.ray_serve.wire import ERROR, FILTERED, rows_of, write_answers

log = logging.getLogger(__name__)

_PATH = re.compile(r"(?<![\w/])(?:~|[A-Za-z]:)?(?:[/\\][\w.@+-]+){2,}")


@dataclass(frozen=True, slots=True)
class Question:
    """The rows of one request."""

    rows: pa.Table
    is_list: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP status and a JSON body."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Proof:
    """Rows of a snapshot that a replica must reproduce before it may answer anybody.

    So it is not only the candidate that was compared: every replica of the live application is,
    those included that Serve starts months later, and one whose artifact or environment is not
    what it was never takes traffic.
    """

    inputs: pa.Table
    offline: pa.Table
    tolerance: dict[str, float]

    def check(self, graph: Graph, online: pa.Table) -> None:
        """Compare what a replica computed for the inputs with the snapshot.

        Raises:
            ParityFailed: it computed something else.
        """
        parity = compare(self.offline, online, key=graph.key, tolerance=self.tolerance)
        if parity.agreed < parity.sampled:
            raise ParityFailed(
                f"{parity.sampled - parity.agreed} of {parity.sampled} rows differ from the "
                f"snapshot: {'; '.join(parity.disagreements)}",
                where=f"graph {graph.name!r}",
                remedy="Its code, artifacts or environment are not what made the snapshot",
            )


def answer(kernel: Kernel, questions: Sequence[Question]) -> list[Reply]:
    """Answer the requests of a batch together, all nodes being here."""
    try:
        rows = _together(questions)
        return _replies(kernel.graph, questions, rows, compute(kernel, rows))
    except NodeError as error:
        if len(questions) == 1:
            return [_failure(error)]
        # One request's rows made a node break its word; the others shall not pay for it.
        return [reply for question in questions for reply in answer(kernel, [question])]


async def answer_by_calls(calls: Calls, questions: Sequence[Question]) -> list[Reply]:
    """Answer the requests of a batch together, nodes being in several processes."""
    try:
        rows = _together(questions)
        answered = await calls.run(rows)
        return await asyncio.to_thread(_replies, calls.graph, questions, rows, answered)
    except NodeError as error:
        if len(questions) == 1:
            return [_failure(error)]
        return [r for question in questions for r in await answer_by_calls(calls, [question])]


def compute(kernel: Kernel, rows: pa.Table) -> Answered:
    """The outputs for rows of the graph's input schema, by a kernel that holds every node."""
    computed = kernel.run(rows)
    return Answered(kernel.select_outputs(computed.table), computed.kept, computed.rejected)


def _together(questions: Sequence[Question]) -> pa.Table:
    return pa.concat_tables([question.rows for question in questions])


def _failure(error: NodeError) -> Reply:
    log.error("%s", error)
    problem = {"type": "graph_error", "loc": ["body"], "msg": "the graph could not compute"}
    return Reply(500, write_answers({"detail": [problem]}))


def _replies(
    graph: Graph, questions: Sequence[Question], rows: pa.Table, answered: Answered
) -> list[Reply]:
    found: dict[int, Any] = dict(
        zip(answered.kept.tolist(), rows_of(answered.outputs), strict=True)
    )
    found |= {rejected.row: rejected for rejected in answered.rejected}
    keys = rows.column(graph.key)
    replies = []
    start = 0
    for question in questions:
        numbers = range(start, start + question.rows.num_rows)
        start = numbers.stop
        entries = [_entry(found.get(n), graph.key, keys[n]) for n in numbers]
        replies.append(_reply(entries, question.is_list))
    return replies


def _entry(found: Any, key: str, value: pa.Scalar) -> dict[str, Any]:
    if found is None:
        return {key: value.as_py(), FILTERED: True}
    if not isinstance(found, RejectedRow):
        return found  # type: ignore[no-any-return]
    told = {"node": found.node, "type": found.error, "message": _without_paths(found.message)}
    return {key: value.as_py(), ERROR: told}


def _reply(entries: list[dict[str, Any]], is_list: bool) -> Reply:
    if is_list:
        return Reply(200, write_answers(entries))
    told = entries[0].get(ERROR)
    if told is None:
        return Reply(200, write_answers(entries[0]))
    problem = {
        "type": "rejected_row",
        "loc": ["body"],
        "msg": told["message"],
        "ctx": {"node": told["node"], "error": told["type"]},
    }
    return Reply(422, write_answers({"detail": [problem]}))


def _without_paths(message: str) -> str:
    """A caller learns what was wrong with the row, not where things are on the server."""
    return _PATH.sub("…", message)
