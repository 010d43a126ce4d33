"""Arrow columns as numpy, pandas or lists, and back. Converted once, where a node asks for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from graphs.ir import View


def view(array: pa.Array, wanted: View) -> Any:
    """A column as a node asks for it.

    Args:
        array: n values. A ``fixed_size_list`` of m numbers without nulls becomes an (n, m) array
            in the numpy view.
        wanted: ``arrow`` gives the array itself, without a copy.
    """
    if wanted == "arrow":
        return array
    if wanted == "list":
        return array.to_pylist()
    if wanted == "pandas":
        return array.to_pandas()
    if pa.types.is_fixed_size_list(array.type) and not array.null_count:
        flat = array.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(len(array), array.type.list_size)
    return array.to_numpy(zero_copy_only=False)


def column(value: Any, declared: pa.DataType) -> Any:
    """What a node returned as an Arrow column.

    An Arrow value is left as it is, so that a wrong type is seen; everything else is converted
    to the declared type.

    Raises:
        pyarrow.ArrowInvalid: a value does not fit the declared type.
    """
    if isinstance(value, pa.Array | pa.ChunkedArray):
        return value
    if isinstance(value, np.ndarray) and value.ndim == 2:
        if not pa.types.is_fixed_size_list(declared):
            raise pa.ArrowInvalid(f"a node returned an array of shape {value.shape}")
        if value.shape[1] != declared.list_size:
            raise pa.ArrowInvalid(f"rows of {value.shape[1]} values")
        items = pa.array(np.ascontiguousarray(value).reshape(-1), declared.value_type)
        return pa.FixedSizeListArray.from_arrays(items, type=declared)
    return pa.array(value, declared)
