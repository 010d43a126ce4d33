"""What does a graph answer online?"""

from __future__ import annotations

import concurrent.futures
import math
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from graphs.authoring import load_graph
from graphs.checks import check
from graphs.compiler import compile
from graphs.errors import CheckFailed, DeployFailed
from graphs.ir import GRAPH, Edge, Graph, Port
from graphs.promotion.parity import compare
from graphs.promotion.sample import Sample
from graphs.runtimes.inline import run
from graphs.runtimes.ray_serve.openapi import document
from graphs.runtimes.ray_serve.wire import Wire, rows_of, write_answers
from tests.promotion.cluster import Cluster, free_port, serving
from tests.promotion.worlds import CHAMPION, NEXT, Crowd, ask, row
from tests.runtimes import apart, apart_next

__all__ = ["serving"]


@pytest.fixture(scope="module")
def url(serving: Cluster) -> Iterator[str]:
    from graphs.runtimes.ray_serve.deploy import deploy, retire

    plan = compile(load_graph(CHAMPION), "online")
    deploy(plan, app="praise", route="/praise", serve_address=serving.serve_address)
    yield f"{serving.serve_address}/praise"
    retire("praise")


VERSION = "X-Graph-Version"


@pytest.mark.server
def test_one_row_gets_one_answer_and_the_version_that_gave_it(url: str) -> None:
    answer = ask(url, row("q", "four"))

    assert answer.status == 200
    assert answer.json["id"] == "q"
    assert answer.json["length"] == 4
    assert answer.json["score"] == pytest.approx(0.4)
    assert answer.headers[VERSION] == compile(load_graph(CHAMPION), "online").version


@pytest.mark.server
def test_a_list_gets_a_list_in_its_order_with_and_without_a_slash(url: str) -> None:
    rows = [row(f"q{i}", "x" * i) for i in range(40)]

    for route in (url, f"{url}/"):
        answer = ask(route, rows)
        assert answer.status == 200
        assert [(a["id"], a["length"]) for a in answer.json] == [(f"q{i}", i) for i in range(40)]


@pytest.mark.server
def test_answers_are_those_of_the_inline_runtime_bit_for_bit(url: str) -> None:
    graph = load_graph(CHAMPION)
    rows = [row(f"q{i}", "x" * i) for i in range(50)]
    inline = run(graph, pa.Table.from_pylist(rows, schema=graph.input_schema)).table

    online = pa.Table.from_pylist(ask(url, rows).json, schema=graph.output_schema)

    assert online.equals(inline)


@pytest.mark.server
def test_an_empty_list_gets_an_empty_list(url: str) -> None:
    answer = ask(url, [])

    assert (answer.status, answer.json) == (200, [])


@pytest.mark.server
@pytest.mark.parametrize(
    ("wrong", "loc", "kind"),
    [
        ({"text": 3}, ["text"], "string_type"),
        ({"id": None}, ["id"], "string_type"),
        ({"colour": "red"}, ["colour"], "extra_forbidden"),
    ],
)
def test_a_wrong_field_is_named(
    url: str, wrong: dict[str, object], loc: list[str], kind: str
) -> None:
    alone = ask(url, row() | wrong)
    third = ask(url, [row(), row(), row(), row() | wrong])

    assert (alone.status, third.status) == (422, 422)
    assert [(d["loc"], d["type"]) for d in alone.json["detail"]] == [(["body", *loc], kind)]
    assert [d["loc"] for d in third.json["detail"]] == [["body", 3, *loc]]
    assert alone.headers[VERSION]


@pytest.mark.server
def test_a_field_that_is_read_is_required_and_one_that_is_not_may_be_left_out(url: str) -> None:
    assert ask(url, {"id": "q", "text": "x"}).json["length"] == 1
    missing = ask(url, {"id": "q", "note": ""})

    assert missing.status == 422
    assert [(d["loc"], d["msg"]) for d in missing.json["detail"]] == [
        (["body", "text"], "Field required")
    ]


@pytest.mark.server
@pytest.mark.parametrize("body", [b"", b"{", b'"x"', b"[1]", b"[" * 100_000, b"\xff", b"null"])
def test_what_is_no_row_is_refused(url: str, body: bytes) -> None:
    answer = ask(url, raw=body)

    assert answer.status == 422
    assert answer.json["detail"][0]["loc"][0] == "body"


@pytest.mark.server
def test_a_body_that_is_too_large_is_refused(url: str) -> None:
    answer = ask(url, row("q", "x" * (17 * 1024 * 1024)))

    assert answer.status == 413


@pytest.mark.server
def test_a_rejected_row_says_node_and_error_but_nothing_of_the_server(url: str) -> None:
    answer = ask(url, row("q", "a thorn"))

    assert answer.status == 422
    assert answer.json["detail"] == [
        {
            "type": "rejected_row",
            "loc": ["body"],
            "msg": "a thorn in …",
            "ctx": {"node": "measure", "error": "ValueError"},
        }
    ]


@pytest.mark.server
def test_a_rejected_row_in_a_list_leaves_the_others_alone(url: str) -> None:
    answer = ask(url, [row("a"), row("b", "a thorn"), row("c")])

    assert answer.status == 200
    assert [sorted(entry) for entry in (answer.json[0], answer.json[2])] == [
        ["id", "length", "score", "vector"]
    ] * 2
    assert answer.json[1] == {
        "id": "b",
        "error": {"node": "measure", "type": "ValueError", "message": "a thorn in …"},
    }


@pytest.mark.server
def test_requests_that_come_together_each_get_their_own(url: str) -> None:
    def one(i: int) -> tuple[object, object]:
        text = "a thorn" if i % 5 == 0 else "x" * i
        answer = ask(url, [row(f"q{i}", text)] * (i % 3 + 1))
        return [a["id"] for a in answer.json], ["error" in a for a in answer.json]

    with concurrent.futures.ThreadPoolExecutor(16) as clients:
        got = list(clients.map(one, range(64)))

    assert got == [([f"q{i}"] * (i % 3 + 1), [i % 5 == 0] * (i % 3 + 1)) for i in range(64)]


@pytest.mark.server
def test_health_tells_the_version(url: str) -> None:
    answer = ask(f"{url}/health")

    assert answer.status == 200
    assert answer.json["status"] == "ok"
    assert answer.json["version"] == answer.headers[VERSION]


@pytest.mark.server
def test_openapi_describes_both_forms_the_answers_and_the_refusal(url: str) -> None:
    document = ask(f"{url}/openapi.json").json

    assert document["servers"] == [{"url": "/praise"}]
    schemas = document["components"]["schemas"]
    assert schemas["Praise"]["required"] == ["id", "text"]
    assert schemas["Praise"]["properties"]["id"]["type"] == "string"
    post = document["paths"]["/"]["post"]
    asked = post["requestBody"]["content"]["application/json"]["schema"]["anyOf"]
    assert asked == [
        {"$ref": "#/components/schemas/Praise"},
        {"items": {"$ref": "#/components/schemas/Praise"}, "type": "array"},
    ]
    answered = post["responses"]["200"]["content"]["application/json"]["schema"]["anyOf"]
    alone = [{"$ref": f"#/components/schemas/Praise{kind}"} for kind in ("Answer", "Filtered")]
    assert answered[:-1] == alone
    assert {"$ref": "#/components/schemas/PraiseRejected"} in answered[-1]["items"]["anyOf"]
    assert post["responses"]["422"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Refusal"
    }
    assert "swagger" in ask_text(f"{url}/docs")


def ask_text(url: str) -> str:
    import urllib.request

    with urllib.request.urlopen(url, timeout=30) as response:
        return str(response.read().decode())


@pytest.mark.server
def test_redeploying_under_load_drops_no_request(serving: Cluster, url: str) -> None:
    from graphs.runtimes.ray_serve.deploy import deploy

    champion, following = (compile(load_graph(ref), "online") for ref in (CHAMPION, NEXT))
    with Crowd(url) as crowd:
        for plan in (following, champion):
            deploy(plan, app="praise", route="/praise", serve_address=serving.serve_address)

    assert crowd.failures == []
    assert set(crowd.versions) == {champion.version, following.version}
    assert sum(crowd.versions.values()) > 100


@pytest.mark.server
def test_a_replica_that_cannot_prove_itself_leaves_the_old_one_answering(
    serving: Cluster, url: str
) -> None:
    from graphs.runtimes.ray_serve.answering import Proof
    from graphs.runtimes.ray_serve.deploy import deploy

    graph = load_graph(CHAMPION)
    inputs = pa.Table.from_pylist([row("a", "four")], schema=graph.input_schema)
    sample = Sample(inputs, run(graph, inputs).table)
    plan = compile(load_graph(NEXT), "online")
    before = ask(f"{url}/health").json["version"]

    with pytest.raises(DeployFailed, match="id='a': length is 4 offline, 1 online"):
        deploy(
            plan,
            app="praise",
            route="/praise",
            serve_address=serving.serve_address,
            proof=Proof(sample.inputs, sample.offline, {}),
        )

    assert ask(f"{url}/health").json["version"] == before


@pytest.mark.server
def test_another_port_than_the_one_serve_listens_on_is_refused(url: str) -> None:
    from graphs.runtimes.ray_serve.deploy import deploy

    plan = compile(load_graph(CHAMPION), "online")

    with pytest.raises(DeployFailed, match=r"listens on port \d+ already"):
        deploy(plan, app="x", route="/x", serve_address=f"http://127.0.0.1:{free_port()}")


@pytest.fixture(scope="module")
def labelled(serving: Cluster) -> Iterator[str]:
    yield from deployed(serving, apart.labelled)


@pytest.fixture(scope="module")
def branches(serving: Cluster) -> Iterator[str]:
    yield from deployed(serving, apart.branches)


def deployed(serving: Cluster, authored: Any, **profile: Any) -> Iterator[str]:
    from graphs.runtimes.ray_serve.deploy import deploy, retire

    name = authored.graph.name
    plan = compile(authored.graph, "online", profile)
    deploy(plan, app=name, route=f"/{name}", serve_address=serving.serve_address)
    yield f"{serving.serve_address}/{name}"
    retire(name)


@pytest.mark.server
def test_a_filtered_row_is_told_alone_and_in_a_list(labelled: str) -> None:
    alone = ask(labelled, {"id": "big", "number": 100})
    listed = ask(labelled, [{"id": "a", "number": 1}, {"id": "big", "number": 100}])

    assert (alone.status, alone.json) == (200, {"id": "big", "filtered": True})
    assert listed.status == 200
    assert [sorted(entry) for entry in listed.json] == [["id", "label"], ["filtered", "id"]]


@pytest.mark.server
def test_what_is_left_out_has_its_default(labelled: str) -> None:
    answer = ask(labelled, [{"id": "a", "number": 1}, {"id": "b", "number": 2, "unit": "km"}])

    assert [entry["label"] for entry in answer.json] == [
        "1 m, since 2026-01-02, None",
        "2 km, since 2026-01-02, None",
    ]


@pytest.mark.server
def test_a_null_where_none_may_be_is_refused_by_the_name_of_its_field(labelled: str) -> None:
    wrong = {"id": "a", "number": 1, "unit": None}
    alone = ask(labelled, wrong)
    listed = ask(labelled, [{"id": "a", "number": 1, "note": None}, wrong])

    assert (alone.status, listed.status) == (422, 422)
    assert [d["loc"] for d in alone.json["detail"]] == [["body", "unit"]]
    assert [d["loc"] for d in listed.json["detail"]] == [["body", 1, "unit"]]


@pytest.mark.server
def test_nodes_in_several_processes_answer_what_they_answer_together(branches: str) -> None:
    graph = apart.branches.graph
    rows = [{"id": f"q{n}", "number": n, "place": ""} for n in range(-100, 150)]
    table = pa.Table.from_pylist(rows, schema=graph.input_schema)
    inline = run(graph, table)

    answers = ask(branches, rows).json

    kept = [a for a in answers if "error" not in a and "filtered" not in a]
    assert pa.Table.from_pylist(kept, schema=graph.output_schema).equals(
        pa.Table.from_pylist(inline.table.to_pylist(), schema=graph.output_schema)
    )
    assert [(a["id"], a["error"]["node"], a["error"]["type"]) for a in answers if "error" in a] == [
        (rows[r.row]["id"], r.node, r.error) for r in inline.rejected
    ]
    assert sum("filtered" in a for a in answers) == sum(inline.filtered.values())


@pytest.mark.server
def test_requests_that_come_together_to_several_processes_each_get_their_own(
    branches: str,
) -> None:
    def one(n: int) -> Any:
        return ask(branches, [{"id": f"{n}", "number": n, "place": ""}] * (n % 3 + 1)).json

    with concurrent.futures.ThreadPoolExecutor(16) as clients:
        got = list(clients.map(one, range(64)))

    for n, answers in enumerate(got):
        assert [a["id"] for a in answers] == [f"{n}"] * (n % 3 + 1)
        assert all(("error" in a) == (n % 5 == 0 or n % 7 == 0) for a in answers)


@pytest.mark.server
def test_a_request_that_breaks_a_nodes_word_in_another_process_is_a_500(
    serving: Cluster,
) -> None:
    for url in deployed(serving, apart.lying):
        answer = ask(url, {"id": "a", "number": -1, "place": ""})
        fine = ask(url, {"id": "a", "number": 1, "place": ""})

    assert (answer.status, answer.json["detail"][0]["type"]) == (500, "graph_error")
    assert fine.status == 200


@pytest.mark.server
def test_branches_that_stand_apart_run_at_the_same_time_in_processes_of_their_own(
    serving: Cluster, tmp_path: Path
) -> None:
    for url in deployed(serving, apart.meeting):
        answer = ask(url, {"id": "a", "number": 1, "place": str(tmp_path)})

    assert answer.status == 200
    assert answer.json["left"] != answer.json["right"]


@pytest.mark.server
def test_a_scaled_node_has_its_own_replicas_and_leaves_with_its_application(
    serving: Cluster,
) -> None:
    from graphs.runtimes.ray_serve.deploy import applications, status_of

    version = compile(apart.chain.graph, "online").version
    for url in deployed(serving, apart.chain, nodes={"double": {"replicas": 2}}):
        answer = ask(url, {"id": "a", "number": 2, "place": ""})
        while_it_answers = sorted(app for app in applications() if app.startswith("chain"))
        status = status_of(f"chain.{version}.chain.double")

    assert answer.json == {"id": "a", "sum": 6.0}
    assert while_it_answers == [
        "chain",
        *(f"chain.{version}.chain.{n}" for n in ("Root", "double")),
    ]
    assert status is not None
    assert status.deployments["chain.double"].replica_states == {"RUNNING": 2}
    assert not [app for app in applications() if app.startswith("chain")]


@pytest.mark.server
def test_another_version_with_further_deployments_takes_over_without_a_dropped_request(
    serving: Cluster,
) -> None:
    from graphs.runtimes.ray_serve.deploy import applications, deploy, retire

    def put(authored: Any) -> None:
        plan = compile(authored.graph, "online")
        address = serving.serve_address
        deploy(plan, app="turns", route="/turns", serve_address=address)

    put(apart.chain)
    with Crowd(f"{serving.serve_address}/turns", clients=3, rows=[CHAINED]) as crowd:
        for authored in (apart_next.chain, apart.chain):
            put(authored)
    left = [app for app in applications() if app.startswith("turns")]
    retire("turns")

    versions = [compile(g.graph, "online").version for g in (apart.chain, apart_next.chain)]
    assert crowd.failures == []
    assert set(crowd.versions) == set(versions)
    assert sorted(left) == ["turns", f"turns.{versions[0]}.chain.Root"]


CHAINED = {"id": "a", "number": 2, "place": ""}


@pytest.mark.server
def test_a_proof_reaches_through_all_deployments(serving: Cluster) -> None:
    from graphs.runtimes.ray_serve.answering import Proof
    from graphs.runtimes.ray_serve.deploy import applications, deploy, retire

    plan = compile(apart.chain.graph, "online")
    inputs = pa.Table.from_pylist([CHAINED], schema=apart.chain.graph.input_schema)
    right = run(apart.chain.graph, inputs).table
    wrong = pa.table({"id": ["a"], "sum": [7.0]})
    where = {"app": "proved", "route": "/proved", "serve_address": serving.serve_address}

    with pytest.raises(DeployFailed, match=r"sum is 7\.0 offline, 6\.0 online"):
        deploy(plan, **where, proof=Proof(inputs, wrong, {}))
    deploy(plan, **where, proof=Proof(inputs, right, {}))
    answer = ask(f"{serving.serve_address}/proved", CHAINED)
    retire("proved")

    assert answer.json == {"id": "a", "sum": 6.0}
    assert not [app for app in applications() if app.startswith("proved")]


@pytest.mark.server
def test_a_further_deployment_that_cannot_start_is_told_and_cleared_away(
    serving: Cluster,
) -> None:
    from graphs.runtimes.ray_serve.deploy import applications

    with pytest.raises(DeployFailed, match="weights are gone"):
        next(deployed(serving, apart.unloadable))

    assert not [app for app in applications() if app.startswith("unloadable")]


def graph_of(type_: pa.DataType, name: str = "x") -> Graph:
    ports = (Port("id", pa.string()), Port(name, type_))
    edges = (Edge(GRAPH, "id", GRAPH, "id"), Edge(GRAPH, name, GRAPH, name))
    return Graph("my_graph", "m:g", "id", ports, ports, (), edges)


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (pa.int8(), -128),
        (pa.uint64(), 2**64 - 1),
        (pa.float32(), 0.5),
        (pa.float64(), math.inf),
        (pa.bool_(), True),
        (pa.binary(), b"\xfb\xff\x00"),
        (pa.date32(), 20_000),
        (pa.timestamp("us", "UTC"), 1_700_000_000_123_456),
        (pa.timestamp("ms"), 1_700_000_000_123),
        (pa.decimal128(10, 2), Decimal("12345678.90")),
        (pa.list_(pa.float32(), 2), [0.5, math.nan]),
        (pa.list_(pa.string()), ["a", None]),
        (pa.struct([("a", pa.int64()), ("b", pa.list_(pa.float64()))]), {"a": 1, "b": [0.5]}),
    ],
    ids=str,
)
def test_every_type_with_a_json_form_comes_back_as_it_was(
    type_: pa.DataType, value: object
) -> None:
    wire = Wire(graph_of(type_))
    table = pa.table({"id": ["k", "l"], "x": pa.array([value, None], type_)})

    asked, _ = wire.read_rows(wire.write_rows(table))
    answered = wire.read_answers(write_answers(rows_of(table)))

    exactly = {"x": 0.0}
    online = pa.Table.from_pylist(answered, schema=table.schema)
    assert compare(table, asked, key="id", tolerance=exactly).agreed == 2
    assert compare(table, online, key="id", tolerance=exactly).agreed == 2


def test_a_float32_keeps_every_bit() -> None:
    wire = Wire(graph_of(pa.float32()))
    table = pa.table({"id": ["a", "b"], "x": pa.array([0.1, 1 / 3], pa.float32())})

    answered = wire.read_answers(write_answers(rows_of(table)))

    assert pa.Table.from_pylist(answered, schema=table.schema).equals(table)


def test_a_column_without_a_json_form_is_refused_before_anything_starts() -> None:
    with pytest.raises(CheckFailed, match=r"input 'x' is timestamp\[ns\], which has no JSON form"):
        check(graph_of(pa.timestamp("ns")), "online")
    with pytest.raises(CheckFailed, match="output 'error' is how a rejected row is told"):
        check(graph_of(pa.string(), "error"), "online")


def test_a_default_has_the_type_of_its_column() -> None:
    wire = Wire(apart.labelled.graph)

    table, _ = wire.read_rows(b'[{"id": "a", "number": 1}, {"id": "b", "number": 1, "unit": "km"}]')

    assert table.schema == apart.labelled.graph.input_schema
    assert table.column("since").to_pylist() == [date(2026, 1, 2)] * 2
    assert table.column("unit").to_pylist() == ["m", "km"]
    assert table.column("note").to_pylist() == [None, None]


def test_openapi_tells_what_may_be_left_out_and_what_it_is_then() -> None:
    schemas = document(Wire(apart.labelled.graph), "v")["components"]["schemas"]

    assert schemas["Labelled"]["required"] == ["id", "number"]
    assert schemas["Labelled"]["properties"]["unit"]["default"] == "m"
    assert schemas["Labelled"]["properties"]["unit"]["type"] == "string"
    assert schemas["Labelled"]["properties"]["note"]["default"] is None
    assert schemas["LabelledFiltered"]["required"] == ["id", "filtered"]
