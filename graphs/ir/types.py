"""Arrow types as text, as an author and an error message write them."""

from __future__ import annotations

import pyarrow as pa

from graphs.errors import AuthoringError

_PYTHON = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    bytes: pa.binary(),
}


def type_name(type_: pa.DataType | None) -> str:
    """A type as text, such as ``fixed_size_list<float>[384]``; ``any`` for an untyped port."""
    if type_ is None:
        return "any"
    if pa.types.is_fixed_size_list(type_):
        return f"fixed_size_list<{type_name(type_.value_type)}>[{type_.list_size}]"
    if pa.types.is_list(type_):
        return f"list<{type_name(type_.value_type)}>"
    return str(type_)


def types_agree(given: pa.DataType | None, wanted: pa.DataType | None) -> bool:
    """Whether a value of one type may enter a port of the other: equal, or the port is untyped.

    Names and nullability of a list's item field do not matter; everything else does.
    """
    return wanted is None or type_name(given) == type_name(wanted)


def schema_of(declared: object) -> pa.Schema:
    """An Arrow schema from what an author wrote.

    Args:
        declared: a ``pyarrow.Schema``, a mapping of column name to Arrow type, or a pydantic
            model whose fields are ``str``, ``int``, ``float``, ``bool`` or ``bytes``.

    Raises:
        AuthoringError: it is none of these, or a field has no Arrow type.
    """
    if isinstance(declared, pa.Schema):
        return declared
    if isinstance(declared, dict):
        return pa.schema(list(declared.items()))
    fields = getattr(declared, "model_fields", None)
    if fields is None:
        raise AuthoringError(
            f"{declared!r} declares no columns",
            remedy="Give a pyarrow.Schema, a dict of name to Arrow type, or a pydantic model",
        )
    unknown = {name: f.annotation for name, f in fields.items() if f.annotation not in _PYTHON}
    if unknown:
        raise AuthoringError(
            f"no Arrow type for {unknown!r}",
            where=f"pydantic model {getattr(declared, '__name__', declared)!r}",
            remedy="Declare these columns in a pyarrow.Schema instead",
        )
    return pa.schema([(name, _PYTHON[f.annotation]) for name, f in fields.items()])
