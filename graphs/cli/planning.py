"""``plan`` and ``draw``: what a graph becomes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any, Literal

import typer
from pydantic import BaseModel, ValidationError

from graphs.authoring import load_graph
from graphs.cli.output import (
    AsJson,
    ProfileSource,
    Reference,
    console,
    print_json,
    print_table,
    typed_errors_exit_1,
)
from graphs.cli.tables import read_bytes, write_bytes
from graphs.compiler import Plan, Target, compile
from graphs.errors import InputError
from graphs.ir import Resources
from graphs.pictures import draw as draw_graph
from graphs.planners.inline import InlinePlan
from graphs.planners.offline import OfflinePlan, Stage
from graphs.planners.online import Call, Deployment, OnlinePlan
from graphs.profiles import load as load_profiles
from graphs.spec import Counts


def plan(
    graph: Reference,
    target: Annotated[Target | None, typer.Option(help="this target only")] = None,
    profile: ProfileSource = "laptop",
    as_json: AsJson = False,
) -> None:
    """Show what a graph becomes: stages offline, deployments and their calls online.

    And what the profile makes of it.
    """
    with typed_errors_exit_1(as_json):
        authored, profiles = load_graph(graph), load_profiles(profile)
        wanted: tuple[Target, ...] = (target,) if target else ("offline", "online")
        plans: dict[str, Plan] = {
            name: compile(authored, name, getattr(profiles, name)) for name in wanted
        }
    stamp = next(iter(plans.values())).version
    if as_json:
        told = {name: _told(made) for name, made in plans.items()}
        print_json({"graph": authored.name, "version": stamp, "targets": told})
        return
    console().print(f"{authored.name} · version {stamp}", markup=False)
    for name, made in plans.items():
        _print_plan(made)
        print_table(
            f"{name} profile",
            ("key", "value", "default", "meaning"),
            _profile_rows(made.profile),
        )


def _told(plan: Plan) -> dict[str, Any]:
    told: dict[str, Any] = {"profile": plan.profile.model_dump()}
    match plan:
        case InlinePlan():
            told["nodes"] = plan.nodes
        case OfflinePlan():
            told["stages"] = [asdict(stage) for stage in plan.stages]
        case OnlinePlan():
            told["deployments"] = [asdict(deployment) for deployment in plan.deployments]
            told["calls"] = [asdict(call) for call in plan.calls]
    return told


def _print_plan(plan: Plan) -> None:
    match plan:
        case InlinePlan():
            print_table("inline: this process", ["nodes"], [[" → ".join(plan.nodes)]])
        case OfflinePlan():
            print_table(
                "offline: stages, one after the other",
                ["stage", "nodes", "on", "columns in", "columns out"],
                (_stage_row(n, stage) for n, stage in enumerate(plan.stages, 1)),
            )
        case OnlinePlan():
            print_table(
                "online: deployments",
                ["deployment", "nodes", "on", "batches"],
                map(_deployment_row, plan.deployments),
            )
            print_table(
                "online: calls that answer a request",
                ["call", "of", "nodes", "columns in", "columns out", "waits for"],
                (_call_row(n, call) for n, call in enumerate(plan.calls, 1)),
            )


def _stage_row(number: int, stage: Stage) -> tuple[object, ...]:
    workers = f"up to {stage.workers_max} tasks"
    if stage.is_stateful:
        workers = f"{stage.workers_min}–{stage.workers_max} actors"
    return (
        number,
        " → ".join(stage.nodes) or "(copies)",
        f"{workers}, {_needs(stage.resources)}",
        ", ".join(stage.columns_in),
        ", ".join(stage.columns_out),
    )


def _deployment_row(deployment: Deployment) -> tuple[object, ...]:
    return (
        deployment.name,
        ", ".join(deployment.nodes) or "(takes requests)",
        f"{deployment.replicas} × {_needs(deployment.resources)}",
        "yes" if deployment.is_batched else "no",
    )


def _call_row(number: int, call: Call) -> tuple[object, ...]:
    return (
        number,
        call.deployment,
        " → ".join(call.nodes),
        ", ".join(call.columns_in),
        ", ".join(call.columns_out),
        ", ".join(str(position + 1) for position in call.after) or "the request",
    )


def _needs(needs: Resources) -> str:
    words = [f"{needs.cpus:g} CPU"]
    words += [f"{needs.gpus:g} GPU"] if needs.gpus else []
    words += [needs.accelerator] if needs.accelerator else []
    words += [f"{needs.memory_bytes / 2**20:,.0f} MiB"] if needs.memory_bytes else []
    return " ".join(words)


def _profile_rows(profile: BaseModel) -> Iterator[tuple[object, ...]]:
    for name, field in type(profile).model_fields.items():
        default = field.get_default(call_default_factory=True)
        value = profile.model_dump()[name]
        yield name, value, "" if value == default else default, field.description


def draw(
    graph: Reference,
    format: Annotated[
        Literal["mermaid", "dot", "svg"], typer.Option(help="the text to make")
    ] = "mermaid",
    target: Annotated[
        Literal["graph", "offline", "online"],
        typer.Option(help="the graph as authored, or its nodes by stage or by deployment"),
    ] = "graph",
    profile: ProfileSource = "laptop",
    counts: Annotated[
        str | None,
        typer.Option(help="URI of a manifest, report or run result whose counts are shown"),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="a file instead of stdout")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw a graph, or what it becomes."""
    with typed_errors_exit_1(as_json):
        planned = None if target == "graph" else target
        scale = getattr(load_profiles(profile), planned) if planned else None
        seen = _counts(counts) if counts else None
        picture = draw_graph(load_graph(graph), target=planned, profile=scale, result=seen)
        text = {"mermaid": picture.mermaid, "dot": picture.dot, "svg": picture.svg}[format]
        if output:
            write_bytes(output, f"{text}\n".encode())
    if as_json:
        told = {"graph": graph, "target": target, "format": format}
        print_json({**told, "output": output} if output else {**told, "text": text})
    elif not output:
        typer.echo(text)


def _counts(uri: str) -> Counts:
    try:
        return Counts.model_validate(json.loads(read_bytes(uri))["counts"])
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "holds no counts", uri, "Name a manifest, a report or the result of a run, as JSON"
        ) from error
