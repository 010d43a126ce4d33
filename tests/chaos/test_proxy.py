"""The proxy does to requests what it is told, and nothing else."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.chaos import proxy
from tests.chaos.proxy import Ambush, Fault, Proxy, Request

BODY = b"x" * 10_000


class Upstream(ThreadingHTTPServer):
    """Answers every request with the same body and notes what was carried out."""

    def __init__(self) -> None:
        self.carried_out: list[tuple[str, str, bytes]] = []
        upstream = self

        class Answering(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                sent = self.rfile.read(int(self.headers["content-length"] or 0))
                upstream.carried_out.append((self.command, self.path, sent))
                self.send_response(200)
                self.send_header("content-length", str(len(BODY)))
                self.end_headers()
                self.wfile.write(BODY)

            do_PUT = do_GET

            def log_message(self, *arguments: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Answering)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def between(upstream: Upstream) -> Iterator[Proxy]:
    made = Proxy(f"http://127.0.0.1:{upstream.server_address[1]}")
    yield made
    made.close()


def ask(of: Proxy, method: str = "GET", body: bytes = b"") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(of.url.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, "/bucket/key", body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_what_is_not_spoiled_passes_and_is_counted(between: Proxy, upstream: Upstream) -> None:
    assert ask(between) == (200, BODY)
    assert ask(between, "PUT", b"data") == (200, BODY)
    assert upstream.carried_out == [("GET", "/bucket/key", b""), ("PUT", "/bucket/key", b"data")]
    assert between.requests == {"GET": 1, "PUT": 1}
    assert between.written == {"/bucket/key": 1}
    assert not between.faults


def test_a_refused_request_is_not_carried_out(
    between: Proxy, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "FAULTS", ("slow down",))
    between.spoil(1, for_s=60)
    status, body = ask(between)
    assert status == 503
    assert b"<Code>SlowDown</Code>" in body
    assert upstream.carried_out == []


@pytest.mark.parametrize(
    ("fault", "method", "is_carried_out"),
    [
        ("cut before", "PUT", False),
        ("cut after", "PUT", True),
        ("torn", "PUT", False),
        ("torn", "GET", True),
    ],
)
def test_a_cut_leaves_the_client_without_an_answer(
    fault: Fault,
    method: str,
    is_carried_out: bool,
    between: Proxy,
    upstream: Upstream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proxy, "FAULTS", (fault,))
    between.spoil(1, for_s=60)
    with pytest.raises((http.client.IncompleteRead, http.client.RemoteDisconnected, OSError)):
        ask(between, method, b"data" if method == "PUT" else b"")
    assert bool(upstream.carried_out) == is_carried_out
    assert between.faults == {fault: 1}
    # And once the burst is over, nothing is wrong any more
    between.spoil(0, for_s=0)
    assert ask(between) == (200, BODY)


@pytest.mark.parametrize("is_after", [False, True])
def test_an_ambush_is_sprung_once_by_the_request_that_it_awaits(
    is_after: bool, between: Proxy, upstream: Upstream
) -> None:
    sprung: list[Request] = []
    ambush = Ambush(lambda request: request.method == "PUT", is_after, sprung.append)
    between.lay(ambush)
    assert ask(between) == (200, BODY)
    with pytest.raises(OSError, match="closed connection"):
        ask(between, "PUT", b"data")
    assert [(one.method, one.path, one.body) for one in sprung] == [("PUT", "/bucket/key", b"data")]
    assert len(upstream.carried_out) == 1 + is_after
    assert ask(between, "PUT", b"data") == (200, BODY)
    assert not between.lift(ambush)
