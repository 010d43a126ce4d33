"""The two drivers of a call: one blocks, one awaits. Everything they know is in the calls."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from airflow_provider.client.records import Call, Pause, Request, Response, Say, T
from airflow_provider.errors import BadConnection, RayError, Unreachable

if TYPE_CHECKING:
    import ssl

    import httpx

log = logging.getLogger(__name__)

_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Cluster:
    """Where a Ray cluster's dashboard is, and how to be let in.

    Args:
        address: base URL of the dashboard, such as ``http://head:8265``.
        token: for Ray's token authentication; empty when it is off.
        verify: whether TLS certificates are checked, or the path of a CA bundle.
    """

    address: str
    token: str = field(default="", repr=False)
    verify: bool | str = True


class RayClient:
    """Carries out calls one after the other, blocking."""

    def __init__(self, cluster: Cluster, *, say: Callable[[str], None] = log.info) -> None:
        import httpx

        self._cluster = cluster
        self._say = say
        self._http = httpx.Client(**_options(cluster))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def run(self, call: Call[T]) -> T:
        """Carries out a call and returns what it returns."""
        answer: Response | RayError | None = None
        while True:
            try:
                step = call.throw(answer) if isinstance(answer, RayError) else call.send(answer)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            answer = None
            match step:
                case Request():
                    answer = self._answer(step)
                case Pause(seconds):
                    time.sleep(seconds)
                case Say(text):
                    self._say(text)

    def _answer(self, request: Request) -> Response | RayError:
        try:
            return _response(self._http.request(request.method, request.path, json=request.body))
        except Exception as error:
            return _mapped(error, self._cluster)


class AsyncRayClient:
    """Carries out calls without blocking the event loop."""

    def __init__(self, cluster: Cluster, *, say: Callable[[str], None] = log.info) -> None:
        import httpx

        self._cluster = cluster
        self._say = say
        self._http = httpx.AsyncClient(**_options(cluster))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def run(self, call: Call[T]) -> T:
        """Carries out a call and returns what it returns."""
        answer: Response | RayError | None = None
        while True:
            try:
                step = call.throw(answer) if isinstance(answer, RayError) else call.send(answer)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            answer = None
            match step:
                case Request():
                    answer = await self._answer(step)
                case Pause(seconds):
                    await asyncio.sleep(seconds)
                case Say(text):
                    self._say(text)

    async def _answer(self, request: Request) -> Response | RayError:
        try:
            return _response(
                await self._http.request(request.method, request.path, json=request.body)
            )
        except Exception as error:
            return _mapped(error, self._cluster)


def _options(cluster: Cluster) -> dict[str, Any]:
    return {
        "base_url": cluster.address,
        "headers": {"Authorization": f"Bearer {cluster.token}"} if cluster.token else {},
        "timeout": _TIMEOUT_S,
        "verify": _tls(cluster.verify),
    }


@cache
def _tls(verify: bool | str) -> ssl.SSLContext | bool:
    """Loading certificates takes tens of milliseconds: once a process, not once a task."""
    import ssl

    import httpx

    if isinstance(verify, str):
        return ssl.create_default_context(cafile=verify)
    return httpx.create_ssl_context() if verify else False


def _response(response: httpx.Response) -> Response:
    try:
        body = response.json()
    except ValueError:
        body = None
    return Response(response.status_code, body, response.text)


def _mapped(error: Exception, cluster: Cluster) -> RayError:
    """Foreign errors become ours here, once; anything unexpected goes on as it is."""
    import httpx

    mapped: RayError
    if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
        mapped = BadConnection(
            f"{cluster.address!r} is not the address of a dashboard",
            remedy="It looks like http://head:8265",
        )
    elif isinstance(error, httpx.HTTPError):
        mapped = Unreachable(
            f"Ray does not answer ({type(error).__name__})",
            where=cluster.address,
            remedy="Is the cluster up, and are the connection's host and port those of its "
            "dashboard?",
        )
    else:
        raise error
    mapped.__cause__ = error
    return mapped
