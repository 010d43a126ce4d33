"""The values of globals as plain data, for the version."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import functools
import hashlib
import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from graphs.ir.types import type_name

OWN = re.compile(r"^graphs(\.(?!examples\b|nodes\b)|$)")
"""Modules of this library itself; examples and shipped nodes are an author's code."""

CODE = "code"
_TEXT = (datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, pa.Schema, pa.Scalar)


def literal(value: Any) -> list[Any]:
    if value is None or isinstance(value, bool | int | str):
        return [value]
    return (
        ["bytes", value.hex()] if isinstance(value, bytes) else [type(value).__name__, repr(value)]
    )


def is_of_project(module: str, project: str) -> bool:
    return module.partition(".")[0] == project and not OWN.match(module)


class Values:
    """Globals as plain data. Code that they lead to, if it is of the project, is added to
    ``reads``."""

    def __init__(self, project: str, reads: list[Any], name: Callable[[Any], str]) -> None:
        self._project = project
        self._reads = reads
        self._name = name
        self._forms: tuple[tuple[Any, Callable[[Any], list[Any]]], ...] = (
            (enum.Enum, lambda v: ["enum", self._code(type(v)), v.name]),
            ((type(None), bool, int, float, complex, str, bytes), literal),
            (dict, self._mapping),
            ((set, frozenset), lambda v: ["set", sorted(map(self.plain, v), key=repr)]),
            ((list, tuple), lambda v: ["list", [self.plain(item) for item in v]]),
            (pa.DataType, lambda v: ["arrow", type_name(v)]),
            (re.Pattern, lambda v: ["pattern", v.pattern, v.flags]),
            (functools.partial, lambda v: ["partial", self.plain([v.func, v.args, v.keywords])]),
            (_TEXT, lambda v: [type(v).__name__, str(v)]),
            (np.ndarray, self._array),
            (np.generic, lambda v: ["number", str(v.dtype), self.plain(v.item())]),
        )

    def plain(self, value: Any) -> list[Any]:
        """A value as plain data; an object without a plain form counts by its type alone."""
        for kinds, form in self._forms:
            if isinstance(value, kinds):
                return form(value)
        unwrapped = inspect.unwrap(value) if callable(value) else value
        if inspect.isfunction(unwrapped) or inspect.isclass(unwrapped):
            return [CODE, self._code(unwrapped)]
        fields = dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()
        plain = {field.name: self.plain(getattr(value, field.name)) for field in fields}
        return ["object", self._code(type(value)), plain]

    def _array(self, value: np.ndarray[Any, Any]) -> list[Any]:
        if value.dtype.hasobject:
            return ["array", self.plain(value.tolist())]
        content = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return ["array", value.dtype.str, list(value.shape), content]

    def _mapping(self, value: dict[Any, Any]) -> list[Any]:
        pairs = ([self.plain(k), self.plain(v)] for k, v in value.items())
        return ["dict", sorted(pairs, key=repr)]

    def _code(self, target: Any) -> str:
        if not is_of_project(target.__module__, self._project):
            return f"{target.__module__}:{target.__qualname__}"
        self._reads.append(target)
        return self._name(target)
