"""Check → rewrite → plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, overload

from graphs.checks import check
from graphs.ir import Graph, version
from graphs.planners.inline import InlinePlan, plan_inline
from graphs.planners.offline import OfflinePlan, plan_offline
from graphs.planners.online import OnlinePlan, plan_online
from graphs.profiles import InlineProfile, OfflineProfile, OnlineProfile, Profile, profile_of
from graphs.rewrites import rewrite

Target = Literal["inline", "offline", "online"]
Plan = InlinePlan | OfflinePlan | OnlinePlan

PLANNERS: dict[str, tuple[type[Any], Callable[[Graph, str, Any], Plan]]] = {
    "inline": (InlineProfile, plan_inline),
    "offline": (OfflineProfile, plan_offline),
    "online": (OnlineProfile, plan_online),
}

Given = Profile | Mapping[str, Any] | None


@overload
def compile(graph: Graph, target: Literal["inline"], profile: Given = None) -> InlinePlan: ...
@overload
def compile(graph: Graph, target: Literal["offline"], profile: Given = None) -> OfflinePlan: ...
@overload
def compile(graph: Graph, target: Literal["online"], profile: Given = None) -> OnlinePlan: ...
def compile(graph: Graph, target: Target, profile: Given = None) -> Plan:
    """Compile a graph for one target.

    Args:
        graph: the graph, as authored.
        target: ``inline``, ``offline`` or ``online``.
        profile: of that target, or its keys; the defaults when not given.

    Returns:
        The target's plan: the rewritten graph, its stages or deployments, and the version, which is
        that of the graph as authored, so that a rewrite cannot change it.

    Raises:
        CheckFailed: the graph is wrong; holds every problem.
        ProfileError: the profile is wrong.
    """
    kind, planner = PLANNERS[target]
    check(graph, target)
    return planner(rewrite(graph), version(graph), profile_of(kind, profile))
