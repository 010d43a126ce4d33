"""Alias and route in agreement: after a flip, after a failure, after an owner's death."""

from __future__ import annotations

from datetime import UTC, datetime

from graphs.authoring import load_graph
from graphs.compiler import compile
from graphs.errors import AlreadyExists, GraphsError, PromotionError, Superseded
from graphs.planners.online import OnlinePlan
from graphs.promotion.ledger import Ledger
from graphs.runtimes.ray_serve.ask import live_version
from graphs.runtimes.ray_serve.deploy import (
    deploy,
    has_replicas,
    retire,
    retire_others,
    wait_until_settled,
)
from graphs.spec import Alias, PromotionSpec, Release
from graphs.storage.aliases import Registry


def candidate_app(release: Release) -> str:
    """Name of the application in which a release's version is tried out."""
    return f"{release.graph}-candidate-{release.version}"


def live_app(release: Release) -> str:
    """Name of the application that answers at a release's route."""
    return release.graph if release.alias == "champion" else f"{release.graph}-{release.alias}"


def url_of(release: Release, serve_address: str) -> str:
    """Where a release's route is reached."""
    return serve_address.rstrip("/") + release.route


def move_alias(registry: Registry, release: Release, ref: str) -> None:
    """Point the release's alias at its version; nothing happens where it points there already.

    Args:
        registry: where aliases are kept.
        release: whose version is proved to answer.
        ref: reference of its graph; empty when unknown.

    Raises:
        PromotionError: somebody else moved the alias meanwhile.
    """
    found = registry.read_alias(release.graph, release.alias)
    alias, etag = found if found else (None, None)
    if alias is not None and alias.release == release.id:
        return
    moved = Alias(
        name=release.alias,
        graph=release.graph,
        version=release.version,
        release=release.id,
        route=release.route,
        moved_at=datetime.now(UTC),
        ref=ref,
    )
    try:
        registry.move_alias(moved, etag)
    except (AlreadyExists, Superseded) as error:
        now = registry.read_alias(release.graph, release.alias)
        if now is None or now[0] != moved:  # else it was our own write, its response lost
            raise PromotionError(
                f"alias {release.alias!r} was moved by somebody else meanwhile",
                where=f"graph {release.graph!r}",
                remedy="See who moves aliases by hand, then promote again",
            ) from error


def settle(ledger: Ledger, registry: Registry, serve_address: str) -> None:
    """End a release whose owner died: by what answers at its route, it went live or it did not."""
    dead = ledger.release
    retire(candidate_app(dead))
    wait_until_settled(live_app(dead))
    if dead.state == "flipping" and live_version(url_of(dead, serve_address)) == dead.version:
        # It had parity, and each of its replicas has proved itself: only the alias is missing.
        retire_others(live_app(dead), dead.version)
        move_alias(registry, dead, ref="")
        ledger.advance("live")
    else:
        ledger.advance("rolled_back", reason=f"its owner died while it was {dead.state!r}")


def restore(registry: Registry, release: Release, spec: PromotionSpec) -> str:
    """Bring the previous version back to the route after a flip that failed.

    Returns:
        What came of it, as a sentence.
    """
    app, route, previous = live_app(release), release.route, release.previous
    plan = _rebuild(registry, release, spec)
    if plan is not None:
        deploy(plan, app=app, route=route, serve_address=spec.serve_address)
        return f"Version {previous} answers at {route}."
    if previous is None or not has_replicas(app):
        retire(app)
        return f"Nothing answers at {route}: there is no previous version to restore."
    gone = f"the code or artifacts of version {previous} are not here any more"
    if live_version(url_of(release, spec.serve_address)) == release.version:
        return f"The new version answers at {route}, though no alias names it: {gone}."
    return (
        f"Version {previous} still answers at {route}, by replicas that Serve could not replace "
        f"if they died: {gone}."
    )


def _rebuild(registry: Registry, release: Release, spec: PromotionSpec) -> OnlinePlan | None:
    """The previous version's plan, if what its alias refers to still compiles to it."""
    found = registry.read_alias(release.graph, release.alias)
    if found is None or not found[0].ref or release.previous in (None, release.version):
        return None
    try:
        plan = compile(load_graph(found[0].ref), "online", spec.profile)
    except GraphsError:
        return None
    return plan if plan.version == release.previous else None
