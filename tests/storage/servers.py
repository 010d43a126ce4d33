"""Real servers for storage tests: moto's S3, and a proxy that spoils what passes through it."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONDITIONAL = ("if-match", "if-none-match")
SLOW_DOWN = (
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)


@contextmanager
def moto(is_open: bool = True) -> Iterator[str]:
    """A moto server in a process of its own; a closed one accepts nobody's credentials."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = dict(os.environ)
    if not is_open:
        environment["INITIAL_NO_AUTH_ACTION_COUNT"] = "0"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await_port(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _await_port(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            threading.Event().wait(0.05)


def make_bucket(server: str, name: str) -> None:
    urllib.request.urlopen(urllib.request.Request(f"{server}/{name}", method="PUT"))


@contextmanager
def proxy(
    upstream: str,
    *,
    drop: tuple[str, ...] = (),
    cut: Callable[[str, str], bool] = lambda method, path: False,
    block: Callable[[str, str], bool] = lambda method, path: False,
    throttle: Callable[[str, str], bool] = lambda method, path: False,
    halve: Callable[[str, str], bool] = lambda method, path: False,
) -> Iterator[str]:
    """An HTTP proxy in front of a server.

    Args:
        upstream: the server's URL.
        drop: request headers, in lower case, that it forgets to pass on.
        cut: given method and path, whether to close the connection instead of answering after
            the request was carried out.
        block: given the same, whether to close the connection without carrying it out.
        throttle: given the same, whether to answer 503 SlowDown without carrying it out.
        halve: given the same, whether to close the connection in the middle of the answer.
    """

    class Spoiler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if block(self.command, self.path):
                self._hang_up()
                return
            if throttle(self.command, self.path):
                self._answer(503, SLOW_DOWN)
                return
            headers = {k: v for k, v in self.headers.items() if k.lower() not in drop}
            connection = http.client.HTTPConnection(upstream.removeprefix("http://"))
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            if cut(self.command, self.path):
                self._hang_up()
                return
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            is_head = self.command == "HEAD"
            length = answer.getheader("content-length") if is_head else str(len(content))
            self.send_header("content-length", length or "0")
            self.end_headers()
            if halve(self.command, self.path):
                self.wfile.write(content[: len(content) // 2])
                self.wfile.flush()
                self._hang_up()
            elif not is_head:
                self.wfile.write(content)

        def _answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def _hang_up(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass_on

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Spoiler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
