"""Where everything in a picture stands, in pixels. Boxes inside a box are laid out first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphs.pictures.ranking import Ranking, mean, neighbours, ranked
from graphs.pictures.scene import Box, Link, Scene

CHARACTER, LINE = 6.4, 14.0
"""Width of a character and height of a line of the text in boxes and beside links."""
_PAD, _GAP, _PIN, _POINT = 12.0, 18.0, 10.0, 8.0
_FRAME_TITLE, _FRAME_PAD, _LABEL = 22.0, 14.0, 22.0
_MOST_COLUMNS, _LONGEST_LABEL = 4, 40
_SWEEPS = 6

Spot = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Placed:
    """A box, and the layouts of the bodies in it: (label, layout, x, y)."""

    box: Box
    x: float
    y: float
    width: float
    height: float
    bodies: tuple[tuple[str, Layout, float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """A link: straight between the spots of a pair, curved from one pair to the next."""

    spots: tuple[tuple[Spot, Spot], ...]
    label_x: float
    labels: tuple[str, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """The rectangle around a group."""

    title: str
    is_gpu: bool
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Layout:
    """A scene in pixels, its origin at the top left."""

    width: float
    height: float
    placed: tuple[Placed, ...]
    routes: tuple[Route, ...]
    frames: tuple[Frame, ...]


def labels_of(link: Link) -> tuple[str, ...]:
    """A link's columns as there is room for them."""
    shown = [c if len(c) <= _LONGEST_LABEL else f"{c[:_LONGEST_LABEL]}…" for c in link.columns]
    if len(shown) > _MOST_COLUMNS:
        shown[_MOST_COLUMNS - 1 :] = [f"and {len(shown) - _MOST_COLUMNS + 1} more"]
    return tuple(shown)


def arranged(scene: Scene) -> Layout:
    """The layout of a scene."""
    return _Arranging(scene).layout()


class _Arranging:
    """The steps of laying out one scene, which all look at the same tables."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.boxes = {box.id: box for box in scene.boxes}
        self.bodies = {
            box.id: [(label, arranged(body)) for label, body in box.bodies] for box in scene.boxes
        }
        self.ranking: Ranking = ranked(scene)
        self.labels = [labels_of(link) for link in scene.links]
        self.column = {
            id: number for number, column in enumerate(self.ranking.columns) for id in column
        }
        self.out = self._by_end(0)
        self.into = self._by_end(-1)
        ids = [id for column in self.ranking.columns for id in column]
        self.size = {id: self._size(id) for id in ids}
        self.widest = [max(self.size[id][0] for id in ids) for ids in self.ranking.columns]
        self.top = self._tops()
        self.left, self.width = self._lefts()

    def layout(self) -> Layout:
        placed = tuple(self._placed(box) for box in self.scene.boxes)
        frames = tuple(self._frame(number) for number in range(len(self.scene.groups)))
        bottoms = [p.y + p.height for p in placed] + [f.y + f.height for f in frames]
        bottoms += [y + LINE for id, y in self.top.items()]
        return Layout(self.width, max(bottoms), placed, self._routes(), frames)

    def _by_end(self, end: int) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for number, chain in enumerate(self.ranking.chains):
            found.setdefault(chain[end], []).append(number)
        return found

    def _size(self, id: str) -> Spot:
        box = self.boxes.get(id)
        if box is None:
            return 0.0, _POINT
        ports = max(
            sum(self._port_height(link) for link in self.out.get(id, [])),
            10.0 * len(self.into.get(id, [])),
        )
        lines = [line for line in (box.title, *box.notes) if line]
        if not lines and not box.bodies:
            return _PIN, max(_PIN, ports)
        width = max((len(line) for line in lines), default=0) * CHARACTER + 2 * _PAD
        height = LINE * len(lines) + _PAD
        for label, body in self.bodies[id]:
            width = max(width, body.width + 2 * _PAD, len(label) * CHARACTER + 3 * _PAD)
            height += body.height + (_LABEL if label else 0.0) + _PAD
        return width, max(height, ports)

    def _port_height(self, link: int) -> float:
        return LINE * len(self.labels[link]) + 6.0

    # --- across ----------------------------------------------------------------------------

    def _lefts(self) -> tuple[list[float], float]:
        """Left edge of each column, and the width of it all."""
        lefts, x = [], self._pad_before(0)
        for number, column in enumerate(self.ranking.columns):
            x += self._pad_before(number) if number else 0.0
            lefts.append(x)
            x += self.widest[number] + self._pad_before(number + 1)
            if number < len(self.ranking.columns) - 1:
                texts = [self._label_width(link) for id in column for link in self.out.get(id, [])]
                x += max(texts, default=0.0) + 36.0
        return lefts, x

    def _pad_before(self, column: int) -> float:
        """Room for the side of a frame, where one may stand between two columns."""
        parts = self.ranking.part
        is_inside = 0 < column < len(parts) and parts[column] == parts[column - 1]
        return _FRAME_PAD if self.scene.groups and not is_inside else 0.0

    def _label_width(self, link: int) -> float:
        return max((len(label) for label in self.labels[link]), default=0) * CHARACTER * 0.9 + 10.0

    # --- down ------------------------------------------------------------------------------

    def _tops(self) -> dict[str, float]:
        """Top edge of each box and point."""
        bands = self._bands()
        centre = {
            id: bands[self.ranking.part[number], self.ranking.lane[id]][0]
            for number, column in enumerate(self.ranking.columns)
            for id in column
        }
        before, after = neighbours(self.ranking.chains)
        for sweep in range(_SWEEPS):
            columns = list(enumerate(self.ranking.columns))
            for number, column in columns if sweep % 2 == 0 else reversed(columns):
                near = before if sweep % 2 == 0 else after
                wanted = {
                    id: mean([centre[n] for n in near.get(id, ())], centre[id]) for id in column
                }
                for lane in {self.ranking.lane[id] for id in column}:
                    ids = [id for id in column if self.ranking.lane[id] == lane]
                    band = bands[self.ranking.part[number], lane]
                    centre |= self._spread(ids, wanted, *band)
        return {id: middle - self.size[id][1] / 2 for id, middle in centre.items()}

    def _bands(self) -> dict[tuple[int, int], Spot]:
        """(top, bottom) of each lane of each part; parts are centred on one line."""
        heights: dict[tuple[int, int], float] = {}
        for number, column in enumerate(self.ranking.columns):
            for lane in {self.ranking.lane[id] for id in column}:
                ids = [id for id in column if self.ranking.lane[id] == lane]
                height = sum(self.size[id][1] for id in ids) + _GAP * (len(ids) - 1)
                key = self.ranking.part[number], lane
                heights[key] = max(heights.get(key, 0.0), height)
        framed = range(len(self.scene.groups))
        extra = {key: (_FRAME_TITLE + _FRAME_PAD if key[1] in framed else 0.0) for key in heights}
        totals: dict[int, float] = {}
        for (part, lane), height in heights.items():
            totals[part] = totals.get(part, -_GAP) + height + extra[part, lane] + _GAP
        tallest = max(totals.values())
        at: dict[int, float] = {}
        bands = {}
        for part, lane in sorted(heights):
            top = at.setdefault(part, (tallest - totals[part]) / 2)
            top += _FRAME_TITLE if lane in framed else 0.0
            bands[part, lane] = (top, top + heights[part, lane])
            at[part] += heights[part, lane] + extra[part, lane] + _GAP
        return bands

    def _spread(
        self, ids: Sequence[str], wanted: Mapping[str, float], top: float, bottom: float
    ) -> dict[str, float]:
        """Centres as near to the wanted ones as order, gaps and the band allow."""
        tops, floor = [], top
        for id in ids:
            floor = max(floor, wanted[id] - self.size[id][1] / 2)
            tops.append(floor)
            floor += self.size[id][1] + _GAP
        ceiling = bottom
        for place in reversed(range(len(ids))):
            height = self.size[ids[place]][1]
            tops[place] = min(tops[place], ceiling - height)
            ceiling = tops[place] - _GAP
        return {id: y + self.size[id][1] / 2 for id, y in zip(ids, tops, strict=True)}

    # --- the result ------------------------------------------------------------------------

    def _placed(self, box: Box) -> Placed:
        number = self.column[box.id]
        width, height = self.size[box.id]
        x, y = self.left[number] + (self.widest[number] - width) / 2, self.top[box.id]
        below = y + _PAD / 2 + LINE * len([line for line in (box.title, *box.notes) if line])
        bodies = []
        for label, body in self.bodies[box.id]:
            below += _LABEL if label else 0.0
            bodies.append((label, body, x + (width - body.width) / 2, below + _PAD / 2))
            below += body.height + _PAD
        return Placed(box, x, y, width, height, tuple(bodies))

    def _frame(self, number: int) -> Frame:
        group = self.scene.groups[number]
        placed = [self._placed(self.boxes[id]) for id in group.boxes]
        left, top = min(p.x for p in placed), min(p.y for p in placed)
        right, bottom = max(p.x + p.width for p in placed), max(p.y + p.height for p in placed)
        width = max(right - left, len(group.title) * CHARACTER - _FRAME_PAD)
        return Frame(
            group.title,
            group.is_gpu,
            left - _FRAME_PAD + (right - left - width) / 2,
            top - _FRAME_TITLE,
            width + 2 * _FRAME_PAD,
            bottom - top + _FRAME_TITLE + _FRAME_PAD,
        )

    def _routes(self) -> tuple[Route, ...]:
        starts, ends = self._ports(self.out, 1), self._ports(self.into, -2)
        routes = []
        for number, (link, chain) in enumerate(
            zip(self.scene.links, self.ranking.chains, strict=True)
        ):
            source, target = self._placed(self.boxes[chain[0]]), self._placed(self.boxes[chain[-1]])
            x = source.x + source.width
            label_x = x + self._pad_before(self.column[chain[0]] + 1)
            label_end = label_x + self._label_width(number)
            pairs = [((x, starts[number]), (label_end, starts[number]))]
            for point in chain[1:-1]:
                column = self.column[point]
                right = self.left[column] + self.widest[column]
                y = self.top[point] + _POINT / 2
                pairs.append(((self.left[column], y), (right, y)))
            pairs.append(((target.x - 10.0, ends[number]), (target.x, ends[number])))
            routes.append(Route(tuple(pairs), label_x, self.labels[number], link.columns))
        return tuple(routes)

    def _ports(self, links_at: Mapping[str, Sequence[int]], next_to: int) -> dict[int, float]:
        """Where each link touches the side of its box, ordered so that links do not cross there."""
        found = {}
        for id, links in links_at.items():
            ordered = sorted(links, key=lambda n: self._middle(self.ranking.chains[n], next_to))
            heights = [self._port_height(n) if next_to == 1 else 10.0 for n in ordered]
            y = self.top[id] + (self.size[id][1] - sum(heights)) / 2
            for link, height in zip(ordered, heights, strict=True):
                found[link] = y + (height - 5.0 if next_to == 1 and len(links) > 1 else height / 2)
                y += height
        return found

    def _middle(self, chain: Sequence[str], place: int) -> float:
        id = chain[place]
        return self.top[id] + self.size[id][1] / 2
