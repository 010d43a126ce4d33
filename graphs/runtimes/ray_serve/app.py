"""The application that answers for a graph: one fused replica class and its HTTP routes.

The class is found by reference on the cluster; what travels is the plan, which is data.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
from fastapi import FastAPI
from pydantic import ValidationError
from ray import serve
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graphs.errors import CheckFailed, NodeError
from graphs.planners.online import OnlinePlan
from graphs.runtimes.kernel import Kernel
from graphs.runtimes.ray_serve.answering import Proof, Question, Reply, answer
from graphs.runtimes.ray_serve.openapi import document
from graphs.runtimes.ray_serve.wire import Wire, write_answers

log = logging.getLogger(__name__)

VERSION_HEADER = "X-Graph-Version"
LARGEST_BODY_BYTES = 16 * 1024 * 1024


@serve.ingress()
class GraphServer:
    """A replica: loads the graph's models, proves itself, then answers.

    Args:
        plan: what to serve; one deployment.
        proof: rows it must reproduce first.

    Raises:
        NodeError: a model does not load.
        ParityFailed: it computes something else than the proof says.
    """

    def __init__(self, plan: OnlinePlan, proof: Proof | None) -> None:
        (deployment,) = plan.deployments
        self._version = plan.version
        self._wire = Wire(plan.graph)
        self._kernel = Kernel(plan.graph, deployment.nodes)
        if proof is not None:
            proof.check(self._kernel)
        else:
            _warm_up(self._kernel)
        # One thread: a node's function is never called twice at once, as in the other runtimes.
        self._computing = ThreadPoolExecutor(1, thread_name_prefix="kernel")
        self._answer = serve.batch(
            max_batch_size=plan.profile.max_batch_requests,
            batch_wait_timeout_s=plan.profile.batch_wait_s,
        )(self._answer_together)

    async def _answer_together(self, questions: list[Question]) -> list[Reply]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._computing, answer, self._kernel, questions)

    def __serve_build_asgi_app__(self) -> ASGIApp:
        graph = self._kernel.graph
        app = FastAPI(title=graph.name, version=self._version, redirect_slashes=False)
        # Plain routes: the body is read and validated here, straight from bytes to rows.
        app.add_route("/", self._ask, methods=["POST"])
        app.add_route("/health", self._health, methods=["GET"])
        app.openapi = lambda: document(self._wire, self._version)  # type: ignore[method-assign]
        app.add_middleware(_Versioned, version=self._version)
        return app

    async def _ask(self, request: Request) -> Response:
        body = await _body(request)
        if body is None:
            limit = f"the body is larger than {LARGEST_BODY_BYTES} bytes; ask in smaller lists"
            return _refusal(413, [{"type": "too_large", "loc": ["body"], "msg": limit}])
        try:
            question = Question(*self._wire.read_rows(body))
        except ValidationError as error:
            return _refusal(422, _problems(error))
        except (pa.ArrowException, OverflowError, ValueError) as error:
            return _refusal(422, [{"type": "arrow", "loc": ["body"], "msg": str(error)}])
        if question.rows.num_rows == 0:
            return Response(b"[]", media_type="application/json")
        reply = await self._answer(question)
        return Response(reply.body, reply.status, media_type="application/json")

    async def _health(self, _: Request) -> Response:
        state = {"status": "ok", "graph": self._kernel.graph.name, "version": self._version}
        return JSONResponse(state)


def one_deployment(plan: OnlinePlan) -> None:
    """Refuse before anything starts what a replica could not serve.

    Raises:
        CheckFailed: the plan has several deployments, or a column has no JSON form.
    """
    Wire(plan.graph)
    if len(plan.deployments) != 1:
        names = [deployment.name for deployment in plan.deployments]
        raise CheckFailed(plan.graph.name, [f"one deployment is served, the plan has {names}"])


def _warm_up(kernel: Kernel) -> None:
    """Compute one blank row, so that the first caller does not pay for what models do lazily."""
    blank = {port.name: pa.nulls(1, port.type) for port in kernel.graph.inputs}
    try:
        kernel.run(pa.table(blank))
    except NodeError as error:
        log.info("a blank row is beyond this graph, so nothing is warm: %s", error)


async def _body(request: Request) -> bytes | None:
    """The request's body; ``None`` as soon as it is too large to be taken."""
    size = 0
    chunks = []
    async for chunk in request.stream():
        size += len(chunk)
        if size > LARGEST_BODY_BYTES:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def _problems(error: ValidationError) -> list[dict[str, Any]]:
    """pydantic's errors in FastAPI's shape, without the caller's values in them."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return [{**problem, "loc": ["body", *problem["loc"]]} for problem in found]


def _refusal(status: int, problems: list[dict[str, Any]]) -> Response:
    return Response(write_answers({"detail": problems}), status, media_type="application/json")


class _Versioned:
    """Says in every response which version answered, and takes the route without its slash."""

    def __init__(self, app: ASGIApp, version: str) -> None:
        self._app = app
        self._version = version

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == scope.get("root_path", ""):
            scope = {**scope, "path": scope["path"] + "/"}

        async def send_versioned(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[VERSION_HEADER] = self._version
            await send(message)

        await self._app(scope, receive, send_versioned)
