"""Moments at which something is killed or spoiled: dealt by seed, and carried out."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import psutil

from tests.chaos.proxy import Ambush, Proxy, Request
from tests.chaos.world import Driver, World

Kind = Literal["driver", "task worker", "model actor", "cluster", "S3 faults", "writer"]

DECK: dict[Kind, int] = {
    "driver": 4,
    "task worker": 6,
    "model actor": 5,
    "cluster": 1,
    "S3 faults": 4,
    "writer": 5,
}
"""How often each kind comes in every 25 moments. A *writer* is whichever process next puts a data
file or a done-record: it is killed just before or just after the store carries that put out."""

WAIT_FOR_VICTIM_S = 45.0
FAST_S = 0.1
"""How long a node waits over a shard while the run may go on."""


@dataclass(frozen=True)
class Moment:
    """Something that is to happen to a run."""

    kind: Kind
    after_s: float
    """How long after the last one."""
    share: float
    """A number in [0, 1) that chooses the victim, or how bad it gets."""


def deal(seed: int, count: int, *, mean_wait_s: float) -> Iterator[Moment]:
    """That many moments, the same for the same seed: first one of each kind, then by the deck."""
    chance = random.Random(seed)
    kinds: list[Kind] = []
    hand: list[Kind] = [*DECK]
    while len(kinds) < count:
        chance.shuffle(hand)
        kinds += hand
        hand = [kind for kind, times in DECK.items() for _ in range(times)]
    for kind in kinds[:count]:
        yield Moment(kind, chance.uniform(0, 2 * mean_wait_s), chance.random())


def carry_out(
    moment: Moment, world: World, driver: Callable[[], Driver], tend: Callable[[], None]
) -> str | None:
    """Does what a moment says.

    Args:
        moment: what is to happen.
        world: where.
        driver: gives the driver that is at work now.
        tend: called while there is a wait for somebody to kill.

    Returns:
        What was done; ``None`` if there was nothing to do it to for a while.
    """
    if moment.kind == "driver":
        return _kill_driver(driver)
    if moment.kind == "task worker":
        return _kill_worker(world, "task", moment.share, tend)
    if moment.kind == "model actor":
        return _kill_worker(world, "actor", moment.share, tend)
    if moment.kind == "writer":
        return _kill_writer(world.proxy, moment.share, tend)
    if moment.kind == "cluster":
        world.kill_cluster()
        world.start_cluster()
        return "killed the whole cluster and its drivers; started a new one"
    share, for_s = 0.1 + 0.4 * moment.share, 1 + 4 * moment.share
    world.proxy.spoil(share, for_s)
    return f"spoil {share:.0%} of the requests to S3 for {for_s:.1f} s"


def _kill_driver(driver: Callable[[], Driver]) -> str | None:
    now = driver()
    if now.has_ended:
        return None
    now.kill()
    return f"killed driver {now.process.pid}"


def _kill_worker(world: World, kind: str, share: float, tend: Callable[[], None]) -> str | None:
    deadline = time.monotonic() + WAIT_FOR_VICTIM_S
    while not (found := sorted(world.workers(kind), key=lambda process: process.pid)):
        if time.monotonic() > deadline:
            return None
        tend()
    victim = found[int(share * len(found))]
    kill_and_await(victim)
    return f"killed {kind} worker {victim.pid}"


def _kill_writer(proxy: Proxy, share: float, tend: Callable[[], None]) -> str | None:
    what = "done-record" if int(4 * share) % 2 else "data file"
    said: list[str] = []
    ambush = ambush_on(what, is_after=share >= 0.5, say=said.append)
    proxy.lay(ambush)
    deadline = time.monotonic() + WAIT_FOR_VICTIM_S
    while not said and time.monotonic() < deadline:
        tend()
    if proxy.lift(ambush):
        return None
    while not said:  # it is being carried out
        time.sleep(0.02)
    return said[0]


def ambush_on(what: str, *, is_after: bool, say: Callable[[str], None]) -> Ambush:
    """Kills the process that next puts a thing, before or after the store carries it out.

    Args:
        what: ``data file``, ``done-record`` or ``manifest``.
        is_after: whether the put is carried out.
        say: told what was done.
    """

    def kill(request: Request) -> None:
        victim = _owner(request.client_port)
        when = "after" if is_after else "before"
        path = request.path.rpartition("/output/")[2].partition("?")[0]
        if victim is not None:
            kill_and_await(victim)
        pid = victim.pid if victim else "(gone)"
        say(f"killed writer {pid} {when} its put of {path}")

    def awaits(request: Request) -> bool:
        return request.method in ("PUT", "POST") and kind_of_object(request.path) == what

    return Ambush(awaits, is_after, kill)


def kill_and_await(victim: psutil.Process) -> None:
    """SIGKILL, until nothing of the process runs any more; its parent may collect it later."""
    with contextlib.suppress(psutil.NoSuchProcess):
        victim.kill()
        while victim.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)


def kind_of_object(path: str) -> str:
    """What lies at a request's path."""
    below = path.rpartition("/output/")[2]
    if below.startswith("snapshots/") and ".parquet" in below:
        return "data file"
    if below.startswith("manifests/"):
        return "manifest"
    return "done-record" if "/done/" in below else "other"


def _owner(port: int) -> psutil.Process | None:
    """The process whose end of a connection has that port."""
    for connection in psutil.net_connections("tcp"):
        if connection.laddr and connection.laddr.port == port and connection.pid:
            with contextlib.suppress(psutil.NoSuchProcess):
                return psutil.Process(connection.pid)
    return None
