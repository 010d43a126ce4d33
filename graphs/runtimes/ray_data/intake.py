"""What a run reads: the objects of its input, or the rows that an earlier run rejected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphs.errors import InputChanged, InputError
from graphs.planners.offline import OfflinePlan
from graphs.spec import Input, Manifest, RunSpec
from graphs.storage.inputs import absolute, list_input, run_key
from graphs.storage.objects import ObjectInfo
from graphs.storage.snapshots import Dataset


@dataclass(frozen=True, slots=True)
class Intake:
    """A run's input, and the name that the run has from it."""

    input: Input
    objects: tuple[ObjectInfo, ...]
    run_key: str
    base: Manifest | None
    """The snapshot whose rejected rows are run again; ``None`` unless the run is a replay."""


def take_in(spec: RunSpec, plan: OfflinePlan, dataset: Dataset, before: Manifest | None) -> Intake:
    """Lists what a run reads.

    Args:
        spec: the run.
        plan: what it computes.
        dataset: where its rows go.
        before: the partition's manifest as it is now.

    Raises:
        InputNotFound: the input is not there.
        InputError: the output lies inside the input, or a replay names a snapshot that is not the
            partition's (any more).
    """
    if spec.replay is not None:
        return _replayed(spec, plan, dataset, before, spec.replay)
    input = absolute(spec.input)
    _refuse_output_inside_input(input, dataset)
    objects = list_input(input, spec.partition_key)
    key = run_key(plan.version, spec.partition_key, input, objects, spec.parameters, spec.sink)
    return Intake(input, objects, key, None)


def _refuse_output_inside_input(input: Input, dataset: Dataset) -> None:
    """A run that reads what it writes would get another run key each time it is repeated."""
    if input.partition_by is None and f"{dataset.uri}/".startswith(f"{input.uri}/"):
        raise InputError(
            f"the output {dataset.uri!r} lies inside the input",
            input.uri,
            "Write to a folder beside it, or partition the input",
        )


def _replayed(
    spec: RunSpec, plan: OfflinePlan, dataset: Dataset, before: Manifest | None, replay: str
) -> Intake:
    input = Input(uri=dataset.uri, nested_in="input")
    is_replayed = before is not None and before.replays and before.replays[-1].run_key == replay
    if before is not None and is_replayed and before.version == plan.version:
        return Intake(input, (), before.run_key, None)
    if before is None or before.run_key != replay:
        raise InputError(
            f"run {replay} is not the snapshot of partition {spec.partition_key} (any more)",
            dataset.manifest_uri(spec.partition_key),
            f"It is {before.run_key if before else 'none'}: replay that, or run the input again",
        )
    paths = dataset.rejected_files(before).column("path").to_pylist()
    objects = _with_etags(dataset, paths)
    key = run_key(plan.version, spec.partition_key, input, objects, spec.parameters, spec.sink)
    return Intake(input, objects, key, before)


def _with_etags(dataset: Dataset, paths: Sequence[str]) -> tuple[ObjectInfo, ...]:
    """The objects at some paths, as they are listed; whatever else lies beside them is not read."""
    folders = {path.rpartition("/")[0] for path in paths}
    listed = {info.path: info for folder in folders for info in dataset.store.list(folder)}
    missing = [path for path in paths if path not in listed]
    if missing:
        raise InputChanged("rejected rows are gone", dataset.store.uri_of(missing[0]))
    return tuple(sorted((listed[path] for path in paths), key=lambda info: info.path))
