"""From an Airflow connection of type ``ray`` to a client.

| Field of the connection | Means |
|---|---|
| host, port, schema | the dashboard: ``http://host:8265`` when port and schema are left out |
| password | the token of Ray's token authentication; empty when it is off |
| extra ``serve_address`` | HTTP address of Ray Serve; ``http://host:8000`` when left out |
| extra ``verify`` | false turns checking of TLS certificates off; a string is a CA bundle |
| extra ``runtime_env`` | JSON: Ray runtime environment of every job submitted through it |
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from airflow.sdk import BaseHook

from airflow_provider.client import AsyncRayClient, Cluster, RayClient, ray_version
from airflow_provider.errors import BadConnection

_DASHBOARD_PORT = 8265
_SERVE_PORT = 8000


class Connection(Protocol):
    """The part of an Airflow connection that is read."""

    conn_id: str
    host: str | None
    port: int | None
    schema: str | None
    password: str | None

    @property
    def extra_dejson(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class RaySettings:
    """What a connection says."""

    cluster: Cluster
    serve_address: str
    runtime_env: dict[str, Any] = field(repr=False)


def settings_of(connection: Connection) -> RaySettings:
    """Reads an Airflow connection.

    Raises:
        BadConnection: it names no host, or an extra has the wrong type.
    """
    where = f"connection {connection.conn_id!r}"
    host, extra = connection.host or "", connection.extra_dejson
    if "://" not in host:  # people paste whole URLs into the host
        host = f"{connection.schema or 'http'}://{host}"
    parts = urlsplit(host)
    try:
        pasted_port = parts.port
    except ValueError as error:
        raise BadConnection(f"{host!r} is no address: {error}", where) from error
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise BadConnection(
            f"host {connection.host!r} with schema {connection.schema!r} is no dashboard's address",
            where=where,
            remedy="Set host (and port, 8265 by default); the schema is http or https",
        )
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = connection.port or pasted_port or _DASHBOARD_PORT
    return RaySettings(
        cluster=Cluster(
            address=f"{parts.scheme}://{name}:{port}{parts.path.rstrip('/')}",
            token=connection.password or "",
            verify=_verify(extra.get("verify"), where),
        ),
        serve_address=str(
            extra.get("serve_address") or f"{parts.scheme}://{name}:{_SERVE_PORT}"
        ).rstrip("/"),
        runtime_env=_runtime_env(extra.get("runtime_env"), where),
    )


def _verify(value: object, where: str) -> bool | str:
    match value:
        case None | "" | True | "true" | "True":
            return True
        case False | "false" | "False":
            return False
        case str():
            return value
    raise BadConnection(
        f"extra verify is {value!r}", where, "Use true, false or a CA bundle's path"
    )


def _runtime_env(value: object, where: str) -> dict[str, Any]:
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except ValueError as error:
            raise BadConnection(f"extra runtime_env is not JSON: {error}", where) from error
    if not value:
        return {}
    if not isinstance(value, dict):
        raise BadConnection(
            f"extra runtime_env is a {type(value).__name__}", where, "Use an object"
        )
    return value


class RayHook(BaseHook):
    """Access to a Ray cluster through its dashboard.

    Args:
        ray_conn_id: which Airflow connection.
    """

    conn_name_attr = "ray_conn_id"
    default_conn_name = "ray_default"
    conn_type = "ray"
    hook_name = "Ray"

    def __init__(self, ray_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ray_conn_id = ray_conn_id

    def settings(self) -> RaySettings:
        """What the connection says. Raises :class:`BadConnection`."""
        return settings_of(self.get_connection(self.ray_conn_id))

    async def asettings(self) -> RaySettings:
        """Like :meth:`settings`, for an event loop."""
        return settings_of(await self.aget_connection(self.ray_conn_id))

    def get_conn(self) -> RayClient:
        """A client that blocks; close it, or use it in ``with``."""
        return RayClient(self.settings().cluster, say=self.lines)

    async def aget_conn(self, say: Callable[[str], None]) -> AsyncRayClient:
        """A client that awaits; what a call has to tell goes to ``say``."""
        return AsyncRayClient((await self.asettings()).cluster, say=say)

    def lines(self, text: str) -> None:
        """Logs a text, one record a line."""
        for line in text.splitlines():
            self.log.info("%s", line)

    def test_connection(self) -> tuple[bool, str]:
        """For the Test button: whether the dashboard lets us in, and Ray's version or the error."""
        try:
            settings = self.settings()
            with RayClient(settings.cluster) as ray:
                version = ray.run(ray_version())
        except Exception as error:
            return False, str(error)
        return True, f"Ray {version} at {settings.cluster.address}"
