"""A run that is troubled until its moments are spent, and started again until it commits."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from graphs.spec import Failure, RunResult, RunSpec
from tests.chaos.moments import FAST_S, Moment, ambush_on, carry_out
from tests.chaos.world import Driver, World, done_shards

HELD_S = 60.0
"""How long a node waits over a shard while the run is ahead of its moments, unless it is let go."""
STALL_S = 150.0
"""A driver under which no shard gets done for so long, though nothing is killed, hangs. Longer
than what Ray takes to notice that its head is gone (60 s)."""


class Unforgivable(AssertionError):
    """An attempt failed in a way that trying again cannot help, or hung, or all took too long."""


@dataclass
class Chronicle:
    """What happened."""

    say: Callable[[str], None] = lambda line: None
    moments: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    began: float = field(default_factory=time.monotonic)
    at_most_s: float = 40 * 60

    def tell(self, line: str) -> None:
        self.say(f"{time.monotonic() - self.began:7.1f} s  {line}")


class Troubled:
    """Keeps one run going, as Airflow would."""

    def __init__(self, world: World, place: str, spec: RunSpec, chronicle: Chronicle) -> None:
        self._world, self._place, self._spec = world, place, spec
        self._chronicle = chronicle
        self._driver: Driver | None = None
        self._done: set[tuple[str, str]] = set()
        self._moved = time.monotonic()

    def run(self, moments: Iterable[Moment], *, count: int, shards: int) -> RunResult:
        """Troubles the run at those moments, then lets it finish, but for two last ones: the
        driver is killed before, and the next one after, its put of the manifest is carried out.

        Raises:
            Unforgivable: it would never have committed.
        """
        for is_after in (False, True):
            self._world.proxy.lay(ambush_on("manifest", is_after=is_after, say=self._note_commit))
        for number, moment in enumerate(moments):
            self._watch_for(moment.after_s, ahead_of=number / count, shards=shards)
            said = self._carry_out(moment, ahead_of=number / count, shards=shards)
            self._chronicle.moments[moment.kind] += 1
            self._moved = time.monotonic()
            self._chronicle.tell(f"{number + 1:3d}  {len(self._done):3d} shards done  {said}")
        self._world.pace(FAST_S)
        while (result := self._look()) is None:
            time.sleep(0.1)
        return result

    def _note_commit(self, said: str) -> None:
        self._chronicle.moments["committer"] += 1
        self._chronicle.tell(f"     {said}")

    def _alive(self) -> Driver:
        assert self._look() is None, "committed before its moments were spent"
        assert self._driver is not None
        return self._driver

    def _carry_out(self, moment: Moment, *, ahead_of: float, shards: int) -> str:
        """Waits until there is somebody to kill, and lets the run go on a little for that."""
        while True:
            ahead_of += 0.02

            def tend(limit: float = ahead_of) -> None:
                self._watch_for(0, ahead_of=limit, shards=shards)

            said = carry_out(moment, self._world, self._alive, tend)
            if said is not None:
                return said
            # A stage that is through with all shards has nobody left; who begins anew needs it.
            self._alive().kill()

    def _watch_for(self, seconds: float, *, ahead_of: float, shards: int) -> None:
        deadline = time.monotonic() + seconds
        while True:
            assert self._look() is None, "committed before its moments were spent"
            is_ahead = len(self._done) / shards > 0.95 * ahead_of
            self._world.pace(HELD_S if is_ahead else FAST_S)
            time.sleep(0.05)
            if time.monotonic() > deadline:
                return

    def _look(self) -> RunResult | None:
        """Starts the next attempt where one has ended; gives the result once one succeeded."""
        if time.monotonic() - self._chronicle.began > self._chronicle.at_most_s:
            raise Unforgivable(f"not committed within {self._chronicle.at_most_s:.0f} s")
        if self._driver is not None and self._driver.has_ended:
            outcome = self._driver.outcome()
            self._driver = None
            if isinstance(outcome, RunResult):
                return outcome
            self._judge(outcome)
        if self._driver is None:
            self._driver = self._world.start_driver(self._spec)
            self._chronicle.attempts += 1
            self._moved = time.monotonic()
        self._notice_progress()
        return None

    def _judge(self, outcome: Failure | None) -> None:
        if outcome is None:
            return
        self._chronicle.failures[outcome.error] += 1
        self._chronicle.tell(f"     {outcome.error}: {_short(outcome.message)}")
        if not outcome.is_retryable:
            raise Unforgivable(f"{outcome.error}: {outcome.message}")

    def _notice_progress(self) -> None:
        done = done_shards(self._place)
        if len(done) > len(self._done):
            self._moved = time.monotonic()
        self._done = done
        if time.monotonic() - self._moved > STALL_S:
            raise Unforgivable(f"no shard was done for {STALL_S:.0f} s; {len(done)} are")


def _short(message: str) -> str:
    """The last line of what may be a worker's traceback."""
    return message.strip().splitlines()[-1][-600:]
