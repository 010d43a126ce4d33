"""What differs between the facts of two graphs: why they have different versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Part = Literal["structure", "code", "artifacts"]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference."""

    part: Part
    where: str
    """What it is about: ``node 'double'``, ``input 'text'``, ``edge a.x → b.y``."""
    what: str
    before: Any = None
    """``None`` where it is new."""
    after: Any = None
    """``None`` where it is gone."""


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    """The differences between two results of :func:`graphs.ir.facts`; none if they are equal."""
    old, new = before["structure"], after["structure"]
    found = [*_structure(old, new, "")]
    was, now = dict(_nodes(old, "")), dict(_nodes(new, ""))
    for path in was.keys() & now.keys():
        if was[path]["ref"] and now[path]["ref"]:
            here = _definitions(before, was[path]["ref"]), _definitions(after, now[path]["ref"])
            found += _code(path, *here)
        found += _artifacts(path, was[path], now[path], before, after)
    order = ("structure", "code", "artifacts")
    return tuple(sorted(found, key=lambda c: (order.index(c.part), c.where, c.what)))


def _structure(old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Iterator[Change]:
    place = f" of {path.rstrip('/')!r}" if path else ""
    if old["key"] != new["key"]:
        yield Change("structure", f"graph{place}", "key", old["key"], new["key"])
    for kind in ("inputs", "outputs"):
        for name, pair in _differing(old[kind], new[kind]):
            yield Change("structure", f"{kind[:-1]} {name!r}{place}", _verb(*pair), *pair)
    for name, (was, now) in _differing(old["nodes"], new["nodes"]):
        where = f"node {path + name!r}"
        if was is None or now is None:
            kind = (was or now)["kind"]
            yield Change("structure", where, _verb(was, now), was and kind, now and kind)
            continue
        for field, pair in _differing(was, now):
            if field != "bodies":
                yield Change("structure", where, field, *pair)
        yield from _bodies(was, now, f"{path}{name}/")
    edges = (sorted(_edge(edge) for edge in graph["edges"]) for graph in (old, new))
    for edge, pair in _differing(*({name: name for name in names} for names in edges)):
        yield Change("structure", f"edge {edge}{place}", _verb(*pair), *pair)


def _bodies(was: Mapping[str, Any], now: Mapping[str, Any], path: str) -> Iterator[Change]:
    for label, (old, new) in _differing(was["bodies"], now["bodies"]):
        if old is None or new is None:
            has = old is not None, new is not None
            verb = _verb(*(True if one else None for one in has))
            yield Change("structure", f"case {label} of {path.rstrip('/')!r}", verb, *has)
        else:
            yield from _structure(old, new, f"{path}{label}/" if label else path)


def _edge(edge: list[str]) -> str:
    source, source_port, target, target_port = edge
    return f"{source or 'input'}.{source_port} → {target or 'output'}.{target_port}"


def _nodes(structure: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, node in structure["nodes"].items():
        yield f"{path}{name}", node
        for label, body in node["bodies"].items():
            yield from _nodes(body, f"{path}{name}/{label}/" if label else f"{path}{name}/")


def _definitions(facts: Mapping[str, Any], ref: str) -> dict[str, str]:
    """Digests by name, those of the node's own module without its name: a copy of a module is the
    same code."""
    module = ref.partition(":")[0]
    own = (f"{module}:", f"value {module}.")
    return {
        next((name.removeprefix(prefix) for prefix in own if name.startswith(prefix)), name): digest
        for name, digest in facts["code"][ref].items()
    }


def _code(path: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for name, pair in _differing(old, new):
        yield Change("code", f"node {path!r}", f"{name} {_verb(*pair)}", *pair)


def _artifacts(
    path: str,
    was: Mapping[str, Any],
    now: Mapping[str, Any],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> Iterator[Change]:
    old = {name: before["artifacts"][uri] for name, uri in was["artifacts"].items()}
    new = {name: after["artifacts"][uri] for name, uri in now["artifacts"].items()}
    for name, pair in _differing(old, new):
        yield Change("artifacts", f"node {path!r}", f"{name} {_verb(*pair)}", *pair)


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Keys whose values differ, with both values; ``None`` for one that is not there."""
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            yield key, (old.get(key), new.get(key))


def _verb(before: object, after: object) -> str:
    if before is None:
        return "added"
    return "removed" if after is None else "changed"
