"""The example on the real model gives equal results in this process, on Ray Data and on Serve.

Equal within the tolerance of parity: a vector depends, in its last bits, on what shares its batch.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from graphs import compile, run
from graphs.examples.descriptions import TOPICS
from graphs.examples.topics import topics
from graphs.promotion.parity import compare
from graphs.runtimes.ray_serve.wire import Wire
from tests.cases.carrying_out import on_ray_data, post
from tests.cases.case import Case
from tests.promotion.cluster import free_port

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    texts = [*TOPICS.values(), "parse an ISO 8601 timestamp", ""]
    columns = {"doc_id": [str(n) for n in range(len(texts))], "text": texts}
    return pa.table({**columns, "package": ["p"] * len(texts), "kind": ["k"] * len(texts)})


@pytest.fixture(scope="module")
def inline(rows: pa.Table) -> pa.Table:
    return run(topics, rows).table


def agree(one: pa.Table, other: pa.Table) -> bool:
    parity = compare(one, other, key="doc_id", tolerance={})
    return parity.agreed == parity.sampled == one.num_rows


@pytest.mark.usefixtures("cluster")
def test_on_ray_data(rows: pa.Table, inline: pa.Table, tmp_path: Path) -> None:
    case = Case(name="topics", graph=topics, rows=rows.to_pydict(), out={})

    assert agree(inline, on_ray_data(case, tmp_path).table)


@pytest.mark.usefixtures("cluster")
def test_on_ray_serve(rows: pa.Table, inline: pa.Table) -> None:
    from ray import serve

    from graphs.runtimes.ray_serve.deploy import deploy, start_serve

    address = f"http://127.0.0.1:{free_port()}"
    start_serve(address)
    deploy(compile(topics.graph, "online"), app="topics", route="/topics", serve_address=address)
    status, body = post(f"{address}/topics", Wire(topics.graph).write_rows(rows))
    serve.shutdown()

    assert status == 200
    online = pa.Table.from_pylist(json.loads(body), schema=topics.graph.output_schema)
    assert agree(inline, online)
