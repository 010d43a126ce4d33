import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import combinations

import pyarrow as pa
import pytest

from graphs import Column, Model, Resources, draw, graph, node, run
from graphs.examples.routed import urgency
from graphs.ir import Edge
from graphs.nodes import parameter
from graphs.pictures.layout import Placed, arranged
from graphs.pictures.scene import IN, OUT, Scene
from graphs.spec import Counts
from tests.library import toy

SVG = "{http://www.w3.org/2000/svg}"
NUMBER = {"number": pa.int64()}


@node(inputs=NUMBER, outputs={"same": pa.int64()})
def copy(number: pa.Array) -> pa.Array:
    return number


@node(inputs={"a": pa.int64(), "b": pa.int64()}, outputs={"sum": pa.int64()})
def joined(a: pa.Array, b: pa.Array) -> pa.Array:
    return pa.compute.add(a, b)


class Slow(Model, inputs=NUMBER, outputs={"same": pa.int64()}, resources=Resources(gpus=1)):
    def predict(self, number: pa.Array) -> pa.Array:
        return number


@graph(key="id", inputs=toy.INPUTS)
def wide(number: Column) -> dict[str, Column]:
    """Twenty nodes that cross and skip."""
    left, right = copy(number), copy(number)
    for _ in range(5):
        left, right = joined(copy(left), right), joined(right, left)
    slow = Slow()(left)
    return {"a": joined(slow, right), "b": joined(left, slow), "c": number}


TICKETS = pa.table(
    {
        "ticket_id": ["a", "b", None],
        "text": ["The site is down. Help!", "Alles kaputt.", "Who am I?"],
        "language": ["en", "de", "en"],
    }
)


def test_mermaid_names_columns_and_types_on_the_edges():
    assert draw(toy.described).mermaid.splitlines() == [
        "flowchart LR",
        '  in(["input"])',
        '  out(["output"])',
        '  describe["describe"]',
        '  in -- "number: int64" --> describe',
        '  describe -- "vector: fixed_size_list#lt;float#gt;[2]<br/>sign: string" --> out',
    ]


def test_nodes_are_grouped_by_stage_and_gpus_are_told_apart():
    lines = draw(toy.accelerated, target="offline").mermaid.splitlines()

    assert [line.strip() for line in lines if line.startswith("  subgraph")] == [
        'subgraph group_1["stage 1 · 1 CPU"]',
        'subgraph group_2["stage 2 · 1 CPU, 1 GPU"]',
        'subgraph group_3["stage 3 · 1 CPU"]',
    ]
    assert "  class Accelerated gpu" in lines


def test_nodes_are_grouped_by_deployment():
    picture = draw(toy.toy, target="online", profile={"nodes": {"Shift": {"replicas": 2}}})

    groups = {group.boxes for group in picture.scene.groups}
    assert groups == {("input", "double", "root"), ("Shift",)}


def test_a_switch_an_each_and_a_nested_graph_show_what_they_hold():
    inside = [path for path, _ in _boxes(draw(urgency).scene) if "/" in path and "<" not in path]

    assert inside == [
        "switch/false/split",
        "switch/true/gist",
        "switch/true/gist//split",
        "switch/true/gist//ends",
        "each/each/score",
    ]


@pytest.mark.parametrize("target", [None, "offline", "online"])
def test_counts_of_a_result_stand_at_the_nodes(target):
    result = run(urgency, TICKETS)

    notes = dict(_boxes(draw(urgency, target=target, result=result).scene))

    assert notes["filter"] == ("2 → 1 row", "1 filtered")
    assert notes["highest"] == ("1 row",)
    assert notes[OUT] == ("1 row",)
    rejected = notes[IN][1:] if target is None else notes["input"][1:]
    assert rejected == ("1 rejected",)


def test_counts_of_a_record_do_too():
    counts = Counts(rows_in=1000, rows_out=990, rejected={"root": 10})

    notes = dict(_boxes(draw(toy.toy, result=counts).scene))

    assert notes["root"] == ("1,000 → 990 rows", "10 rejected")


@pytest.mark.parametrize("picture", [draw(wide), draw(urgency), draw(wide, target="offline")])
def test_svg_is_well_formed_and_says_every_title(picture):
    root = ET.fromstring(picture.svg)

    written = {text.text for text in root.iter(f"{SVG}text")}
    assert root.tag == f"{SVG}svg"
    assert {box.title for box in picture.scene.boxes} <= written


@pytest.mark.parametrize("target", [None, "offline", "online"])
@pytest.mark.parametrize("drawn", [wide, urgency, toy.accelerated])
def test_boxes_do_not_overlap_and_lie_inside_the_picture(drawn, target):
    layout = arranged(draw(drawn, target=target).scene)

    for one, other in combinations(layout.placed, 2):
        assert (
            one.x + one.width <= other.x
            or other.x + other.width <= one.x
            or one.y + one.height <= other.y
            or other.y + other.height <= one.y
        ), f"{one.box.id} and {other.box.id} overlap"
    for placed in (*layout.placed, *layout.frames):
        assert placed.x >= 0
        assert placed.y >= 0
        assert placed.x + placed.width <= layout.width + 0.01
        assert placed.y + placed.height <= layout.height + 0.01


@pytest.mark.parametrize("target", [None, "offline"])
def test_links_pass_between_boxes_and_not_through_them(target):
    layout = arranged(draw(wide, target=target).scene)

    for route in layout.routes:
        for (left, y), (right, _) in route.spots[1:-1]:
            assert not [box.box.id for box in layout.placed if _is_crossed(box, left, right, y)]


def test_links_of_a_graph_go_from_left_to_right():
    layout = arranged(draw(wide).scene)

    assert all(route.spots[0][0][0] < route.spots[-1][1][0] for route in layout.routes)


def test_names_and_values_are_escaped_in_every_format():
    @node(inputs=NUMBER, outputs={"same": pa.string()})
    def end(number: pa.Array) -> pa.Array:
        return number

    @graph(key="id", inputs=toy.INPUTS)
    def odd(number: Column) -> dict[str, Column]:
        return {"a": end(number), "b": parameter("p", pa.string(), default='<b>"&\\')}

    picture = draw(odd)

    assert '  end_2["end"]' in picture.mermaid
    assert '  p(["p = #quot;#lt;b#gt;\\#quot;#amp;\\\\#quot;"])' in picture.mermaid
    assert 'label="p = \\"<b>\\\\\\"&\\\\\\\\\\""' in picture.dot
    assert "p = &quot;&lt;b&gt;" in picture.svg
    ET.fromstring(picture.svg)


def test_dot_has_a_cluster_for_each_group_and_body():
    text = draw(urgency, target="offline").dot

    clusters = re.findall(r'subgraph "(cluster [^"]*)', text)
    assert clusters[0] == "cluster group 1"
    assert len(clusters) == 6  # the stage, the switch and its two cases, the each and its body
    assert text.count("{") == text.count("}")


def test_a_notebook_shows_a_graph_and_a_picture():
    assert toy.toy._repr_svg_() == draw(toy.toy).svg
    assert draw(toy.toy)._repr_svg_().startswith("<svg")


def test_a_graph_with_a_cycle_can_be_looked_at():
    whole = toy.toy.graph
    broken = replace(whole, edges=(*whole.edges, Edge("Shift", "shifted", "double", "number")))

    ET.fromstring(draw(broken).svg)


def test_a_graph_without_nodes_is_drawn():
    @graph(key="id", inputs=toy.INPUTS)
    def bare(number: Column) -> dict[str, Column]:
        return {"number": number}

    for target in (None, "offline", "online"):
        ET.fromstring(draw(bare, target=target).svg)


def _boxes(scene: Scene) -> list[tuple[str, tuple[str, ...]]]:
    found = []
    for box in scene.boxes:
        found.append((box.id, box.notes))
        for _, body in box.bodies:
            found += _boxes(body)
    return found


def _is_crossed(placed: Placed, left: float, right: float, y: float) -> bool:
    is_beside = placed.x + placed.width <= left or right <= placed.x
    return not is_beside and placed.y < y < placed.y + placed.height
