"""The entrypoint of every Ray job that the Airflow provider submits."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer
from pydantic import Field, ValidationError

from graphs.errors import GraphsError
from graphs.spec import Failure, Outcome, PromotionSpec, Record, ReleaseResult, RunResult, RunSpec
from graphs.storage.outcomes import write_outcome

log = logging.getLogger("graphs.job")


class Work(Record):
    """What a job is to do: exactly one of these."""

    run: RunSpec | None = Field(default=None, description="an offline run")
    promote: PromotionSpec | None = Field(default=None, description="a promotion")


def job(
    work: Annotated[str, typer.Argument(help='JSON: {"run": RunSpec} or {"promote": …}')],
    outcome: Annotated[str, typer.Option(help="URI where the outcome is written")],
    owner: Annotated[str, typer.Option(help="submission id of this job")],
) -> None:
    """Do what a spec says on this Ray cluster, and write how it ended."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(levelname)s %(message)s"
    )
    for noisy in ("httpx", "ray.data", "sentence_transformers"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        done: RunResult | ReleaseResult | Failure = carry_out(Work.model_validate_json(work), owner)
    except Exception as error:
        is_ours = isinstance(error, GraphsError | ValidationError)
        log.error("%s: %s", type(error).__name__, error, exc_info=not is_ours)
        done = Failure(
            error=type(error).__name__,
            message=str(error),
            is_retryable=getattr(error, "is_retryable", not is_ours),
        )
    write_outcome(outcome, Outcome(outcome=done))
    if isinstance(done, Failure):
        raise typer.Exit(1)


def carry_out(work: Work, owner: str) -> RunResult | ReleaseResult:
    """Run or promote. The runtimes are imported here: they load ray."""
    if (work.run is None) == (work.promote is None):
        raise GraphsError("a job needs exactly one of 'run' and 'promote'")
    if work.run is not None:
        from graphs.runtimes.ray_data import run

        return run(work.run, attempt=owner)
    from graphs.runtimes.ray_serve.promote import promote

    assert work.promote is not None
    return promote(work.promote, owner=owner)
