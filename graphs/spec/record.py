"""The base of every record, and what all of them share."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict

_KEY = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._=,+-]*$")


class Record(BaseModel):
    """Base of every record: frozen, no unknown keys."""

    # Infinity and NaN are real statistics; plain JSON has no number for them.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


def partition_key_is_a_path_segment(value: str) -> str:
    """A partition key names an object in the store, so it must be one plain path segment."""
    if not _KEY.match(value):
        raise ValueError(
            f"partition key {value!r} is not a plain path segment; use letters, digits and ._=,+-"
        )
    return value
