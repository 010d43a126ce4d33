"""A scene as SVG: one element, no script, no style sheet, no outside asset."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from graphs.pictures.colours import CPU, GPU, INK, look
from graphs.pictures.layout import LINE, Frame, Layout, Placed, Route, arranged
from graphs.pictures.scene import Scene

_MARGIN = 12.0
_FONT = "ui-sans-serif, system-ui, Helvetica, Arial, sans-serif"


def svg(scene: Scene) -> str:
    """The picture; its background is transparent."""
    layout = arranged(scene)
    width, height = layout.width + 2 * _MARGIN, layout.height + 2 * _MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" font-family="{_FONT}" '
            f'font-size="11">',
            f"<title>{_text(scene.title)}</title>",
            f'<g transform="translate({_MARGIN:.0f} {_MARGIN:.0f})">',
            *_elements(layout),
            "</g>",
            "</svg>",
        ]
    )


def _elements(layout: Layout) -> Iterator[str]:
    for frame in layout.frames:
        yield from _frame(frame)
    for placed in layout.placed:
        yield from _box(placed)
    for route in layout.routes:
        yield from _route(route)


def _frame(frame: Frame) -> Iterator[str]:
    stroke = (GPU if frame.is_gpu else CPU).stroke
    yield (
        f"<rect {_area(frame)} "
        f'rx="8" fill="{stroke}" fill-opacity="0.08" stroke="{stroke}" stroke-dasharray="4 3"/>'
    )
    yield (
        f'<text x="{frame.x + 10:.1f}" y="{frame.y + LINE:.1f}" font-size="10" '
        f'fill="{stroke}">{_text(frame.title)}</text>'
    )


def _area(placed: Placed | Frame) -> str:
    return (
        f'x="{placed.x:.1f}" y="{placed.y:.1f}" width="{placed.width:.1f}" '
        f'height="{placed.height:.1f}"'
    )


def _box(placed: Placed) -> Iterator[str]:
    box, colours = placed.box, look(placed.box.kind, placed.box.is_gpu)
    lines = [line for line in (box.title, *box.notes) if line]
    middle = placed.x + placed.width / 2
    if not lines and not placed.bodies:
        centre = placed.y + placed.height / 2
        yield f'<circle cx="{middle:.1f}" cy="{centre:.1f}" r="4" fill="{INK}"/>'
        return
    if placed.bodies:
        yield (
            f'<rect {_area(placed)} rx="8" fill="{INK}" fill-opacity="0.1" '
            f'stroke="{colours.stroke}"/>'
        )
    else:
        yield from _outline(placed)
    first = placed.y + LINE + 1
    if not placed.bodies:
        first = placed.y + placed.height / 2 - LINE * (len(lines) - 1) / 2 + 4
    for number, line in enumerate(lines):
        ink = INK if placed.bodies else colours.text
        weight = ' font-weight="600"' if number == 0 else ' font-size="10"'
        yield (
            f'<text x="{middle:.1f}" y="{first + number * LINE:.1f}" text-anchor="middle" '
            f'fill="{ink}"{weight}>{_text(line)}</text>'
        )
    for label, body, x, y in placed.bodies:
        if label:
            yield (
                f'<text x="{placed.x + 10:.1f}" y="{y - 9:.1f}" font-size="10" '
                f'fill="{INK}">{_text(label)}</text>'
            )
        yield f'<g transform="translate({x:.1f} {y:.1f})">'
        yield from _elements(body)
        yield "</g>"


def _outline(placed: Placed) -> Iterator[str]:
    colours = look(placed.box.kind, placed.box.is_gpu)
    is_round = placed.box.kind in ("input", "output", "constant", "parameter")
    corner = placed.height / 2 if is_round else 6
    paint = f'fill="{colours.fill}" stroke="{colours.stroke}"'
    if placed.box.kind in ("filter", "require"):
        x, y, right, bottom = placed.x, placed.y, placed.x + placed.width, placed.y + placed.height
        half = (y + bottom) / 2
        spots = [(x, half), (x + 8, y), (right - 8, y), (right, half), (right - 8, bottom)]
        spots.append((x + 8, bottom))
        yield f'<polygon points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in spots)}" {paint}/>'
        return
    yield f'<rect {_area(placed)} rx="{min(corner, 14):.1f}" {paint}/>'
    if placed.box.kind == "model":  # a second line inside its sides: something is loaded
        for x in (placed.x + 4, placed.x + placed.width - 4):
            yield (
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{placed.y + 2:.1f}" '
                f'y2="{placed.y + placed.height - 2:.1f}" stroke="{colours.stroke}" '
                f'stroke-opacity="0.6"/>'
            )


def _route(route: Route) -> Iterator[str]:
    (x, y), _ = route.spots[0]
    path = [f"M{x:.1f} {y:.1f}"]
    last: tuple[float, float] | None = None
    for start, stop in route.spots:
        if last is not None:
            middle = (last[0] + start[0]) / 2
            curve = (middle, last[1], middle, start[1], *start)
            path.append("C" + " ".join(f"{value:.1f}" for value in curve))
        path.append(f"L{stop[0]:.1f} {stop[1]:.1f}")
        last = stop
    assert last is not None
    yield f"<g><title>{_text(', '.join(route.columns))}</title>"
    yield f'<path d="{"".join(path)}" fill="none" stroke="{INK}"/>'
    head = f"{last[0]:.1f},{last[1]:.1f} {last[0] - 7:.1f},{last[1] - 3.5:.1f} "
    yield f'<polygon points="{head}{last[0] - 7:.1f},{last[1] + 3.5:.1f}" fill="{INK}"/>'
    bottom = y - 4 - LINE * 0.85 * (len(route.labels) - 1)
    for number, label in enumerate(route.labels):
        yield (
            f'<text x="{route.label_x + 5:.1f}" y="{bottom + number * LINE * 0.85:.1f}" '
            f'font-size="10" fill="{INK}">{_text(label)}</text>'
        )
    yield "</g>"


def _text(text: str) -> str:
    """Escaped, and without the control characters that XML cannot hold."""
    return escape("".join(c if c.isprintable() else " " for c in text))
