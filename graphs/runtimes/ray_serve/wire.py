"""Rows as JSON: typed by a graph's Arrow schemas, validated, and exact in both directions.

A float32 is written with the digits of its exact value, so it comes back bit for bit. What JSON
has no number for is written as ``"NaN"``, ``"Infinity"`` and ``"-Infinity"`` (as protobuf's JSON
mapping does); bytes as base64; times as ISO 8601.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal, NotRequired, cast

import numpy as np
import pyarrow as pa
from pydantic import AwareDatetime, ConfigDict, Field, NaiveDatetime, TypeAdapter, WithJsonSchema
from pydantic_core import to_json
from typing_extensions import TypedDict

from graphs.ir import DEFAULT, Graph, scalar_of

ERROR = "error"
"""In an answer, what stands beside the key of a rejected row instead of the outputs."""

FILTERED = "filtered"
"""In an answer, what stands beside the key of a row that a filter dropped: true."""

_STRICT = ConfigDict(extra="forbid", strict=True, val_json_bytes="base64", ser_json_bytes="base64")
_ANY_FLOAT = Annotated[
    float,
    Field(strict=False),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}),
]


class Wire:
    """The JSON forms of a graph's input rows and answers.

    Args:
        graph: a graph that compiles for the online target, which checks that its columns have JSON
            forms.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._defaults = {
            port.name: scalar_of(json.loads(port.default), port.type).as_py()
            for port in graph.inputs
            if port.default is not None
        }
        title = "".join(part[:1].upper() + part[1:] for part in graph.name.split("_"))
        self.row_type = _row(title, graph.input_schema, number=float)
        self.answer_type = _row(
            f"{title}Answer", graph.output_schema, number=_ANY_FLOAT, key=graph.key
        )
        key_type = _python(graph.output_schema.field(graph.key).type, float)
        self.rejected_type = _record(f"{title}Rejected", {graph.key: key_type, ERROR: Rejection})
        self.filtered_type = _record(
            f"{title}Filtered", {graph.key: key_type, FILTERED: Literal[True]}
        )

    @cached_property
    def _one(self) -> TypeAdapter[dict[str, Any]]:
        return TypeAdapter(self.row_type)

    @cached_property
    def _many(self) -> TypeAdapter[list[dict[str, Any]]]:
        return TypeAdapter(list[self.row_type])  # type: ignore[name-defined]

    @cached_property
    def _answers(self) -> TypeAdapter[list[dict[str, Any]]]:
        either = Annotated[
            self.answer_type | self.rejected_type | self.filtered_type,  # type: ignore[name-defined]
            Field(union_mode="left_to_right"),
        ]
        return TypeAdapter(list[either])

    def read_rows(self, body: bytes) -> tuple[pa.Table, bool]:
        """Input rows out of a request's body.

        Returns:
            a table of the graph's input schema, and whether the body was a list.

        Raises:
            pydantic.ValidationError: the body is no JSON, or a field is missing, unknown or wrong.
            pyarrow.ArrowException: a value does not fit its Arrow type.
        """
        is_list = body.lstrip()[:1] == b"["
        rows = self._many.validate_json(body) if is_list else [self._one.validate_json(body)]
        if self._defaults:
            rows = [self._defaults | row for row in rows]
        return pa.Table.from_pylist(rows, schema=self.graph.input_schema), is_list

    def write_rows(self, table: pa.Table) -> bytes:
        """Input rows as the body of a request. ``read_rows`` understands bare ``NaN``."""
        return to_json(rows_of(table), inf_nan_mode="constants", bytes_mode="base64")

    def read_answers(self, body: bytes) -> list[dict[str, Any]]:
        """The answers to a list, each a row of outputs, ``{key, "error": {…}}`` or
        ``{key, "filtered": true}``.

        Raises:
            pydantic.ValidationError: they are not what this graph answers.
        """
        return self._answers.validate_json(body)


def write_answers(answers: Any) -> bytes:
    """One answer, or a list of them, as the body of a response."""
    return to_json(answers, inf_nan_mode="strings", bytes_mode="base64")


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """A table's rows as Python values; like ``to_pylist``, quick where vectors are columns."""
    columns = [_values(column) for column in table.columns]
    names = table.column_names
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _values(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_fixed_size_list(column.type) and pa.types.is_floating(column.type.value_type):
        flat = pa.concat_arrays([chunk.flatten() for chunk in column.chunks] or [pa.array([])])
        if column.null_count == 0 and flat.null_count == 0:
            vectors: np.ndarray[Any, Any] = flat.to_numpy(zero_copy_only=False)
            return vectors.reshape(len(column), column.type.list_size).tolist()
    return column.to_pylist()  # type: ignore[no-any-return]


class Rejection(TypedDict):
    """Why a row has no answer."""

    node: Annotated[str, Field(description="the node that could not compute the row")]
    type: Annotated[str, Field(description="name of the exception")]
    message: Annotated[str, Field(description="what it said")]


def _record(name: str, fields: Mapping[str, Any]) -> Any:
    """A TypedDict: any column name will do, and rows are validated straight into dicts."""
    make = cast(Callable[..., Any], TypedDict)
    record = make(name, dict(fields))
    record.__pydantic_config__ = {**_STRICT, "title": name}
    return record


def _row(name: str, schema: pa.Schema, *, number: Any, key: str | None = None) -> Any:
    """The type of a row: what may not be null is not, and what has a default may be left out."""
    fields: dict[str, Any] = {}
    for field in schema:
        type_: Any = _python(field.type, number, f"{name}_{field.name}")
        type_ = type_ | None if field.nullable and field.name != key else type_
        if DEFAULT in (field.metadata or {}):
            told = Field(json_schema_extra={"default": json.loads(field.metadata[DEFAULT])})
            fields[field.name] = NotRequired[Annotated[type_, told]]
        else:
            fields[field.name] = type_
    return _record(name, fields)


def _python(type_: pa.DataType, number: Any, name: str = "Struct") -> Any:
    """The pydantic type for an Arrow type. ``KeyError`` if it has no JSON form."""
    types = pa.types
    if types.is_integer(type_):
        low, high = (-(2 ** (type_.bit_width - 1)), 2 ** (type_.bit_width - 1) - 1)
        if types.is_unsigned_integer(type_):
            low, high = 0, 2**type_.bit_width - 1
        return Annotated[int, Field(ge=low, le=high)]
    if types.is_fixed_size_list(type_):
        size = type_.list_size
        items: Any = list[_python(type_.value_type, number, name) | None]  # type: ignore[misc]
        return Annotated[items, Field(min_length=size, max_length=size)]
    if types.is_list(type_) or types.is_large_list(type_):
        return list[_python(type_.value_type, number, name) | None]  # type: ignore[misc]
    if types.is_struct(type_):
        fields = [type_.field(i) for i in range(type_.num_fields)]
        return _record(
            name, {f.name: _python(f.type, number, f"{name}_{f.name}") | None for f in fields}
        )
    if types.is_timestamp(type_) and type_.unit != "ns":
        return AwareDatetime if type_.tz else NaiveDatetime
    if types.is_dictionary(type_):
        return _python(type_.value_type, number, name)
    return _scalars(number)[type_.id]


def _scalars(number: Any) -> dict[int, Any]:
    by_type = {
        pa.bool_(): bool,
        pa.string(): str,
        pa.large_string(): str,
        pa.binary(): bytes,
        pa.large_binary(): bytes,
        pa.float32(): number,
        pa.float64(): number,
        pa.date32(): date,
        pa.decimal128(1): Decimal,
    }
    return {type_.id: python for type_, python in by_type.items()}
