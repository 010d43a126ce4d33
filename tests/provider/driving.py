"""Driving sans-IO calls by hand: a list of what the dashboard answers, and what was asked of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from airflow_provider.client import Pause, Request, Response, Say
from airflow_provider.client.records import Call
from airflow_provider.errors import RayError

JOB = "score-0a1b-0"


def job(status: str, **more: Any) -> Response:
    """The answer to a question for a job."""
    return Response(200, {"submission_id": JOB, "status": status, **more})


def log_of(text: str) -> Response:
    """The answer to a question for a job's log."""
    return Response(200, {"logs": text})


def error(status: int, text: str = "") -> Response:
    return Response(status, None, text)


@dataclass
class Script:
    """Plays the dashboard, and the clock: a pause makes its seconds pass at once."""

    answers: Iterable[Response | RayError]
    log: Callable[[float], Response | RayError] = field(default=lambda _: log_of(""))
    """The log's answer at an instant."""
    now: float = 1000.0
    asked: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def play(self, call: Call[Any]) -> Any:
        """Answers the call's requests in order (the log's apart) until it returns or raises."""
        answers = iter(self.answers)
        answer: Response | RayError | None = None
        while True:
            try:
                step = call.throw(answer) if isinstance(answer, RayError) else call.send(answer)
            except StopIteration as stop:
                return stop.value
            answer = None
            match step:
                case Request(method, path):
                    self.asked.append(f"{method} {path}")
                    self.bodies.append(step.body)
                    answer = self.log(self.now) if path.endswith("/logs") else next(answers)
                case Pause(seconds):
                    self.pauses.append(seconds)
                    self.now += seconds
                case Say(text):
                    self.said.append(text)
