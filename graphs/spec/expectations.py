"""Expectations: judged from statistics, never from rows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from graphs.spec.record import Record


class RowsConserved(Record):
    """Rows in = rows out + rows rejected + rows filtered."""

    kind: Literal["rows_conserved"] = "rows_conserved"


class NoNulls(Record):
    """A column holds no null."""

    kind: Literal["no_nulls"] = "no_nulls"
    column: str = Field(description="output column")


class Between(Record):
    """Every value of a numeric column lies in [minimum, maximum]; NaN does not."""

    kind: Literal["between"] = "between"
    column: str = Field(description="output column")
    minimum: float = Field(description="smallest allowed value, inclusive")
    maximum: float = Field(description="largest allowed value, inclusive")


class LargestShare(Record):
    """No single value makes up more than a share of a column."""

    kind: Literal["largest_share"] = "largest_share"
    column: str = Field(description="output column")
    maximum: float = Field(gt=0, le=1, description="largest allowed share of rows, 0 to 1")


class RejectedShare(Record):
    """At most a share of the rows that went in was rejected."""

    kind: Literal["rejected_share"] = "rejected_share"
    maximum: float = Field(ge=0, le=1, description="largest allowed share of rows, 0 to 1")


Expectation = Annotated[
    RowsConserved | NoNulls | Between | LargestShare | RejectedShare,
    Field(discriminator="kind"),
]
