"""Arrow columns as numpy, pandas or lists, and back. Converted once, where a node asks for it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from graphs.ir import View, is_list, type_name


def view(array: pa.Array, wanted: View) -> Any:
    """A column as a node asks for it. Its dtype depends on the column's type alone, never on
    whether this batch happens to hold a null: otherwise an answer would depend on the batch.

    ======  ================================  ====================================================
    view    gets                              a null is
    ======  ================================  ====================================================
    arrow   the array itself, no copy         a null
    list    Python values                     ``None``
    numpy   ``ndarray``; of a fixed-size      ``NaN`` or ``NaT``; ``None`` among objects (text,
            list of m an (n, m) array         lists); elsewhere see :func:`has_room_for_nulls`
    pandas  ``Series``; of integers and       ``NA``, ``NaN``, ``NaT`` or ``None``
            booleans with nullable dtypes
    ======  ================================  ====================================================

    Raises:
        ValueError: an item of a fixed-size list is null and numpy has no room for it.
    """
    if wanted == "arrow":
        return array
    if wanted == "list":
        return array.to_pylist()
    if wanted == "pandas":
        return array.to_pandas(types_mapper=_nullable_dtypes().get)
    if not pa.types.is_fixed_size_list(array.type):
        return array.to_numpy(zero_copy_only=False)
    items = array.flatten()
    if items.null_count and not has_room_for_nulls(items.type, "numpy"):
        raise ValueError(f"an item is null, and numpy's {type_name(items.type)} has no null")
    return items.to_numpy(zero_copy_only=False).reshape(len(array), array.type.list_size)


def has_room_for_nulls(type_: pa.DataType, wanted: View) -> bool:
    """Whether a view can show a null: numpy's integers, booleans and (n, m) arrays cannot, so a
    row with one is rejected before the node sees it."""
    return wanted != "numpy" or not (
        pa.types.is_integer(type_)
        or pa.types.is_boolean(type_)
        or pa.types.is_fixed_size_list(type_)
    )


def blank(type_: pa.DataType | None) -> pa.Array:
    """One row with the least that a type can hold: 0, no text, no items; to warm a node up with."""
    return pa.nulls(1) if type_ is None else pa.array([_least(type_)], type_)


def _least(type_: pa.DataType) -> Any:
    if pa.types.is_dictionary(type_):
        return _least(type_.value_type)
    if pa.types.is_fixed_size_list(type_):
        return [_least(type_.value_type)] * type_.list_size
    if pa.types.is_struct(type_):
        return {field.name: _least(field.type) for field in type_}
    if is_list(type_) or pa.types.is_map(type_):
        return []
    if pa.types.is_fixed_size_binary(type_):
        return bytes(type_.byte_width)
    plain = {pa.string(): "", pa.large_string(): "", pa.binary(): b"", pa.large_binary(): b""}
    if type_ in plain:
        return plain[type_]
    if pa.types.is_boolean(type_):
        return False
    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_temporal, pa.types.is_decimal)
    return 0 if any(is_kind(type_) for is_kind in kinds) else None


@functools.cache
def _nullable_dtypes() -> dict[pa.DataType, Any]:
    import pandas as pd

    return {
        pa.bool_(): pd.BooleanDtype(),
        pa.int8(): pd.Int8Dtype(),
        pa.int16(): pd.Int16Dtype(),
        pa.int32(): pd.Int32Dtype(),
        pa.int64(): pd.Int64Dtype(),
        pa.uint8(): pd.UInt8Dtype(),
        pa.uint16(): pd.UInt16Dtype(),
        pa.uint32(): pd.UInt32Dtype(),
        pa.uint64(): pd.UInt64Dtype(),
    }


def column(value: Any, declared: pa.DataType) -> Any:
    """What a node returned as an Arrow column.

    An Arrow value is left as it is, so that a type that differs in anything is seen: int32 is not
    int64. Values of numpy, pandas and Python carry no Arrow type, so they get the declared one,
    as long as they are of its kind:

    - widths may differ: float64 becomes a declared float32, rounded; an int64 becomes a declared
      int32 if every value fits;
    - integers become floats where each is exact;
    - floats never become integers, nor booleans numbers, nor numbers text;
    - an (n, m) array becomes lists of m;
    - in pandas ``NaN`` means missing, so it becomes null; in numpy it is a number and stays.

    Raises:
        pyarrow.ArrowException, TypeError, OverflowError: a value does not fit the declared type.
    """
    if isinstance(value, pa.Array | pa.ChunkedArray):
        return value
    if isinstance(value, np.ndarray):
        return _of_numpy(value, declared)
    if isinstance(value, str | bytes | dict | pa.Scalar) or not hasattr(value, "__len__"):
        raise TypeError(f"got {_described(value)}, not a column of values")
    if hasattr(value, "dtype"):  # a Series
        _same_kind(getattr(value.dtype, "kind", "O"), declared)
        # pandas: its integers with a missing value are floats, unless the dtype is nullable.
        return pa.array(value, declared, from_pandas=True)
    return _of_values(value, declared)


def _of_numpy(value: np.ndarray[Any, Any], declared: pa.DataType) -> pa.Array:
    if value.dtype.kind == "O":
        return _of_values(value, declared)
    if value.ndim == 1:
        _same_kind(value.dtype.kind, declared)
        return pa.array(value, declared)
    if value.ndim != 2 or not is_list(declared):
        raise TypeError(f"got an array of shape {value.shape}")
    if pa.types.is_fixed_size_list(declared) and value.shape[1] != declared.list_size:
        raise TypeError(f"got lists of {value.shape[1]} values")
    _same_kind(value.dtype.kind, declared.value_type)
    items = pa.array(np.ascontiguousarray(value).reshape(-1), declared.value_type)
    if pa.types.is_fixed_size_list(declared):
        return pa.FixedSizeListArray.from_arrays(items, type=declared)
    offsets = np.arange(len(value) + 1) * value.shape[1]
    kind = pa.LargeListArray if pa.types.is_large_list(declared) else pa.ListArray
    width = np.int64 if pa.types.is_large_list(declared) else np.int32
    return kind.from_arrays(pa.array(offsets.astype(width)), items).cast(declared)


def _same_kind(kind: str, declared: pa.DataType) -> None:
    """numpy's kind of dtype against a declared type: b(oolean), i(nteger), u(nsigned), f(loat)."""
    if pa.types.is_dictionary(declared):
        declared = declared.value_type
    if pa.types.is_boolean(declared):
        fits = kind in "bO"
    elif pa.types.is_integer(declared):
        fits = kind in "iuO"
    elif pa.types.is_floating(declared):
        fits = kind in "fiuO"
    else:
        fits = kind not in "biuf"
    if not fits:
        names = {"b": "booleans", "i": "integers", "u": "integers", "f": "floats"}
        raise TypeError(f"got {names.get(kind, 'other values')}")


def _of_values(values: Sequence[Any] | np.ndarray[Any, Any], declared: pa.DataType) -> pa.Array:
    """Python values as Arrow. Arrow itself cuts 1.5 to 1 where an integer is declared."""
    made = pa.array(values, declared)
    if _holds(declared, pa.types.is_integer):
        try:
            natural = pa.array(values).type
        except (pa.ArrowException, OverflowError):
            return made  # too mixed to have a type of its own; Arrow found that each value fits
        if _cuts(natural, declared):
            raise TypeError("got floats")
    return made


def _cuts(natural: pa.DataType, declared: pa.DataType) -> bool:
    if pa.types.is_integer(declared):
        return bool(pa.types.is_floating(natural))
    if is_list(declared) and is_list(natural):
        return _cuts(natural.value_type, declared.value_type)
    if pa.types.is_struct(declared) and pa.types.is_struct(natural):
        types = {field.name: field.type for field in natural}
        return any(_cuts(types.get(field.name, pa.null()), field.type) for field in declared)
    return False


def _holds(type_: pa.DataType, is_it: Any) -> bool:
    inner = (type_.field(i).type for i in range(type_.num_fields))
    return bool(is_it(type_)) or any(_holds(one, is_it) for one in inner)


def _described(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
