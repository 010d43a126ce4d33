"""The steps of an offline run, in order; each can be killed and the next attempt continues."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from graphs.authoring import load_graph
from graphs.compiler import compile
from graphs.errors import WorkerLost
from graphs.planners.offline import OfflinePlan
from graphs.runtimes.inline import HOPELESS_AFTER
from graphs.runtimes.kernel import check_input, check_parameters
from graphs.runtimes.ray_data.cluster import connect
from graphs.runtimes.ray_data.computing import compute
from graphs.runtimes.ray_data.intake import Intake, take_in
from graphs.runtimes.ray_data.ledger import Ledger
from graphs.runtimes.ray_data.sums import add_usage
from graphs.runtimes.ray_data.telling import Packer, Teller
from graphs.runtimes.ray_data.watchdog import any_stalled, forget_stalls
from graphs.runtimes.ray_data.work import Work
from graphs.spec import (
    DoneRecord,
    Manifest,
    Progress,
    Report,
    RunRecord,
    RunResult,
    RunSpec,
    ShardPlan,
    Usage,
)
from graphs.storage.garbage import refuse_if_removed
from graphs.storage.inputs import Shards, absolute, check_unchanged, plan_shards
from graphs.storage.objects import requests_made
from graphs.storage.sinks import open_sink
from graphs.storage.snapshots import Dataset
from graphs.validation.expectations import evaluate
from graphs.validation.page import page

log = logging.getLogger("graphs.run")


def run(
    spec: RunSpec, *, attempt: str, progress: Callable[[Progress], None] | None = None
) -> RunResult:
    """Computes a partition and commits it; computes nothing if that is committed already.

    Joins a Ray cluster if this process has not, and only if there is something to compute.

    Args:
        spec: what to run.
        attempt: names this try; part of the names of the files it writes.
        progress: called whenever a shard is done.

    Raises:
        GraphError, ProfileError: the graph or the profile is wrong.
        InputNotFound, InputChanged, SchemaMismatch: the input is.
        CredentialsRejected, ConditionalPutIgnored: the store cannot be used.
        ErrorBudgetSpent: too many rows were rejected.
        NodeError: a node broke its own declaration.
        NodeStalled, WorkerLost: a node hangs, or takes its worker down.
        CommitConflict: another run committed the partition meanwhile.
        RunFailed: the cluster failed.
    """
    began = time.monotonic()
    requests = requests_made()
    graph = load_graph(spec.graph)
    plan = compile(graph, "offline", spec.profile)
    check_parameters(graph, spec.parameters)
    dataset = Dataset(spec.output)
    before = dataset.read_manifest(spec.partition_key)
    intake = take_in(spec, plan, dataset, before[0] if before else None)
    if before is not None and before[0].run_key == intake.run_key:
        log.info("run %s is committed; nothing to compute", intake.run_key)
        return _result(spec, dataset, before[0], _Effort(was_committed=True), began)
    dataset.store.probe_conditional_puts()
    sink = open_sink(spec.sink, dataset.uri)
    sink.prepare(plan.graph.output_schema)
    # Unique even where two drivers were given the same name: it tells whose records are whose.
    me = f"{re.sub(r'[^A-Za-z0-9._-]', '-', attempt)}-{secrets.token_hex(4)}"
    attempted = _Attempt(spec, plan, dataset, intake, me)
    with Teller(dataset, intake.run_key, me, progress) as teller:
        ledger, effort = attempted.complete(teller)
        if intake.base is None:
            check_unchanged(intake.input, spec.partition_key, intake.objects)
        mine = Usage(requests=requests_made() - requests)
        usage = _priced(add_usage([ledger.usage, mine]), plan)
        manifest = ledger.manifest(dataset, plan.graph.key, spec.sink, intake.base, usage)
        replaced, etag = before if before is not None else (None, None)
        sink.commit(manifest, ledger.fragments, replaced)
        manifest = dataset.commit(manifest, etag)
    log.info("committed %s", dataset.manifest_uri(spec.partition_key))
    return _result(spec, dataset, manifest, effort, began)


@dataclass(frozen=True, slots=True)
class _Effort:
    """What this attempt did itself."""

    shards_computed: int = 0
    rows: int = 0
    seconds: float = 0.0
    was_committed: bool = False


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One try at a run that is not committed."""

    spec: RunSpec
    plan: OfflinePlan
    dataset: Dataset
    intake: Intake
    me: str

    def complete(self, teller: Teller) -> tuple[Ledger, _Effort]:
        """Enters the done-records there are, then computes the shards that lack one."""
        key = self.intake.run_key
        shard_plan, shards, is_resumed = self._planned()
        base = self.intake.base
        # A replay's rows are all suspects: what is left of them is held against the whole snapshot.
        rows = base.counts.rows_in if base else None
        ledger = Ledger(shard_plan, shards, self.spec.error_budget, rows)
        teller.start(ledger.progress(0.0))
        refuse_if_removed(self.dataset, key)
        if is_resumed:
            forget_stalls(self.dataset.store, key)
            for record in self.dataset.done_records(key, repack_as=self.me):
                ledger.add(record)
        self._announce(ledger, shard_plan)
        if not len(ledger.pending):
            return ledger, _Effort()
        connect()
        return ledger, self._compute(ledger, shards, teller)

    def _planned(self) -> tuple[ShardPlan, Shards, bool]:
        """The frozen plan, and whether an earlier attempt made it."""
        found = self.dataset.read_plan(self.intake.run_key)
        if found is not None:
            return *found, True
        spec, intake, profile = self.spec, self.intake, self.plan.profile
        shards = plan_shards(
            intake.input,
            intake.objects,
            shard_rows=profile.shard_rows,
            shard_bytes=profile.shard_bytes,
            check=partial(check_input, self.plan.graph),
            bad_file=spec.trouble.bad_file,
            schema=self.plan.graph.input_schema,
        )
        record = RunRecord(
            run_key=intake.run_key,
            version=self.plan.version,
            spec=spec.model_copy(
                update={"output": self.dataset.uri, "input": absolute(spec.input)}
            ),
            started_at=datetime.now(UTC),
        )
        self.dataset.write_run(record)
        plan = ShardPlan(
            run_key=intake.run_key,
            graph=self.plan.graph.name,
            version=self.plan.version,
            partition_key=spec.partition_key,
            input=intake.input,
            shards=len(shards),
            rows=shards.rows,
            bytes=shards.bytes,
            shards_at="",
        )
        return *self.dataset.write_plan(plan, shards), False

    def _announce(self, ledger: Ledger, plan: ShardPlan) -> None:
        if plan.rows == 0:
            log.warning("partition %s is empty: an empty snapshot is committed", plan.partition_key)
        log.info(
            "run %s: graph %s at version %s, partition %s: %s rows in %d shards, %d already done",
            plan.run_key,
            plan.graph,
            plan.version,
            plan.partition_key,
            "an unknown number of" if plan.rows is None else plan.rows,
            plan.shards,
            plan.shards - len(ledger.pending),
        )

    def _compute(self, ledger: Ledger, shards: Shards, teller: Teller) -> _Effort:
        began = time.monotonic()
        computed = rows = 0
        packer = Packer(self.dataset, self.intake.run_key, self.me)
        try:
            for done in self._done(ledger, shards, teller):
                record = DoneRecord.model_validate_json(done)
                ledger.add(record)
                packer.add(done)
                if record.attempt.startswith(f"{self.me}-"):
                    computed += 1
                    rows += record.counts.rows_in
                teller.update(ledger.progress(rows / max(time.monotonic() - began, 1e-9)))
        except BaseException:
            packer.write()
            raise
        return _Effort(computed, rows, time.monotonic() - began)

    def _done(self, ledger: Ledger, shards: Shards, teller: Teller) -> Iterator[str]:
        """Done-records as they come; once more, with care, where a shard took its worker down."""
        try:
            yield from compute(self._works(False), shards, ledger.pending, teller.stages)
        except WorkerLost as error:
            self._raise_if_stalled(error)
            log.warning("%s. Once more: a shard at a time, in small batches", error)
            try:
                yield from compute(self._works(True), shards, ledger.pending, teller.stages)
            except WorkerLost as again:
                self._raise_if_stalled(again)
                raise

    def _raise_if_stalled(self, error: WorkerLost) -> None:
        stall = any_stalled(self.dataset.store, self.intake.run_key)
        if stall is not None and self.spec.trouble.lost_worker == "fail":
            raise stall from error

    def _works(self, is_careful: bool) -> tuple[Work, ...]:
        spec, budget = self.spec, self.spec.error_budget
        # A small floor judges shares early; it takes more to call a node hopeless. Rows that were
        # rejected before say nothing about a node.
        is_judged = budget.share < 1 and self.intake.base is None
        return tuple(
            Work(
                plan=self.plan,
                stage=stage,
                input=self.intake.input,
                output=self.dataset.uri,
                sink=spec.sink,
                partition_key=spec.partition_key,
                run_key=self.intake.run_key,
                attempt=self.me,
                parameters=spec.parameters,
                hopeless_after=max(budget.floor, HOPELESS_AFTER) if is_judged else None,
                trouble=spec.trouble,
                is_careful=is_careful,
            )
            for stage in range(len(self.plan.stages))
        )


def _priced(usage: Usage, plan: OfflinePlan) -> Usage:
    """The usage with what it cost, where the profile knows prices."""
    prices = plan.profile.prices
    if prices is None:
        return usage
    held = usage.stages.values()
    cost = (
        sum(stage.held_s * stage.cpus for stage in held) / 3600 * prices.cpu_hour
        + sum(stage.held_s * stage.gpus for stage in held) / 3600 * prices.gpu_hour
        + usage.requests / 1000 * prices.thousand_requests
    )
    return usage.model_copy(update={"cost": cost})


def _result(
    spec: RunSpec, dataset: Dataset, manifest: Manifest, effort: _Effort, began: float
) -> RunResult:
    report = _judged(spec, dataset, manifest)
    for failure in report.failures:
        log.warning("expectation failed: %s", failure)
    return RunResult(
        graph=manifest.graph,
        version=manifest.version,
        run_key=manifest.run_key,
        partition_key=manifest.partition_key,
        dataset=dataset.uri,
        manifest=dataset.manifest_uri(manifest.partition_key),
        report=dataset.report_uri(manifest.partition_key, manifest.run_key),
        passed=report.passed,
        failures=report.failures,
        counts=manifest.counts,
        usage=manifest.usage,
        shards=manifest.shards,
        shards_computed=effort.shards_computed,
        shards_resumed=manifest.shards - effort.shards_computed,
        was_committed=effort.was_committed,
        seconds=time.monotonic() - began,
        rows_per_s=effort.rows / effort.seconds if effort.seconds else 0.0,
    )


def _judged(spec: RunSpec, dataset: Dataset, manifest: Manifest) -> Report:
    """The report on these expectations: the one there is, or a new one in its place."""
    found = dataset.read_report(manifest.partition_key, manifest.run_key)
    if found and tuple(verdict.expectation for verdict in found.verdicts) == spec.expectations:
        return found
    report = evaluate(manifest, spec.expectations)
    dataset.write_report(report, page(report))
    return report
