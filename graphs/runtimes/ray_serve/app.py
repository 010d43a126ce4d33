"""The application that answers for a graph: where requests arrive, and its HTTP routes.

The class is found by reference on the cluster; what travels is the plan, which is data.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
from fastapi import FastAPI
from pydantic import ValidationError
from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graphs.planners.online import OnlinePlan
from graphs.runtimes.kernel import Computed, Kernel
from graphs.runtimes.ray_serve.answering import (
    Proof,
    Question,
    Reply,
    answer,
    answer_by_calls,
    compute,
)
from graphs.runtimes.ray_serve.calls import Ask, Calls
from graphs.runtimes.ray_serve.node_server import asking
from graphs.runtimes.ray_serve.openapi import document
from graphs.runtimes.ray_serve.wire import Wire, write_answers

VERSION_HEADER = "X-Graph-Version"
LARGEST_BODY_BYTES = 16 * 1024 * 1024

Answer = Callable[[list[Question]], Coroutine[Any, Any, list[Reply]]]


@serve.ingress()
class GraphServer:
    """A replica: loads the models of the plan's first deployment, proves itself, then answers.

    Where all nodes are here, a request goes through them in one step. Otherwise it makes the
    plan's calls, those of further deployments over their handles.

    Args:
        plan: what to serve.
        proof: rows it must reproduce first, with the help of the further deployments.
        handles: of the further deployments, by name.

    Raises:
        NodeError: a model does not load.
        ParityFailed: it computes something else than the proof says.
    """

    async def __init__(  # type: ignore[misc]  # Serve awaits it, and the proof may need handles
        self, plan: OnlinePlan, proof: Proof | None, handles: Mapping[str, DeploymentHandle[Any]]
    ) -> None:
        self._graph = plan.graph
        self._version = plan.version
        self._wire = Wire(plan.graph)
        # One thread: a node's function is never called twice at once, as in the other runtimes.
        self._computing = ThreadPoolExecutor(1, thread_name_prefix="kernel")
        if handles:
            answer_together = await self._prepare_calls(plan, proof, handles)
        else:
            answer_together = self._prepare_kernel(plan, proof)
        self._answer = serve.batch(
            max_batch_size=plan.profile.max_batch_requests,
            batch_wait_timeout_s=plan.profile.batch_wait_s,
            # While a further deployment computes a batch, the next one can be on its way.
            max_concurrent_batches=1 + sum(d.replicas for d in plan.deployments[1:]),
        )(answer_together)

    def _prepare_kernel(self, plan: OnlinePlan, proof: Proof | None) -> Answer:
        kernel = Kernel(plan.graph, plan.deployments[0].nodes)
        if proof is not None:
            proof.check(plan.graph, compute(kernel, proof.inputs).outputs)
        else:
            kernel.warm_up()

        async def answer_together(questions: list[Question]) -> list[Reply]:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._computing, answer, kernel, questions)

        return answer_together

    async def _prepare_calls(
        self, plan: OnlinePlan, proof: Proof | None, handles: Mapping[str, DeploymentHandle[Any]]
    ) -> Answer:
        calls = Calls(
            plan,
            [
                asking(handles[call.deployment], call)
                if call.deployment in handles
                else self._computing_here(Kernel(plan.graph, call.nodes))
                for call in plan.calls
            ],
        )
        if proof is not None:
            proof.check(plan.graph, (await calls.run(proof.inputs)).outputs)
        await calls.warm_up()

        async def answer_together(questions: list[Question]) -> list[Reply]:
            return await answer_by_calls(calls, questions)

        return answer_together

    def _computing_here(self, kernel: Kernel) -> Ask:
        kernel.warm_up()

        async def ask(rows: pa.Table) -> Computed:
            return await asyncio.get_running_loop().run_in_executor(
                self._computing, kernel.run, rows
            )

        return ask

    def __serve_build_asgi_app__(self) -> ASGIApp:
        app = FastAPI(title=self._graph.name, version=self._version, redirect_slashes=False)
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
        state = {"status": "ok", "graph": self._graph.name, "version": self._version}
        return JSONResponse(state)


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
