"""A scene as Mermaid text, which GitHub, GitLab and most wikis render."""

from __future__ import annotations

import re
from collections.abc import Iterator

from graphs.pictures.colours import CPU, GPU
from graphs.pictures.scene import IN, OUT, Box, Scene

_SHAPES = {
    "input": ('(["', '"])'),
    "output": ('(["', '"])'),
    "model": ('[["', '"]]'),
    "filter": ('{{"', '"}}'),
    "require": ('{{"', '"}}'),
    "constant": ('(["', '"])'),
    "parameter": ('(["', '"])'),
}
_PIN = ("((", "))")
_RESERVED = {"end", "graph", "subgraph", "default", "class", "style", "click", "flowchart", "href"}
_ENTITIES = {'"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "#": "#35;", "`": "#96;"}


def mermaid(scene: Scene) -> str:
    """A left-to-right flow chart; stages, deployments and bodies are sub-graphs."""
    names = _Names()
    names.give(IN, "in")
    names.give(OUT, "out")
    lines = ["flowchart LR", *_lines(scene, names, "  ")]
    gpus = [names[id] for id in _gpus(scene)]
    if gpus:
        for word, look in (("gpu", GPU), ("cpu", CPU)):
            lines.append(
                f"  classDef {word} fill:{look.fill},stroke:{look.stroke},color:{look.text}"
            )
        lines.append(f"  class {','.join(gpus)} gpu")
        if cpus := [names[box.id] for box in scene.boxes if not box.is_gpu and not box.bodies]:
            lines.append(f"  class {','.join(cpus)} cpu")
    return "\n".join(lines)


class _Names(dict[str, str]):
    """Ids as Mermaid takes them: letters, digits and underscores, none twice, none reserved."""

    def give(self, id: str, wanted: str) -> None:
        self[id] = wanted

    def __missing__(self, id: str) -> str:
        base = name = re.sub(r"\W+", "_", id, flags=re.ASCII).strip("_") or "node"
        count = 1
        while name in self.values() or name.lower() in _RESERVED:
            count += 1
            name = f"{base}_{count}"
        self[id] = name
        return name


def _lines(scene: Scene, names: _Names, indent: str) -> Iterator[str]:
    grouped = {id for group in scene.groups for id in group.boxes}
    by_id = {box.id: box for box in scene.boxes}
    ends = [box for box in scene.boxes if box.kind in ("input", "output")]
    inner = [box for box in scene.boxes if box not in ends]
    for box in (*ends, *inner):
        if box.id not in grouped:
            yield from _box(box, names, indent)
    for position, group in enumerate(scene.groups, 1):
        yield f'{indent}subgraph {names[f"group {position}"]}["{_escaped(group.title)}"]'
        for id in group.boxes:
            yield from _box(by_id[id], names, f"{indent}  ")
        yield f"{indent}end"
    for link in scene.links:
        label = "<br/>".join(_escaped(column) for column in link.columns)
        yield f'{indent}{names[link.source]} -- "{label}" --> {names[link.target]}'


def _box(box: Box, names: _Names, indent: str) -> Iterator[str]:
    label = "<br/>".join(_escaped(line) for line in (box.title, *box.notes) if line)
    if not box.bodies:
        opening, closing = _SHAPES.get(box.kind, ('["', '"]')) if label else _PIN
        yield f"{indent}{names[box.id]}{opening}{label or ' '}{closing}"
        return
    yield f'{indent}subgraph {names[box.id]}["{label}"]'
    for label, body in box.bodies:
        inner = f"{indent}  "
        if label:
            yield f'{inner}subgraph {names[f"{box.id}/{label}"]}["{_escaped(label)}"]'
            yield from _lines(body, names, f"{inner}  ")
            yield f"{inner}end"
        else:
            yield from _lines(body, names, inner)
    yield f"{indent}end"


def _gpus(scene: Scene) -> Iterator[str]:
    for box in scene.boxes:
        if box.is_gpu:
            yield box.id
        for _, body in box.bodies:
            yield from _gpus(body)


def _escaped(text: str) -> str:
    return "".join(_ENTITIES.get(letter, letter) for letter in text.replace("\n", " "))
