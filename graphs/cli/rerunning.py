"""``graphs runs resume`` and ``replay``: recorded runs, once more on Ray."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from graphs.authoring import load_graph
from graphs.cli.history import find_run
from graphs.cli.output import AsJson, DatasetUri, print_json, typed_errors_exit_1
from graphs.cli.watching import compute
from graphs.compiler import compile
from graphs.errors import GraphError, InputChanged, ObjectNotFound
from graphs.profiles import load as load_profiles
from graphs.spec import RunRecord, RunSpec
from graphs.storage.snapshots import Dataset

OtherProfile = Annotated[
    str | None,
    typer.Option(
        "--profile", help="a file or a preset, in place of the profile that the run was given"
    ),
]


def resume(
    dataset: DatasetUri,
    run_key: Annotated[str, typer.Argument(help="its key, or how it begins")],
    profile: OtherProfile = None,
    as_json: AsJson = False,
) -> None:
    """Go on with a run where it ended: what is done is not computed again.

    Refuses where graph or input have changed since: that would be another run.
    """
    with typed_errors_exit_1(as_json):
        place = Dataset(dataset)
        run = find_run(place, run_key)
        record = _recorded(run.record, place, run.key)
        spec = _again(record.spec, place, profile)
        _refuse_another_run(spec, record, place)
        compute(spec, as_json)


def replay(
    dataset: DatasetUri,
    partition_key: Annotated[str, typer.Argument(help="whose rejected rows are run again")],
    graph: Annotated[
        str | None, typer.Option(help='the mended graph, as "module:name", if it has another name')
    ] = None,
    profile: OtherProfile = None,
    as_json: AsJson = False,
) -> None:
    """Run the rejected rows of a snapshot again, after a fix, into a new snapshot.

    It keeps the other rows as they are, and says so.
    """
    with typed_errors_exit_1(as_json):
        place = Dataset(dataset)
        found = place.read_manifest(partition_key)
        if found is None:
            raise ObjectNotFound(
                f"nothing was committed for partition {partition_key!r}",
                place.manifest_uri(partition_key),
                f"`graphs runs ls {place.uri}` lists what there is",
            )
        manifest = found[0]
        if not manifest.counts.rows_rejected:
            _tell_nothing_to_do(manifest.run_key, partition_key, as_json)
            return
        record = _recorded(place.read_run(manifest.run_key), place, manifest.run_key)
        changed: dict[str, Any] = {"replay": manifest.run_key, "graph": graph or record.spec.graph}
        compute(_again(record.spec, place, profile).model_copy(update=changed), as_json)


def _tell_nothing_to_do(run_key: str, partition_key: str, as_json: bool) -> None:
    if as_json:
        print_json({"run_key": run_key, "partition_key": partition_key, "rejected": 0})
    else:
        typer.echo(f"run {run_key} of partition {partition_key} rejected no row")


def _recorded(record: RunRecord | None, dataset: Dataset, run_key: str) -> RunRecord:
    if record is None:
        raise ObjectNotFound(
            "there is no record of what it was to do",
            f"run {run_key} of dataset {dataset.uri!r}",
            "Start it again with `graphs run … --on ray`: what is done is kept",
        )
    return record


def _again(spec: RunSpec, dataset: Dataset, profile: str | None) -> RunSpec:
    # The dataset may have been reached by another name when the run was started.
    changed: dict[str, Any] = {"output": dataset.uri}
    if profile is not None:
        changed["profile"] = load_profiles(profile).offline.model_dump()
    return spec.model_copy(update=changed)


def _refuse_another_run(spec: RunSpec, record: RunRecord, dataset: Dataset) -> None:
    """Graph and input name a run; with others, "going on" would silently begin from nothing."""
    from graphs.runtimes.ray_data.intake import take_in  # loads ray

    plan = compile(load_graph(spec.graph), "offline", spec.profile)
    if plan.version != record.version:
        raise GraphError(
            f"is at version {plan.version} now, the run is of version {record.version}",
            f"graph {spec.graph!r}",
            "Go back to the code that the run was made with, or start another with `graphs run`",
        )
    before = dataset.read_manifest(spec.partition_key)
    intake = take_in(spec, plan, dataset, before[0] if before else None)
    if intake.run_key != record.run_key:
        raise InputChanged(
            "the input is not what it was when the run was planned",
            f"run {record.run_key}, input {spec.input.uri!r}",
            "Start another run over it with `graphs run`",
        )
