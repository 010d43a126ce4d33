"""Bringing a version online, step by step, each of which can be repeated.

    gate → claim the release → candidate → parity → flip the route → check it → move the alias

What was live before answers until the new version has proved itself, whatever fails:

1. *Nothing starts without a gate*: a passing report of a snapshot made by this very version.
2. *The candidate is an application of its own*, at a private route. It is asked for a sample of
   the snapshot's rows over HTTP, the way a caller would. It is retired before the flip, so that a
   promotion never needs room for more than one replica beside those that are live.
3. *The flip is a rolling update of the live application* in place: the route never moves. New
   replicas start beside the old ones and must reproduce rows of the sample before they take a
   request; Serve keeps the old ones when they cannot. So a wrong artifact that appears between
   parity and flip does not get through either.
4. *Route first, alias second.* The alias means "this version is proved to answer", so it may only
   follow the route. If this process dies in between, the route is ahead of the alias and the
   release says ``flipping``: the next attempt finishes it. The other order would let the alias
   name, for as long as nobody comes, a version that nobody can ask.
5. *The release ends last*, so that everything before it is done again, or found done, by whoever
   continues a release whose owner died.

Storage failures leave the release unfinished, to be continued; everything else rolls it back.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from graphs.authoring import load_graph
from graphs.compiler import compile
from graphs.errors import ReleaseInProgress, StorageError
from graphs.planners.online import OnlinePlan
from graphs.promotion.ledger import Ledger
from graphs.promotion.release import can_prove, gate, release_id
from graphs.promotion.sample import Sample, draw
from graphs.runtimes.ray_serve.agreement import (
    candidate_app,
    live_app,
    move_alias,
    restore,
    settle,
)
from graphs.runtimes.ray_serve.answering import Proof
from graphs.runtimes.ray_serve.ask import ask_parity, live_version
from graphs.runtimes.ray_serve.deploy import (
    deploy,
    is_running,
    retire,
    retire_others,
    start_serve,
    wait_until_settled,
)
from graphs.spec import Alias, Manifest, Parity, PromotionSpec, Release, ReleaseResult
from graphs.storage.aliases import Registry
from graphs.storage.snapshots import Dataset

log = logging.getLogger(__name__)

_PROOF_ROWS = 16
"""Rows that a replica reproduces before it answers, and that the flipped route is asked about."""


def promote(spec: PromotionSpec, *, owner: str) -> ReleaseResult:
    """Bring the version that made a snapshot online, or say why not and leave things as they are.

    Args:
        spec: what to promote, and where to.
        owner: names this attempt; a later call by the same owner continues where it stopped.

    Raises:
        GraphNotFound, CheckFailed, ProfileError: the graph is not there or cannot be served.
        GateFailed: there is no passing report of a snapshot made by this version.
        ReleaseInProgress: another owner is promoting this graph.
        DeployFailed: the version did not become healthy.
        ParityFailed: its answers differ from the snapshot's rows.
        StorageError: the store failed; call again to continue.
    """
    began = time.monotonic()
    promotion = _prepare(spec)
    found = promotion.already_live()
    if found is not None:
        parity = promotion.ask(promotion.url, promotion.sample)
        log.info("version %s is live already; parity %s", promotion.plan.version, parity)
        return promotion.result(found.release, found.version, parity, True, began)
    can_prove(promotion.manifest, where=Dataset(spec.dataset).manifest_uri(spec.partition_key))
    return promotion.carry_out(owner, began)


def _prepare(spec: PromotionSpec) -> _Promotion:
    """Everything that can be refused before anything is touched."""
    graph = load_graph(spec.graph)
    plan = compile(graph, "online", spec.profile)
    dataset = Dataset(spec.dataset)
    committed = dataset.read_manifest(spec.partition_key)
    manifest = committed[0] if committed else None
    report = dataset.read_report(spec.partition_key, manifest.run_key) if manifest else None
    passed = gate(
        manifest,
        report,
        graph=graph.name,
        version=plan.version,
        where=dataset.manifest_uri(spec.partition_key),
    )
    schema = plan.graph.input_schema
    sample = (
        draw(dataset, passed, spec.sample, schema)
        if passed.counts.rows_out
        else Sample(schema.empty_table(), plan.graph.output_schema.empty_table())
    )
    return _Promotion(spec, plan, passed, sample, Registry(spec.registry))


@dataclass(frozen=True, slots=True)
class _Promotion:
    """One version on its way to a route."""

    spec: PromotionSpec
    plan: OnlinePlan
    manifest: Manifest
    sample: Sample
    registry: Registry

    @property
    def name(self) -> str:
        return self.plan.graph.name

    @property
    def route(self) -> str:
        return (self.spec.route or f"/{self.name}").rstrip("/")

    @property
    def url(self) -> str:
        return self.spec.serve_address.rstrip("/") + self.route

    def already_live(self) -> Alias | None:
        """The alias, if it names this version, the route answers it and nothing is under way."""
        held = self.registry.read_release(self.name)
        found = self.registry.read_alias(self.name, self.spec.alias)
        if found is None or (held is not None and not held[0].is_terminal):
            return None
        alias = found[0]
        is_ours = (alias.version, alias.route) == (self.plan.version, self.route)
        return alias if is_ours and live_version(self.url) == self.plan.version else None

    def carry_out(self, owner: str, began: float) -> ReleaseResult:
        """Take a release of this version to its end."""
        start_serve(self.spec.serve_address)
        with self._claim(owner) as ledger:
            try:
                parity = ledger.release.parity
                if ledger.release.state != "flipping" or parity is None:
                    parity = self._try_out(ledger)
                self._flip(ledger.release)
                move_alias(self.registry, ledger.release, self.plan.graph.ref)
                ledger.advance("live")
            except (StorageError, ReleaseInProgress):
                raise  # to be continued: by the next attempt, or by who took over
            except Exception as error:
                self._roll_back(ledger, error)
                raise
        return self.result(ledger.release.id, ledger.release.previous, parity, False, began)

    def _claim(self, owner: str) -> Ledger:
        """Hold this promotion's release; settle first what a dead owner left of another."""
        while True:
            wanted = self._wanted(owner)
            ledger = Ledger(self.registry, wanted)
            if ledger.release.id == wanted.id:
                return ledger
            with ledger:
                settle(ledger, self.registry, self.spec.serve_address)

    def _wanted(self, owner: str) -> Release:
        found = self.registry.read_alias(self.name, self.spec.alias)
        return Release(
            id=release_id(self.spec, self.name, self.plan.version, self.manifest.run_key),
            graph=self.name,
            version=self.plan.version,
            previous=found[0].version if found else None,
            dataset=self.spec.dataset,
            partition_key=self.spec.partition_key,
            run_key=self.manifest.run_key,
            route=self.route,
            alias=self.spec.alias,
            state="requested",
            owner=owner,
            updated_at=datetime.now(UTC),
        )

    def _try_out(self, ledger: Ledger) -> Parity:
        """Deploy the version beside what is live and ask it for the sample."""
        app = candidate_app(ledger.release)
        route = f"/candidates/{self.name}/{self.plan.version}"
        address = self.spec.serve_address
        ledger.advance("deploying")
        deploy(self.plan, app=app, route=route, serve_address=address)
        ledger.advance("parity")
        parity = self.ask(address.rstrip("/") + route, self.sample)
        retire(app)
        ledger.advance("flipping", parity=parity)
        return parity

    def _flip(self, release: Release) -> None:
        """Let the live application become this version, and see that it has."""
        app = live_app(release)
        few = self.sample.first(_PROOF_ROWS)
        wait_until_settled(app)  # whoever started the flip may have died while Serve went on
        if not is_running(app) or live_version(self.url) != self.plan.version:
            deploy(
                self.plan,
                app=app,
                route=self.route,
                serve_address=self.spec.serve_address,
                proof=Proof(few.inputs, few.offline, dict(self.spec.tolerance)),
            )
        else:
            retire_others(app, self.plan.version)
        self.ask(self.url, few)

    def _roll_back(self, ledger: Ledger, error: Exception) -> None:
        """Restore what was live before, and say why. The caller raises ``error`` again."""
        log.error("rolling back: %s", error)
        reason = f"{type(error).__name__}: {error}"
        try:
            retire(candidate_app(ledger.release))
            if ledger.release.state == "flipping":
                reason = f"{reason}. {restore(self.registry, ledger.release, self.spec)}"
            ledger.advance("rolled_back", reason=reason)
        except Exception:  # the first error is the one to tell
            log.exception("the rollback did not end; the next attempt continues it")

    def ask(self, url: str, sample: Sample) -> Parity:
        """Require that a route answers a sample as the snapshot does, at this version."""
        graph, version = self.plan.graph, self.plan.version
        return ask_parity(url, graph, version, sample, self.spec.tolerance)

    def result(
        self, release: str, previous: str | None, parity: Parity, was_live: bool, began: float
    ) -> ReleaseResult:
        """What came of it."""
        return ReleaseResult(
            release=release,
            graph=self.name,
            version=self.plan.version,
            previous=previous,
            route=self.route,
            parity=parity,
            was_live=was_live,
            seconds=time.monotonic() - began,
        )
