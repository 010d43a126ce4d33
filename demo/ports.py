"""Free ports on 127.0.0.1."""

from __future__ import annotations

import secrets
import socket
from contextlib import ExitStack

HOST = "127.0.0.1"
# Below the range from which Linux and macOS take the ports of outgoing connections; apart, so that
# a run of ports never holds one that was handed out alone.
SINGLES = range(20_000, 26_000)
RUNS = range(26_000, 32_000)


def free_ports(count: int) -> list[int]:
    """That many different ports on which nothing listens now."""
    with ExitStack() as held:
        ports: list[int] = []
        for port in secrets.SystemRandom().sample(SINGLES, len(SINGLES)):
            candidate = held.enter_context(socket.socket())
            if _binds(candidate, port):
                ports.append(port)
            if len(ports) == count:
                return ports
    raise OSError(f"fewer than {count} free ports in {SINGLES}")


def free_block(size: int) -> tuple[int, int]:
    """First and last port of a run of free ports."""
    for _ in range(100):
        first = RUNS.start + secrets.randbelow(len(RUNS) - size)
        with ExitStack() as held:
            sockets = (held.enter_context(socket.socket()) for _ in range(size))
            if all(_binds(one, first + i) for i, one in enumerate(sockets)):
                return first, first + size - 1
    raise OSError(f"no run of {size} free ports in {RUNS}")


def listens(port: int) -> bool:
    """Whether something accepts connections on a port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def _binds(candidate: socket.socket, port: int) -> bool:
    try:
        candidate.bind((HOST, port))
    except OSError:
        return False
    return True
