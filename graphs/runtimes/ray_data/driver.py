"""The steps of an offline run, in order; each can be killed and the next attempt continues."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from graphs.authoring import load_graph
from graphs.compiler import compile
from graphs.errors import InputError
from graphs.planners.offline import OfflinePlan
from graphs.runtimes.inline import HOPELESS_AFTER
from graphs.runtimes.kernel import check_input, check_parameters
from graphs.runtimes.ray_data.cluster import compute, connect
from graphs.runtimes.ray_data.ledger import Ledger, Progress
from graphs.runtimes.ray_data.stage import Work
from graphs.spec import Input, Manifest, Report, RunResult, RunSpec, ShardPlan
from graphs.storage.objects import ObjectInfo, Store
from graphs.storage.shards import list_input, plan_shards, run_key
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
        CommitConflict: another run committed the partition meanwhile.
        RunFailed: the cluster failed.
    """
    began = time.monotonic()
    graph = load_graph(spec.graph)
    plan = compile(graph, "offline", spec.profile)
    check_parameters(graph, spec.parameters)
    dataset = Dataset(spec.output)
    input = spec.input.model_copy(update={"uri": Store.open(spec.input.uri).uri})
    _refuse_output_inside_input(input, dataset)
    objects = list_input(input, spec.partition_key)
    key = run_key(plan.version, spec.partition_key, input, objects, spec.parameters)
    before = dataset.read_manifest(spec.partition_key)
    if before is not None and before[0].run_key == key:
        log.info("run %s is committed; nothing to compute", key)
        return _result(spec, dataset, before[0], _Effort(was_committed=True), began)
    dataset.store.probe_conditional_puts()
    shards = dataset.read_plan(key) or dataset.write_plan(
        _shard_plan(spec, plan, input, objects, key)
    )
    ledger = Ledger(shards, spec.error_budget)
    effort = _compute(spec, plan, dataset, ledger, attempt, progress)
    replacing = before[1] if before is not None else None
    manifest = dataset.commit(ledger.manifest(plan.graph.key), replacing)
    log.info("committed %s", dataset.manifest_uri(spec.partition_key))
    return _result(spec, dataset, manifest, effort, began)


@dataclass(frozen=True, slots=True)
class _Effort:
    """What this attempt did itself."""

    shards_computed: int = 0
    rows: int = 0
    seconds: float = 0.0
    was_committed: bool = False


def _refuse_output_inside_input(input: Input, dataset: Dataset) -> None:
    """A run that reads what it writes would get another run key each time it is repeated."""
    if f"{dataset.uri}/".startswith(f"{input.uri}/") and input.partition_by is None:
        raise InputError(
            f"the output {dataset.uri!r} lies inside the input",
            input.uri,
            "Write to a folder beside it, or partition the input",
        )


def _shard_plan(
    spec: RunSpec, plan: OfflinePlan, input: Input, objects: tuple[ObjectInfo, ...], key: str
) -> ShardPlan:
    shards = plan_shards(
        input,
        objects,
        shard_rows=plan.profile.shard_rows,
        shard_bytes=plan.profile.shard_bytes,
        check=partial(check_input, plan.graph),
    )
    return ShardPlan(
        run_key=key,
        graph=plan.graph.name,
        version=plan.version,
        partition_key=spec.partition_key,
        input=input,
        shards=shards,
    )


def _compute(
    spec: RunSpec,
    plan: OfflinePlan,
    dataset: Dataset,
    ledger: Ledger,
    attempt: str,
    progress: Callable[[Progress], None] | None,
) -> _Effort:
    """Enters the done-records there are, then computes the shards that lack one."""
    for record in dataset.done_records(ledger.plan.run_key):
        ledger.add(record)
    pending = ledger.pending
    _announce(ledger, len(pending))
    if not pending:
        return _Effort()
    connect()
    # Unique even where two drivers were given the same name: it tells whose records are whose.
    me = f"{re.sub(r'[^A-Za-z0-9._-]', '-', attempt)}-{secrets.token_hex(4)}"
    began = time.monotonic()
    computed = rows = 0
    for record in compute(_works(spec, plan, dataset, ledger.plan, me), pending):
        ledger.add(record)
        if record.attempt.startswith(f"{me}-"):
            computed += 1
            rows += record.counts.rows_in
        reached = ledger.progress(rows / max(time.monotonic() - began, 1e-9))
        log.info("%s", reached)
        if progress is not None:
            progress(reached)
    return _Effort(computed, rows, time.monotonic() - began)


def _announce(ledger: Ledger, pending: int) -> None:
    plan = ledger.plan
    if plan.rows == 0:
        log.warning("partition %s is empty: an empty snapshot is committed", plan.partition_key)
    log.info(
        "run %s: graph %s at version %s, partition %s: %d rows in %d shards, %d already done",
        plan.run_key,
        plan.graph,
        plan.version,
        plan.partition_key,
        plan.rows,
        len(plan.shards),
        len(plan.shards) - pending,
    )


def _works(
    spec: RunSpec, plan: OfflinePlan, dataset: Dataset, shards: ShardPlan, me: str
) -> tuple[Work, ...]:
    budget = spec.error_budget
    return tuple(
        Work(
            plan=plan,
            stage=stage,
            input=shards.input,
            output=dataset.uri,
            partition_key=shards.partition_key,
            run_key=shards.run_key,
            attempt=me,
            parameters=spec.parameters,
            # A small floor judges shares early; it takes more to call a node hopeless.
            hopeless_after=max(budget.floor, HOPELESS_AFTER) if budget.share < 1 else None,
        )
        for stage in range(len(plan.stages))
    )


def _result(
    spec: RunSpec, dataset: Dataset, manifest: Manifest, effort: _Effort, began: float
) -> RunResult:
    report = _judged(spec, dataset, manifest)
    for failure in report.failures:
        log.warning("expectation failed: %s", failure)
    shards = len(manifest.files)  # every shard writes one file, an empty one too
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
        shards=shards,
        shards_computed=effort.shards_computed,
        shards_resumed=shards - effort.shards_computed,
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
