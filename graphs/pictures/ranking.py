"""Which column of the picture a box stands in, and in which order the boxes of a column stand.

A layered layout after Sugiyama, Tagawa and Toda (1981): longest-path layers, points where a long
link passes a layer, and barycentre sweeps against crossings. Boxes of a group stay together: groups
that follow each other get columns of their own, groups that call each other both ways get lanes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from graphs.pictures.scene import Link, Scene

Near = Mapping[str, Sequence[str]]

_SWEEPS = 6
_CORRIDOR = 1_000_000
"""Lane of links that pass a part of the picture without belonging to it: below everything."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Where everything stands, counted in columns, lanes and places."""

    columns: tuple[tuple[str, ...], ...]
    """Ids of boxes and points, column by column, top to bottom."""
    lane: Mapping[str, int]
    """Which lane of its part of the picture a box or point is in."""
    part: tuple[int, ...]
    """For each column, the part of the picture it belongs to."""
    chains: tuple[tuple[str, ...], ...]
    """For each link of the scene, the ids it passes: its source, points, its target."""


def ranked(scene: Scene) -> Ranking:
    """Columns, lanes and order of a scene's boxes."""
    forward = _forward(scene)
    part, lane = _parts(scene, forward)
    column = _columns(scene, forward, part)
    part_of_column = {column[id]: part[id] for id in column}
    chains = []
    for number, link in enumerate(scene.links):
        points = []
        for place in range(column[link.source] + 1, column[link.target]):
            point = f"{number} passes {place}"
            column[point] = place
            owners = [e for e in (link.source, link.target) if part[e] == part_of_column[place]]
            lane[point] = lane[owners[0]] if owners else _CORRIDOR
            points.append(point)
        chains.append((link.source, *points, link.target))
    count = max(column.values()) + 1
    rows = [[id for id, place in column.items() if place == number] for number in range(count)]
    return Ranking(
        columns=_without_crossings(rows, lane, chains),
        lane=lane,
        part=tuple(part_of_column[number] for number in range(count)),
        chains=tuple(chains),
    )


def _forward(scene: Scene) -> list[Link]:
    """Links that go from an earlier box to a later one; others only a graph with a cycle has."""
    place = {box.id: position for position, box in enumerate(scene.boxes)}
    return [link for link in scene.links if place[link.source] < place[link.target]]


def _parts(scene: Scene, forward: Sequence[Link]) -> tuple[dict[str, int], dict[str, int]]:
    """For each box, its part of the picture and its lane there."""
    group_of = {id: number for number, group in enumerate(scene.groups) for id in group.boxes}
    if not group_of:
        same = {box.id: 0 for box in scene.boxes}
        return same, dict(same)
    cells: dict[str, int | str] = {box.id: group_of.get(box.id, box.id) for box in scene.boxes}
    feeds: dict[int | str, set[int | str]] = {cell: set() for cell in cells.values()}
    for link in forward:
        if cells[link.source] != cells[link.target]:
            feeds[cells[link.target]].add(cells[link.source])
    ends = {scene.boxes[0].id, scene.boxes[-1].id}
    feeds[scene.boxes[-1].id] |= set(cells.values()) - ends
    for cell in set(cells.values()) - ends:
        feeds[cell].add(scene.boxes[0].id)
    try:
        order = list(TopologicalSorter(feeds).static_order())
    except CycleError:
        rank = dict.fromkeys(cells.values(), 1) | {scene.boxes[0].id: 0, scene.boxes[-1].id: 2}
    else:
        rank = {}
        for cell in order:
            rank[cell] = 1 + max((rank[source] for source in feeds[cell]), default=-1)
    lane = {id: group_of.get(id, len(scene.groups)) for id in cells}
    return {id: rank[cell] for id, cell in cells.items()}, lane


def _columns(scene: Scene, forward: Sequence[Link], part: Mapping[str, int]) -> dict[str, int]:
    """Longest path within each part; the parts one after the other."""
    within = {box.id: 0 for box in scene.boxes}
    feeds: dict[str, list[str]] = {}
    for link in forward:
        if part[link.source] == part[link.target]:
            feeds.setdefault(link.target, []).append(link.source)
    for box in scene.boxes:
        within[box.id] = max((within[id] + 1 for id in feeds.get(box.id, [])), default=0)
    start, starts = 0, {}
    for number in sorted(set(part.values())):
        starts[number] = start
        start += 1 + max(place for id, place in within.items() if part[id] == number)
    column = {id: starts[part[id]] + place for id, place in within.items()}
    last = scene.boxes[-1].id  # the output stands alone at the right
    others = max(place for id, place in column.items() if id != last)
    column[last] = max(column[last], others + 1)
    return column


def neighbours(chains: Iterable[Sequence[str]]) -> tuple[Near, Near]:
    """What stands one column before each box or point and is linked to it, and one after."""
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for left, right in (pair for chain in chains for pair in pairwise(chain)):
        before.setdefault(right, []).append(left)
        after.setdefault(left, []).append(right)
    return before, after


def _without_crossings(
    rows: list[list[str]], lane: Mapping[str, int], chains: Iterable[Sequence[str]]
) -> tuple[tuple[str, ...], ...]:
    """Order each column by the mean place of what its members are linked to."""
    before, after = neighbours(chains)
    place = {id: float(position) for row in rows for position, id in enumerate(row)}
    for sweep in range(_SWEEPS):
        near = before if sweep % 2 == 0 else after
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = {id: mean([place[n] for n in near.get(id, [])], place[id]) for id in row}
            row.sort(key=lambda id: (lane[id], wanted[id]))
            place |= {id: float(position) for position, id in enumerate(row)}
    return tuple(tuple(row) for row in rows)


def mean(values: Sequence[float], otherwise: float) -> float:
    """The mean of some values; another one where there are none."""
    return sum(values) / len(values) if values else otherwise
