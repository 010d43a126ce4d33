"""Following a job to its end: polls, log lines, lost contact and the deadline, without I/O.

One generator for both modes: the trigger drives it with an event loop, a worker with sleeps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider.client.calls import get_job, read_log, stop_and_verify
from airflow_provider.client.records import (
    Call,
    Cause,
    JobDetails,
    JobEnd,
    Pause,
    Say,
    SubmittedJob,
)
from airflow_provider.errors import JobNotFound, RayError

PATIENCE_S = 600.0
"""How long the dashboard may be away: a head restart takes minutes."""

LOG_LIMIT = 1_000_000
"""Characters of a driver's log that are copied into the task's log."""

LOG_EVERY_S = 2.0
"""Ray hands out the whole log each time, so it is asked for less often than the status."""

TAIL_LINES = 20

_TIMES_UNKNOWN = 3
"""Polls in a row that must say "no such job" before it is believed: a head may be starting."""


def tick_s(age_s: float) -> float:
    """Seconds until the next poll: half a second for young jobs, up to five for old ones."""
    return min(5.0, max(0.5, age_s / 60))


def follow(
    job: SubmittedJob,
    *,
    patience_s: float = PATIENCE_S,
    clock: Callable[[], float] = time.time,
) -> Call[JobEnd]:
    """Waits until a job has ended, telling its log meanwhile.

    Args:
        job: which job; it is stopped at its deadline.
        patience_s: how long the dashboard may stay away.
        clock: epoch seconds now.
    """
    log = _Log(job.submission_id)
    contact = _Contact(patience_s, clock)
    seen: JobDetails | None = None
    while True:
        try:
            seen = yield from get_job(job.submission_id, tries=1)
            yield from contact.kept()
        except RayError as error:
            yield from contact.lost(error)
            if contact.is_over:
                break
        if seen is not None and seen.status.is_terminal:
            yield from log.tell(to_the_end=True)
            return _end(job, "ended", seen, log)
        if job.deadline is not None and clock() >= job.deadline:
            yield Say(f"Job {job.submission_id} has reached its deadline: stopping it")
            return (yield from _stopped(job, seen, log))
        if contact.is_kept and clock() >= log.next_at:
            log.next_at = clock() + LOG_EVERY_S
            yield from log.tell()
        yield Pause(tick_s(clock() - job.since))
    return _end(job, "lost" if contact.says_unknown else "out_of_reach", seen, log, contact.problem)


def _stopped(job: SubmittedJob, seen: JobDetails | None, log: _Log) -> Call[JobEnd]:
    try:
        seen = yield from stop_and_verify(job.submission_id)
    except RayError as error:
        yield Say(f"Could not verify that job {job.submission_id} stopped: {error}")
    else:
        yield from log.tell(to_the_end=True)
    return _end(job, "deadline", seen, log)


def _end(
    job: SubmittedJob, cause: Cause, seen: JobDetails | None, log: _Log, problem: str = ""
) -> JobEnd:
    return JobEnd(
        job=job,
        cause=cause,
        status=seen.status if seen else None,
        message=problem or (seen.message if seen else ""),
        log_tail=log.tail,
    )


class _Contact:
    """Whether the cluster still answers, and for how long it has not."""

    def __init__(self, patience_s: float, clock: Callable[[], float]) -> None:
        self.error: RayError | None = None
        self._patience_s = patience_s
        self._clock = clock
        self._lost_at = 0.0
        self._times_unknown = 0

    @property
    def is_kept(self) -> bool:
        return self.error is None

    @property
    def problem(self) -> str:
        return str(self.error)

    @property
    def says_unknown(self) -> bool:
        return self._times_unknown >= _TIMES_UNKNOWN

    @property
    def is_over(self) -> bool:
        if self.error is None:
            return False
        return self.says_unknown or self._clock() - self._lost_at > self._patience_s

    def kept(self) -> Call[None]:
        if self.error is not None:
            yield Say("Ray answers again")
        self.error = None
        self._times_unknown = 0

    def lost(self, error: RayError) -> Call[None]:
        if self.error is None:
            self._lost_at = self._clock()
            yield Say(f"No word of the job, waiting up to {self._patience_s:.0f} s: {error}")
        self.error = error
        self._times_unknown = self._times_unknown + 1 if isinstance(error, JobNotFound) else 0


@dataclass
class _Log:
    """The job's log as told so far: in order, each line once."""

    submission_id: str
    told: int = 0
    tail: str = ""
    next_at: float = 0.0
    is_full: bool = False

    def tell(self, *, to_the_end: bool = False) -> Call[None]:
        """Tells the lines that are new; an unfinished last line waits for its end."""
        if self.is_full and not to_the_end:
            return
        try:
            text = yield from read_log(self.submission_id, tries=4 if to_the_end else 1)
        except RayError:
            return  # a lost poll: the next one gets the same lines and more
        self.tail = "\n".join(text.splitlines()[-TAIL_LINES:])
        if self.is_full:
            return
        end = len(text) if to_the_end else text.rfind("\n") + 1
        if new := text[self.told : min(end, LOG_LIMIT)].rstrip("\n"):
            yield Say(new)
        self.told = max(self.told, end)
        if self.told > LOG_LIMIT:
            self.is_full = True
            yield Say(f"… the log is longer than {LOG_LIMIT:,} characters: see Ray's dashboard")
