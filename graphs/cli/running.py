"""``run``: a graph over some rows, in this process or on Ray."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pyarrow as pa
import typer
from pydantic import ValidationError

from graphs.authoring import load_graph
from graphs.cli.output import (
    AsJson,
    ProfileSource,
    Reference,
    print_json,
    print_table,
    typed_errors_exit_1,
)
from graphs.cli.tables import WRITABLE, as_json, read_table, write_table
from graphs.cli.watching import compute, summary
from graphs.compiler import compile
from graphs.ir import Graph, every_node
from graphs.pictures.tally import counts_of
from graphs.profiles import Profiles
from graphs.profiles import load as load_profiles
from graphs.runtimes.inline import run_plan
from graphs.runtimes.kernel import Computed, check_parameters
from graphs.spec import Input, RunSpec

_SHOWN = 20
"""Rows printed for people; JSON and files hold all of them."""

WHOLE = "all"
"""Partition key of a run over an input without partitions."""


def run(
    graph: Reference,
    input: Annotated[
        str, typer.Option(help="a parquet, JSON or CSV file, a folder of them, or a glob")
    ],
    output: Annotated[
        str | None,
        typer.Option(help=f"inline: a file ({', '.join(WRITABLE)}); on Ray: the output dataset"),
    ] = None,
    partition: Annotated[str, typer.Option(help="key of the partition to run over")] = WHOLE,
    partition_by: Annotated[
        str | None, typer.Option(help="Hive column that the input is partitioned by")
    ] = None,
    parameter: Annotated[
        list[str] | None, typer.Option(help="a run parameter, as name=value; may be repeated")
    ] = None,
    profile: ProfileSource = "laptop",
    on: Annotated[
        Literal["inline", "ray"],
        typer.Option(help="this process, or the Ray cluster of RAY_ADDRESS or this machine"),
    ] = "inline",
    as_json: AsJson = False,
) -> None:
    """Run a graph over rows, on this machine or in S3.

    Inline prints the rows, or writes them with --output. On Ray the partition is computed in shards
    and committed to the output dataset.
    """
    if on == "ray" and output is None:
        raise typer.BadParameter("on Ray an output dataset is needed", param_hint="--output")
    if on == "inline" and output is not None and not output.endswith(WRITABLE):
        raise typer.BadParameter(f"end it in {', '.join(WRITABLE)}", param_hint="--output")
    if partition_by is not None and partition == WHOLE:
        raise typer.BadParameter("--partition-by needs one", param_hint="--partition")
    with typed_errors_exit_1(as_json):
        authored, profiles = load_graph(graph), load_profiles(profile)
        values = _values(authored, parameter or [])
        source = Input(uri=input, partition_by=partition_by)
        if on == "inline":
            _run_inline(authored, source, partition, values, profiles, output, as_json)
        else:
            assert output is not None
            _run_on_ray(graph, source, partition, values, profiles, output, as_json)


def _values(graph: Graph, given: list[str]) -> dict[str, Any]:
    """Run parameters: text where the graph declares text, JSON elsewhere."""
    types = {
        json.loads(node.parameters)["name"]: node.outputs[0].type
        for node in every_node(graph)
        if node.kind == "parameter"
    }
    values = {}
    for pair in given:
        name, equals, text = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"{pair!r} is not name=value", param_hint="--parameter")
        type_ = types.get(name)
        values[name] = text if type_ is not None and pa.types.is_string(type_) else _json(text)
    return values


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _run_inline(
    graph: Graph,
    source: Input,
    partition: str,
    values: Mapping[str, Any],
    profiles: Profiles,
    output: str | None,
    in_json: bool,
) -> None:
    plan = compile(graph, "inline", profiles.inline)
    check_parameters(graph, values)
    table = read_table(graph, source, partition)
    computed = run_plan(plan, table, values)
    if output is not None:
        write_table(output, computed.table)
    keys = table.column(graph.key)
    rejected = [
        {"key": keys[row.row].as_py(), "node": row.node, "error": row.error, "message": row.message}
        for row in computed.rejected
    ]
    counts = counts_of(computed)
    if in_json:
        rows = {"output": output} if output else {"rows": as_json(computed.table)}
        told = {"graph": graph.name, "version": plan.version, "counts": counts.model_dump()}
        print_json({**told, "rejected": rejected, **rows})
        return
    _print_rows(computed, output)
    shown = rejected[:_SHOWN]
    print_table("rejected", ("key", "node", "error", "message"), (row.values() for row in shown))
    typer.echo(f"{graph.name} · version {plan.version} · {summary(counts)}")


def _print_rows(computed: Computed, output: str | None) -> None:
    if output is not None:
        typer.echo(f"wrote {output}")
        return
    table = computed.table.slice(0, _SHOWN)
    rows = (row.values() for row in table.to_pylist())
    print_table("", table.column_names, rows)
    if computed.table.num_rows > _SHOWN:
        typer.echo(f"… and {computed.table.num_rows - _SHOWN:,} more rows; --output writes all")


def _run_on_ray(
    graph: str,
    source: Input,
    partition: str,
    values: Mapping[str, Any],
    profiles: Profiles,
    output: str,
    in_json: bool,
) -> None:
    try:
        spec = RunSpec(
            graph=graph,
            input=source,
            output=output,
            partition_key=partition,
            parameters=dict(values),
            profile=profiles.offline.model_dump(),
        )
    except ValidationError as error:
        raise typer.BadParameter(error.errors()[0]["msg"], param_hint="--partition") from error
    compute(spec, in_json)
