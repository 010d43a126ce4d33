"""The release state machine and its guards, as pure functions on records.

    requested → deploying → parity → flipping → live
         └───────────┴─────────┴─────────┴────→ rolled_back

Whoever holds a release advances it by compare-and-swap and touches it at least every
:data:`BEAT_EVERY`. A release that was not touched for :data:`STALE_AFTER` belongs to nobody any
more, and whoever comes next takes it up.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta

from graphs.errors import GateFailed, ReleaseInProgress
from graphs.spec import Manifest, PromotionSpec, Release, ReleaseState, Report

BEAT_EVERY = timedelta(seconds=20)
STALE_AFTER = timedelta(seconds=120)

NEXT: Mapping[ReleaseState, frozenset[ReleaseState]] = {
    "requested": frozenset({"deploying", "rolled_back"}),
    "deploying": frozenset({"parity", "rolled_back"}),
    "parity": frozenset({"flipping", "rolled_back"}),
    "flipping": frozenset({"live", "rolled_back"}),
    "live": frozenset(),
    "rolled_back": frozenset(),
}


def claim(current: Release | None, wanted: Release) -> Release:
    """The release to hold now: the wanted one, or a dead one that comes first.

    A dead release of the same work is continued. Before the flip it starts over, for every step
    up to there can be repeated; from the flip on it goes on where it was. A dead release of other
    work is returned as it is, with the new owner, to be settled before the wanted one starts.

    Raises:
        ReleaseInProgress: another owner's release is under way.
    """
    if current is None or current.is_terminal:
        return wanted
    age = wanted.updated_at - current.updated_at
    if current.owner != wanted.owner and age < STALE_AFTER:
        raise ReleaseInProgress(
            f"version {current.version} is being released by {current.owner!r}, "
            f"{current.state!r} {age.total_seconds():.0f} s ago",
            where=f"graph {current.graph!r}",
            remedy=f"Try again when it has ended; it counts as abandoned after "
            f"{STALE_AFTER.total_seconds():.0f} s without a sign of life",
        )
    if current.id == wanted.id and current.state != "flipping":
        return wanted
    taken = {"owner": wanted.owner, "updated_at": wanted.updated_at}
    return current.model_copy(update=taken)


def advance(release: Release, state: ReleaseState, now: datetime, **facts: object) -> Release:
    """The release in its next state.

    Args:
        release: as it is.
        state: one of ``NEXT[release.state]``.
        now: when it got there.
        facts: fields that become known with it (``parity``, ``reason``).

    Raises:
        ValueError: there is no such step.
    """
    if state not in NEXT[release.state]:
        raise ValueError(f"a release cannot go from {release.state!r} to {state!r}")
    return release.model_copy(update={"state": state, "updated_at": now, **facts})


def release_id(spec: PromotionSpec, graph: str, version: str, run_key: str) -> str:
    """16 hexadecimal digits that name one piece of work: repeating it continues it."""
    facts = [graph, version, spec.dataset, spec.partition_key, run_key, spec.alias]
    facts.append(spec.route or "")
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def gate(
    manifest: Manifest | None, report: Report | None, *, graph: str, version: str, where: str
) -> Manifest:
    """Let a version through that has a passing report of a snapshot it made itself.

    Args:
        manifest: the partition's committed snapshot, if there is one.
        report: what was said of that snapshot's run, if it was judged.
        graph: name of the graph.
        version: what the graph compiles to now.
        where: the dataset and partition, named in the error.

    Raises:
        GateFailed: says which expectation failed, or what is missing.
    """
    if manifest is None:
        raise GateFailed("no snapshot is committed", where, "Run the graph over it first")
    if (manifest.graph, manifest.version) != (graph, version):
        raise GateFailed(
            f"the snapshot was made by version {manifest.version} of {manifest.graph!r}; "
            f"{graph!r} compiles to {version} here",
            where,
            "Run this version over the partition first, or promote the code that made it",
        )
    if len(manifest.versions) > 1:
        raise GateFailed(
            f"the snapshot holds rows of versions {', '.join(manifest.versions)}: rejected rows "
            "were replayed with a later one",
            where,
            "Run this version over the whole partition first",
        )
    if report is None or report.run_key != manifest.run_key:
        raise GateFailed("the snapshot has no report", where, "Run the graph over it again")
    if not report.passed:
        raise GateFailed(
            "; ".join(report.failures), where, "Nothing was deployed; see the report page"
        )
    return manifest


def can_prove(manifest: Manifest, *, where: str) -> None:
    """Refuse a new version whose snapshot gives nothing to compare online answers with.

    A version that is live already needs no such proof: a day without rows changes nothing.

    Raises:
        GateFailed: the snapshot has no rows.
    """
    if manifest.counts.rows_out == 0:
        raise GateFailed(
            "the snapshot has no rows, so there is nothing to compare online answers with",
            where,
            "Promote from a partition that has rows",
        )
