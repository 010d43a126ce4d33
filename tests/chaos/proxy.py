"""An HTTP proxy in front of an S3 server: it counts, delays and, while told to, spoils requests."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["slow down", "cut before", "cut after", "torn"]
FAULTS: tuple[Fault, ...] = ("slow down", "cut before", "cut after", "torn")
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"


@dataclass(frozen=True)
class Request:
    """A request as it came in, and by which of the client's ports."""

    method: str
    path: str
    head: bytes
    body: bytes
    client_port: int


@dataclass(frozen=True)
class Ambush:
    """What is to happen, once, at a request: in place of passing it on, or after that."""

    awaits: Callable[[Request], bool]
    is_after: bool
    does: Callable[[Request], None]


class Proxy:
    """Passes requests on to ``upstream``, in a thread of its own.

    A request is spoiled in one of four ways (:data:`FAULTS`): refused by 503 SlowDown, cut off
    before it is carried out, cut off after (the response is lost), or cut off in the middle of a
    body (of the request, which is then not carried out; of the response where the request has
    none). Which ones are is drawn from the seed, in the order in which they arrive.
    """

    def __init__(self, upstream: str, *, seed: int = 0, latency_s: float = 0.0) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname, parts.port)
        self._random = random.Random(seed)
        self._latency_s = latency_s
        self._share, self._until = 0.0, 0.0
        self._each_once: Fault | None = None
        self._spoiled: set[tuple[str, str]] = set()
        self._ambushes: list[Ambush] = []
        self.requests: Counter[str] = Counter()
        """How many came in, by method."""
        self.faults: Counter[Fault] = Counter()
        """How many were spoiled, by fault."""
        self.written: Counter[str] = Counter()
        """How often an object was put, by path; only what the server accepted."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**22))
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def close(self) -> None:
        """Stops listening and hangs up."""
        self._do(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def spoil(self, share: float, for_s: float) -> None:
        """From now on, for a while, spoil that share of the requests."""
        self._share, self._until = share, time.monotonic() + for_s

    def spoil_each_once(self, fault: Fault | None) -> None:
        """From now on, spoil every first request of its method for an object; ``None`` ends it."""
        self._each_once = fault
        self._spoiled.clear()

    def lay(self, ambush: Ambush) -> None:
        """Add an ambush; the first request that it awaits springs it."""
        self._ambushes.append(ambush)

    def lift(self, ambush: Ambush) -> bool:
        """Take an ambush back. Returns whether it was still there."""
        with contextlib.suppress(ValueError):
            self._ambushes.remove(ambush)
            return True
        return False

    def _do(self, coroutine: object) -> asyncio.Server:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)  # type: ignore[arg-type]

    async def _shut(self) -> None:
        self._server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gone = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError)
        with contextlib.suppress(*gone):
            while await self._answer(reader, writer):
                pass
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serves one request. Returns whether the connection may carry another."""
        head = await reader.readuntil(b"\r\n\r\n")
        method, path, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        self.requests[method] += 1
        fault = self._draw((method, path))
        if _header(head, b"expect"):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await _body(reader, head)
        request = Request(method, path, head, body, writer.get_extra_info("peername")[1])
        if fault == "slow down":
            writer.write(_refusal(method))
            await writer.drain()
            return True
        if fault == "cut before" or (fault == "torn" and body):
            return False
        await asyncio.sleep(self._latency_s)
        if await self._is_sprung(request, is_after=False):
            return False
        answer, rest = await self._passed_on(request)
        if await self._is_sprung(request, is_after=True):
            return False
        if fault == "cut after":
            return False
        if fault == "torn":
            whole = answer + rest
            writer.write(whole[: len(answer) + len(rest) // 2 if rest else len(answer) // 2])
            await writer.drain()
            return False
        writer.write(answer + rest)
        await writer.drain()
        return True

    def _draw(self, request: tuple[str, str]) -> Fault | None:
        if self._each_once is not None and request not in self._spoiled:
            self._spoiled.add(request)
            self.faults[self._each_once] += 1
            return self._each_once
        if time.monotonic() > self._until or self._random.random() > self._share:
            return None
        fault = self._random.choice(FAULTS)
        self.faults[fault] += 1
        return fault

    async def _is_sprung(self, request: Request, *, is_after: bool) -> bool:
        for ambush in [*self._ambushes]:
            if ambush.is_after == is_after and ambush.awaits(request) and self.lift(ambush):
                await self._loop.run_in_executor(None, ambush.does, request)
                return True
        return False

    async def _passed_on(self, request: Request) -> tuple[bytes, bytes]:
        """Head and body of the server's answer, fit for a connection that stays open."""
        reader, writer = await asyncio.open_connection(*self._upstream)
        dropped = (b"connection:", b"expect:")
        lines = [one for one in request.head[:-4].split(b"\r\n") if not _starts(one, dropped)]
        writer.write(b"\r\n".join([*lines, b"Connection: close", b"", b""]) + request.body)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        lines = [one for one in head.split(b"\r\n") if not _starts(one, (b"connection:",))]
        is_framed = _header(head, b"content-length") or _header(head, b"transfer-encoding")
        if not is_framed and request.method != "HEAD":
            lines.append(b"Content-Length: %d" % len(body))
        if request.method == "PUT" and lines[0].split(b" ")[1].startswith(b"2"):
            self.written[urlsplit(request.path).path] += 1
        lines[0] = lines[0].replace(b"HTTP/1.0", b"HTTP/1.1")
        return b"\r\n".join([*lines, b"", b""]), body


def _starts(line: bytes, names: tuple[bytes, ...]) -> bool:
    return line.lower().startswith(names)


def _header(head: bytes, name: bytes) -> bytes:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return b""


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """A request's body as it was sent, chunks and all."""
    if b"chunked" not in _header(head, b"transfer-encoding"):
        return await reader.readexactly(int(_header(head, b"content-length") or 0))
    chunks = []
    while True:
        size = await reader.readuntil(b"\r\n")
        data = await reader.readexactly(int(size.split(b";")[0], 16) + 2)
        chunks += [size, data]
        if data == b"\r\n":
            return b"".join(chunks)


def _refusal(method: str) -> bytes:
    body = b"" if method == "HEAD" else SLOW_DOWN
    head = b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body
