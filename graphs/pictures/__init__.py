"""A graph or its plan, drawn: Mermaid and DOT text, SVG, and what a notebook shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from graphs.authoring import GraphFunction
from graphs.compiler import compile
from graphs.ir import Graph
from graphs.pictures.dot import dot
from graphs.pictures.mermaid import mermaid
from graphs.pictures.scene import Scene, scene_of
from graphs.pictures.svg import svg
from graphs.pictures.tally import Computed, Counted, counts_of, tally
from graphs.profiles import Profile
from graphs.spec import Counts


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as text of several formats; a notebook shows it by itself."""

    scene: Scene

    @property
    def mermaid(self) -> str:
        """Mermaid text."""
        return mermaid(self.scene)

    @property
    def dot(self) -> str:
        """DOT text, for Graphviz."""
        return dot(self.scene)

    @property
    def svg(self) -> str:
        """An SVG document with a transparent background."""
        return svg(self.scene)

    def _repr_svg_(self) -> str:
        return self.svg


def draw(
    graph: Graph | GraphFunction,
    *,
    target: Literal["offline", "online"] | None = None,
    profile: Profile | Mapping[str, Any] | None = None,
    result: Counted | Computed | Counts | None = None,
) -> Picture:
    """Draw a graph, or what it becomes for a target.

    Args:
        graph: the graph.
        target: ``offline`` groups the nodes by stage, ``online`` by deployment; without it the
            graph is drawn as it was authored.
        profile: of that target; the defaults when not given.
        result: what a run of it came to, whose counts are then shown at each node: what
            ``graphs.run`` returns, or a ``RunResult``, ``Manifest`` or ``Report``.

    Returns:
        A picture with ``mermaid``, ``dot`` and ``svg``; a notebook shows it.

    Raises:
        CheckFailed: the graph is wrong, and a target or a result was given.
        ProfileError: the profile is wrong.
    """
    shown = graph.graph if isinstance(graph, GraphFunction) else graph
    groups: list[tuple[str, tuple[str, ...]]] = []
    counted = None
    if result is not None:
        counted = compile(shown, "inline").graph, counts_of(result)
    if target == "offline":
        stages = compile(shown, "offline", profile)
        shown = stages.graph
        groups = [(f"stage {n}", s.nodes) for n, s in enumerate(stages.stages, 1)]
    elif target == "online":
        deployments = compile(shown, "online", profile)
        shown = deployments.graph
        groups = [(f"deployment {d.name}", d.nodes) for d in deployments.deployments]
    made = tally(counted[0], shown, counted[1]) if counted else None
    return Picture(scene_of(shown, [group for group in groups if group[1]], made))


__all__ = ["Picture", "draw"]
