"""A scene as DOT text, for Graphviz and the tools that read it."""

from __future__ import annotations

from collections.abc import Iterator

from graphs.pictures.colours import INK, look
from graphs.pictures.scene import IN, OUT, Box, Scene

_SHAPES = {
    "input": "oval",
    "output": "oval",
    "model": "box3d",
    "filter": "hexagon",
    "require": "hexagon",
    "constant": "note",
    "parameter": "note",
}


def dot(scene: Scene) -> str:
    """A left-to-right ``digraph``; stages, deployments and bodies are clusters."""
    return "\n".join(
        [
            f"digraph {_quoted(scene.title)} {{",
            "  rankdir=LR; compound=true; bgcolor=transparent;",
            '  node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11];',
            f'  edge [color="{INK}", fontcolor="{INK}", fontname="Helvetica", fontsize=9];',
            f'  graph [color="{INK}", fontcolor="{INK}", fontname="Helvetica", fontsize=10];',
            *_lines(scene, "  "),
            "}",
        ]
    )


def _lines(scene: Scene, indent: str) -> Iterator[str]:
    grouped = {id for group in scene.groups for id in group.boxes}
    by_id = {box.id: box for box in scene.boxes}
    for box in scene.boxes:
        if box.id not in grouped:
            yield from _box(box, indent)
    for position, group in enumerate(scene.groups, 1):
        yield f"{indent}subgraph {_quoted(f'cluster group {position}')} {{"
        yield f"{indent}  label={_quoted(group.title)}; style=dashed;"
        for id in group.boxes:
            yield from _box(by_id[id], f"{indent}  ")
        yield f"{indent}}}"
    for link in scene.links:
        source, target = by_id[link.source], by_id[link.target]
        rest = [f"label={_quoted(*link.columns)}"]
        if source.bodies:
            rest.append(f"ltail={_quoted(f'cluster {source.id}')}")
        if target.bodies:
            rest.append(f"lhead={_quoted(f'cluster {target.id}')}")
        ends = f"{_quoted(_anchor(source, OUT))} -> {_quoted(_anchor(target, IN))}"
        yield f"{indent}{ends} [{', '.join(rest)}];"


def _box(box: Box, indent: str) -> Iterator[str]:
    lines = [line for line in (box.title, *box.notes) if line]
    if not box.bodies:
        colours = look(box.kind, box.is_gpu)
        shape = _SHAPES.get(box.kind, "box") if lines else "point"
        yield (
            f"{indent}{_quoted(box.id)} [label={_quoted(*lines)}, shape={shape}, "
            f'fillcolor="{colours.fill}", color="{colours.stroke}", fontcolor="{colours.text}"];'
        )
        return
    yield f"{indent}subgraph {_quoted(f'cluster {box.id}')} {{"
    yield f'{indent}  label={_quoted(*lines)}; style="rounded,filled"; fillcolor="{INK}22";'
    for position, (label, body) in enumerate(box.bodies):
        yield f"{indent}  subgraph {_quoted(f'cluster {box.id} body {position}')} {{"
        yield f"{indent}    label={_quoted(label)}; style=dotted;"
        yield from _lines(body, f"{indent}    ")
        yield f"{indent}  }}"
    yield f"{indent}}}"


def _anchor(box: Box, end: str) -> str:
    """A node that Graphviz can tie an edge to: a cluster has none of its own."""
    if not box.bodies:
        return box.id
    _, body = box.bodies[0]
    return next(inner.id for inner in body.boxes if inner.id.endswith(end))


def _quoted(*lines: str) -> str:
    escaped = [line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") for line in lines]
    return '"' + "\\n".join(escaped) + '"'
