"""From an author's arguments to the records that are submitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from airflow_provider.jobs.failures import PermanentFailure

R = TypeVar("R", bound=BaseModel)

PARTITION_KEY = "{{ dag_run.partition_key or (dag_run.logical_date or dag_run.run_after) | ds }}"
"""The run's partition key, else its day; works without a logical date."""


def plain(value: Any) -> Any:
    """Records as JSON values, so that Airflow renders templates inside them and shows them."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(item) for item in value]
    return value


def checked(kind: type[R], **given: Any) -> R:
    """The record with these fields.

    Raises:
        PermanentFailure: one or more of them are wrong; names each.
    """
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or kind.__name__}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        )
        raise PermanentFailure("BadArguments", f"nothing was submitted: {problems}") from None
