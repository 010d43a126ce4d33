"""Arrow types as an author writes them, as an error prints them, and from pydantic models."""

from __future__ import annotations

import datetime
import decimal
import json
import types
import typing
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from graphs.errors import AuthoringError
from graphs.ir.graph import DEFAULT, Port

_PYTHON: dict[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    bytes: pa.binary(),
    datetime.date: pa.date32(),
}


def type_name(type_: pa.DataType | None) -> str:
    """A type as text, such as ``fixed_size_list<float>[384]``; ``any`` for an untyped port."""
    if type_ is None:
        return "any"
    if pa.types.is_fixed_size_list(type_):
        return f"fixed_size_list<{type_name(type_.value_type)}>[{type_.list_size}]"
    if pa.types.is_large_list(type_):
        return f"large_list<{type_name(type_.value_type)}>"
    if pa.types.is_list(type_):
        return f"list<{type_name(type_.value_type)}>"
    if pa.types.is_struct(type_):
        return f"struct<{', '.join(f'{f.name}: {type_name(f.type)}' for f in type_)}>"
    if pa.types.is_map(type_):
        return f"map<{type_name(type_.key_type)}, {type_name(type_.item_type)}>"
    if pa.types.is_dictionary(type_):
        return f"dictionary<{type_name(type_.index_type)}, {type_name(type_.value_type)}>"
    return str(type_)


def types_agree(given: pa.DataType | None, wanted: pa.DataType | None) -> bool:
    """Whether a value of one type may enter a port of the other: equal, or the port is untyped.

    Names and nullability of a list's item field do not matter; everything else does.
    """
    return wanted is None or given == wanted or type_name(given) == type_name(wanted)


def scalar_of(value: object, type_: pa.DataType | None) -> pa.Scalar:
    """A JSON value as a value of an Arrow type, exactly: a number is never cut, text is never
    parsed as a number. Dates, times and decimals are text in JSON (ISO 8601, ``"1.50"``).

    Raises:
        ValueError: it does not fit; says which value and which type.
    """
    try:
        return pa.scalar(_from_json(value, type_), type_)
    except (pa.ArrowException, ArithmeticError, TypeError, ValueError) as error:
        raise ValueError(f"{value!r} is no {type_name(type_)}") from error


def _from_json(value: Any, type_: pa.DataType | None) -> Any:
    """A value as :func:`pyarrow.scalar` understands it without changing it."""
    if value is None or type_ is None:
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if pa.types.is_integer(type_) and not (is_number and isinstance(value, int)):
        raise ValueError("not an integer")
    if pa.types.is_floating(type_) and not is_number:
        raise ValueError("not a number")
    if isinstance(value, str) and pa.types.is_date(type_):
        return datetime.date.fromisoformat(value)
    if isinstance(value, str) and pa.types.is_timestamp(type_):
        return datetime.datetime.fromisoformat(value)
    if isinstance(value, str | int) and pa.types.is_decimal(type_):
        return decimal.Decimal(value)
    if pa.types.is_dictionary(type_):
        return _from_json(value, type_.value_type)
    if pa.types.is_map(type_):
        pairs = value.items() if isinstance(value, dict) else value
        return [(_from_json(k, type_.key_type), _from_json(v, type_.item_type)) for k, v in pairs]
    if pa.types.is_struct(type_):
        types = {field.name: field.type for field in type_}
        if not isinstance(value, dict) or set(value) - set(types):
            raise ValueError("other fields")
        return {name: _from_json(one, types[name]) for name, one in value.items()}
    if is_list(type_):
        if not isinstance(value, list):
            raise ValueError("not a list")
        return [_from_json(one, type_.value_type) for one in value]
    return value


def is_list(type_: pa.DataType | None) -> bool:
    """Whether a type is a list of any kind: of variable, large or fixed size."""
    return type_ is not None and bool(
        pa.types.is_list(type_)
        or pa.types.is_large_list(type_)
        or pa.types.is_fixed_size_list(type_)
    )


def arrow_types(declared: object, where: str) -> dict[str, pa.DataType]:
    """Declared columns, name to Arrow type.

    Raises:
        AuthoringError: a type is no Arrow type; names each.
    """
    if not isinstance(declared, Mapping):
        raise AuthoringError(
            f"{declared!r} declares no columns", where, "Give a dict of name to Arrow type"
        )
    wrong = [f"{k}: {v!r}" for k, v in declared.items() if not isinstance(v, pa.DataType)]
    if wrong:
        raise AuthoringError(
            f"these are no Arrow types: {', '.join(wrong)}", where, "Write pa.int64(), pa.string()"
        )
    return dict(declared)


def repeated(value: pa.Scalar, rows: int) -> pa.Array:
    """A column with one value in every row."""
    # Arrow cannot repeat a list or a struct no times at all.
    return pa.repeat(value, rows) if rows else pa.array([], value.type)


def default_of(field: pa.Field) -> Any:
    """The value that an optional column has when it is missing.

    Raises:
        KeyError: the column must be there.
    """
    return json.loads((field.metadata or {})[DEFAULT])


def with_defaults(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The columns of a schema out of a table, with defaults for optional ones that are missing.

    Raises:
        KeyError: a column is missing that must be there.
    """
    columns = {}
    for field in schema:
        if field.name in table.column_names:
            columns[field.name] = table.column(field.name)
        else:
            value = scalar_of(default_of(field), field.type)
            columns[field.name] = repeated(value, table.num_rows)
    return pa.table(columns)


def ports_of(declared: object) -> tuple[Port, ...]:
    """Input ports of a graph from what an author wrote.

    Args:
        declared: a ``pyarrow.Schema`` (a field that is not nullable rejects rows with a null), a
            mapping of column name to Arrow type, or a pydantic model. Of a model, ``str``,
            ``int``, ``float``, ``bool``, ``bytes``, ``date``, ``list[…]``, ``dict[str, …]``, nested
            models, ``X | None`` and ``Annotated[…, <Arrow type>]`` are understood; a field
            with a default may be missing in the data.

    Raises:
        AuthoringError: it is none of these, or fields have no Arrow type; names all of them.
    """
    if isinstance(declared, pa.Schema):
        twice = sorted({name for name in declared.names if declared.names.count(name) > 1})
        if twice:
            raise AuthoringError(f"the schema has several columns named {twice}", remedy="Keep one")
        return tuple(Port(f.name, f.type, is_nullable=f.nullable) for f in declared)
    if isinstance(declared, Mapping):
        types = arrow_types(declared, "inputs of a graph")
        return tuple(Port(name, type_) for name, type_ in types.items())
    if not hasattr(declared, "model_fields"):
        raise AuthoringError(
            f"{declared!r} declares no columns",
            remedy="Give a pyarrow.Schema, a dict of name to Arrow type, or a pydantic model",
        )
    return _ports_of_model(declared)


def _ports_of_model(model: Any) -> tuple[Port, ...]:
    hints = typing.get_type_hints(model, include_extras=True)
    problems, ports = [], []
    for name, field in model.model_fields.items():
        try:
            type_, is_nullable = _arrow(hints[name])
        except KeyError as unknown:
            problems.append(f"{name}: {unknown.args[0]}")
            continue
        default = (
            None if field.is_required() else _as_json(field.get_default(call_default_factory=True))
        )
        ports.append(Port(name, type_, is_nullable=is_nullable, default=default))
    if problems:
        raise AuthoringError(
            f"no Arrow type for {'; '.join(problems)}",
            where=f"pydantic model {model.__name__!r}",
            remedy="Write Annotated[<type>, <Arrow type>], or declare a pyarrow.Schema",
        )
    return tuple(ports)


def _arrow(hint: Any) -> tuple[pa.DataType, bool]:
    """Arrow type and nullability of an annotation; ``KeyError`` holds the part that has none."""
    if hasattr(hint, "__metadata__"):
        given = next((m for m in hint.__metadata__ if isinstance(m, pa.DataType)), None)
        inner = typing.get_args(hint)[0]
        return (given, _is_optional(inner)) if given is not None else _arrow(inner)
    if _is_optional(hint):
        (inner,) = (arg for arg in typing.get_args(hint) if arg is not type(None))
        return _arrow(inner)[0], True
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        return pa.list_(_arrow(arguments[0])[0]), False
    if origin is dict and arguments[0] is str:
        return pa.map_(pa.string(), _arrow(arguments[1])[0]), False
    if hasattr(hint, "model_fields"):
        fields = [pa.field(p.name, p.type, p.is_nullable) for p in _ports_of_model(hint)]
        return pa.struct(fields), False
    if hint in _PYTHON:
        return _PYTHON[hint], False
    raise KeyError(repr(hint))


def _is_optional(hint: Any) -> bool:
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    arguments = typing.get_args(hint)
    return is_union and type(None) in arguments and len(arguments) == 2


def _as_json(value: Any) -> str:
    # Only pydantic models have defaults, so pydantic is loaded already.
    from pydantic_core import to_jsonable_python

    return json.dumps(to_jsonable_python(value))
