"""Many graphs in one replica: what a process costs to start is most of what a graph costs."""

from __future__ import annotations

from collections.abc import Mapping

from ray import serve
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from graphs.planners.online import OnlinePlan
from graphs.runtimes.ray_serve.app import GraphServer


@serve.ingress()
class Crowd:
    """The application of each plan, as its replica would answer, under the plan's name."""

    async def __init__(self, plans: Mapping[str, OnlinePlan]) -> None:  # type: ignore[misc]
        self._servers = {name: GraphServer.__new__(GraphServer) for name in plans}
        for name, plan in plans.items():
            await self._servers[name].__init__(plan, None, {})  # type: ignore[misc]

    def __serve_build_asgi_app__(self) -> ASGIApp:
        return Starlette(
            routes=[
                Mount(f"/{name}", server.__serve_build_asgi_app__())
                for name, server in self._servers.items()
            ]
        )
