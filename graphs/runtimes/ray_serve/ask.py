"""Asking a route over HTTP what a sample's rows come to."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from graphs.errors import DeployFailed, ParityFailed
from graphs.ir import Graph
from graphs.promotion.parity import compare
from graphs.promotion.sample import Sample
from graphs.runtimes.ray_serve.wire import ERROR, FILTERED, Wire
from graphs.spec import Parity

_CHUNK_ROWS = 32
_TIMEOUT_S = 120
_BUSY = (429, 502, 503, 504)
_ATTEMPTS = 6


@dataclass(frozen=True, slots=True)
class Response:
    """What came back."""

    status: int
    version: str
    """Value of ``X-Graph-Version``; empty without one."""
    body: bytes


def live_version(url: str) -> str | None:
    """The version that answers at a route's URL now; ``None`` if no graph does."""
    try:
        response = _send(urllib.request.Request(f"{url}/health"))  # noqa: S310
    except OSError:
        return None
    return response.version if response.status == 200 and response.version else None


def ask_parity(
    url: str, graph: Graph, version: str, sample: Sample, tolerance: Mapping[str, float]
) -> Parity:
    """Ask a route about a sample's rows and require the snapshot's outputs.

    Raises:
        ParityFailed: answers differ (names keys, columns and both values), or are no answers.
        DeployFailed: the route does not answer, or answers at another version.
    """
    wire = Wire(graph)
    answered: list[dict[str, Any]] = []
    for start in range(0, sample.inputs.num_rows, _CHUNK_ROWS):
        answered += _ask(url, wire, version, sample.inputs.slice(start, _CHUNK_ROWS))
    refused = {a[graph.key]: _refusal(a[ERROR]) for a in answered if ERROR in a}
    refused |= {a[graph.key]: "filtered" for a in answered if FILTERED in a}
    rows = [answer for answer in answered if not {ERROR, FILTERED} & answer.keys()]
    online = pa.Table.from_pylist(rows, schema=graph.output_schema)
    parity = compare(sample.offline, online, key=graph.key, tolerance=tolerance, refused=refused)
    if parity.agreed < parity.sampled:
        raise ParityFailed(
            f"{parity.sampled - parity.agreed} of {parity.sampled} sampled keys differ: "
            + "; ".join(parity.disagreements),
            where=f"graph {graph.name!r}, version {version}, at {url}",
            remedy="What was live before still answers; compare artifacts and environment of "
            "the Serve replicas with those of the run",
        )
    return parity


def _refusal(told: Mapping[str, str]) -> str:
    return f"rejected online by node {told['node']!r} ({told['type']}: {told['message']})"


def _ask(url: str, wire: Wire, version: str, rows: pa.Table) -> list[dict[str, Any]]:
    response = _post(url, wire.write_rows(rows))
    where = f"graph {wire.graph.name!r}, version {version}, at {url}"
    if response.version != version:
        raise DeployFailed(
            f"version {response.version or '(none)'} answers (HTTP {response.status})", where
        )
    if response.status != 200:
        raise ParityFailed(f"HTTP {response.status}: {_excerpt(response.body)}", where)
    try:
        return wire.read_answers(response.body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        raise ParityFailed(
            f"the answers are not of the graph's types ({path}: {first['msg']})", where
        ) from error


def _post(url: str, body: bytes) -> Response:
    """POST, again while the service is busy or its proxy is just learning the route."""
    request = urllib.request.Request(  # noqa: S310
        url, data=body, headers={"Content-Type": "application/json"}, method="POST"
    )
    for attempt in range(_ATTEMPTS):
        try:
            response = _send(request)
            if response.status not in _BUSY:
                return response
            problem = f"HTTP {response.status}: {_excerpt(response.body)}"
        except OSError as error:
            problem = str(error)
        time.sleep(0.25 * 2**attempt)
    raise DeployFailed(f"does not answer: {problem}", url)


def _send(request: urllib.request.Request) -> Response:
    """One exchange; an HTTP status is an answer, whatever it is. ``OSError`` if there is none."""
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310
            return Response(
                response.status, response.headers.get("X-Graph-Version", ""), response.read()
            )
    except urllib.error.HTTPError as error:
        with error:
            return Response(error.code, error.headers.get("X-Graph-Version", ""), error.read())
    except http.client.HTTPException as error:
        raise ConnectionError(f"broken response: {error!r}") from error


def _excerpt(body: bytes) -> str:
    text = body[:2000].decode(errors="replace")
    try:
        return "; ".join(
            f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in json.loads(text)["detail"]
        )
    except (ValueError, KeyError, TypeError):
        return text[:300]
