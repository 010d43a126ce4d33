"""A node's code on a batch: its bounds, its nulls, and the isolation of rows that make it fail."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from graphs.errors import NodeError
from graphs.ir import Node, type_name
from graphs.runtimes.kernel import views
from graphs.runtimes.kernel.attempts import attempt
from graphs.runtimes.kernel.returned import empty, outputs_of
from graphs.runtimes.kernel.steps import (
    Outputs,
    Positions,
    RejectedRow,
    Stepped,
    concatenate,
    take,
)

_MESSAGE_LENGTH = 500


class Calling:
    """The step of a function or a model: loaded once, then called batch by batch.

    Args:
        node: the node. path: its name as errors give it. where: graph and node for errors.
        hopeless_after: rows that must fail, with none succeeding, for the run to be given up;
            ``None`` rejects every row, however many.

    Raises:
        NodeError: a model could not be loaded.
    """

    def __init__(self, node: Node, path: str, where: str, hopeless_after: int | None) -> None:
        self._node = node
        self._path = path
        self._where = where
        self._hopeless_after = hopeless_after
        self._failures = 0
        self._succeeded = False
        self._sees_nulls = node.behaviour.nulls == "pass"
        self._sees_arrow = all(port.view == "arrow" for port in node.inputs)
        self._is_tried = bool(node.behaviour.timeout_s or node.behaviour.retries)
        self._is_bounded = bool(node.behaviour.batch_rows or node.behaviour.batch_bytes)
        self._function = _load(node, where)

    def __call__(self, arguments: Outputs, rows: int) -> Stepped:
        unwanted = self._unwanted_nulls(arguments)
        if unwanted is None:
            return self._bounded(arguments, rows)
        whole = np.flatnonzero(~unwanted)
        done = self._bounded(take(arguments, whole), len(whole))
        kept = whole if done.kept is None else whole[done.kept]
        done.rejected = [_moved(row, whole) for row in done.rejected]
        if self._node.behaviour.nulls == "skip":
            return _with_skipped(done, kept, rows)
        done.kept = kept
        done.rejected += [
            RejectedRow(int(row), self._path, "NullInput", self._null_message(arguments, int(row)))
            for row in np.flatnonzero(unwanted)
        ]
        return done

    def _unwanted_nulls(self, arguments: Outputs) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
        """Which rows have a null that the node is not to see; ``None`` when there is none."""
        if not any(column.null_count for column in arguments.values()):
            return None
        columns = [
            arguments[port.name]
            for port in self._node.inputs
            if port.name in arguments
            and arguments[port.name].null_count
            and not (
                self._sees_nulls and views.has_room_for_nulls(arguments[port.name].type, port.view)
            )
        ]
        if not columns:
            return None
        return np.logical_or.reduce(  # type: ignore[no-any-return]
            [column.is_null().to_numpy(zero_copy_only=False) for column in columns]
        )

    def _null_message(self, arguments: Outputs, row: int) -> str:
        names = [name for name, column in arguments.items() if not column[row].is_valid]
        if not self._sees_nulls:
            return f"{names[0]!r} is null"
        name, view = next(
            (p.name, p.view)
            for p in self._node.inputs
            if p.name in names and not views.has_room_for_nulls(arguments[p.name].type, p.view)
        )
        return f"{name!r} is null, and {view}'s {type_name(arguments[name].type)} has no null"

    def _bounded(self, arguments: Outputs, rows: int) -> Stepped:
        """Call within the node's bounds on a batch, and put the parts together."""
        pieces = list(self._pieces(arguments, rows)) if self._is_bounded else [(0, rows)]
        if len(pieces) == 1:
            return self._isolated(arguments, rows)
        parts, kept, rejected = [], [], []
        for start, count in pieces:
            part = self._isolated(_slice(arguments, start, count), count)
            parts.append(part.outputs)
            kept.append(start + (np.arange(count) if part.kept is None else part.kept))
            rejected += [
                RejectedRow(row.row + start, row.node, row.error, row.message)
                for row in part.rejected
            ]
        return Stepped(concatenate(parts), np.concatenate(kept), rejected)

    def _pieces(self, arguments: Outputs, rows: int) -> Iterator[tuple[int, int]]:
        """(start, count) of batches that are within the node's bounds."""
        limit = self._node.behaviour.batch_bytes
        size = self._node.behaviour.batch_rows or max(rows, 1)
        pending = [(start, min(size, rows - start)) for start in range(0, max(rows, 1), size)]
        pending.reverse()
        while pending:
            start, count = pending.pop()
            if limit is None or count <= 1 or _bytes(arguments, start, count) <= limit:
                yield start, count
            else:
                half = count // 2
                pending += [(start + half, count - half), (start, half)]

    def _isolated(self, arguments: Outputs, rows: int) -> Stepped:
        """Compute a batch; halve it where it fails until each failing row stands alone."""
        good: list[tuple[int, int]] = []
        parts: list[Outputs] = []
        rejected: list[RejectedRow] = []
        pending = [(0, rows)]
        while pending:
            start, stop = pending.pop()
            count = stop - start
            try:
                if count == rows:
                    return Stepped(self._call(arguments, rows))
                outputs = self._call(_slice(arguments, start, count), count)
            except NodeError:
                raise
            except Exception as error:
                if count > 1:
                    middle = (start + stop) // 2
                    pending += [(middle, stop), (start, middle)]
                else:
                    rejected.append(
                        RejectedRow(start, self._path, type(error).__name__, _message(error))
                    )
                    self._count_failure(error)
                continue
            good.append((start, stop))
            parts.append(outputs)
        if not rejected:  # perhaps in parts: the whole failed, its halves did not
            return Stepped(concatenate(parts))
        kept = [np.arange(start, stop, dtype=np.int64) for start, stop in good]
        return Stepped(
            concatenate(parts) if parts else empty(self._node.outputs),
            np.concatenate(kept) if kept else np.empty(0, np.int64),
            rejected,
        )

    def _count_failure(self, error: Exception) -> None:
        """Note a row that failed; give up when too many have and none succeeded."""
        self._failures += 1
        if self._hopeless_after and not self._succeeded and self._failures >= self._hopeless_after:
            raise NodeError(
                f"failed for each of the first {self._failures} rows: "
                f"{type(error).__name__}: {_message(error)}",
                self._where,
                "Try it on one of these rows with graphs.run",
            ) from error

    def _call(self, arguments: Outputs, rows: int) -> Outputs:
        node = self._node
        if rows == 0:
            return empty(node.outputs)
        viewed = arguments
        if not self._sees_arrow:
            viewed = {
                port.name: views.view(arguments[port.name], port.view)
                for port in node.inputs
                if port.name in arguments
            }
        returned = (
            attempt(self._function, viewed, node.behaviour)
            if self._is_tried
            else self._function(**viewed)
        )
        outputs = outputs_of(returned, node.outputs, rows, self._where)
        self._succeeded = True
        return outputs


def _load(node: Node, where: str) -> Callable[..., Any]:
    """The function that computes; a model is made and loaded."""
    module, _, qualname = node.ref.partition(":")
    target: Any = importlib.import_module(module)
    for part in qualname.split("."):
        target = getattr(target, part)
    if node.kind == "function":
        return target.function  # type: ignore[no-any-return]
    try:
        model = target(**json.loads(node.parameters))
        model.load()
    except Exception as error:
        raise NodeError(f"loading failed: {type(error).__name__}: {error}", where) from error
    return model.predict  # type: ignore[no-any-return]


def _with_skipped(done: Stepped, computed: Positions, rows: int) -> Stepped:
    """Put rows of nulls where rows were skipped."""
    is_kept = np.ones(rows, dtype=bool)
    is_kept[[row.row for row in done.rejected]] = False
    source = np.full(rows, -1, dtype=np.int64)
    source[computed] = np.arange(len(computed))
    source = source[is_kept]
    indices = pa.array(source, mask=source < 0)
    outputs = {name: column.take(indices) for name, column in done.outputs.items()}
    return Stepped(outputs, np.flatnonzero(is_kept), done.rejected, done.filtered)


def _moved(row: RejectedRow, positions: Positions) -> RejectedRow:
    return RejectedRow(int(positions[row.row]), row.node, row.error, row.message)


def _slice(arguments: Outputs, start: int, count: int) -> Outputs:
    return {name: column.slice(start, count) for name, column in arguments.items()}


def _bytes(arguments: Outputs, start: int, count: int) -> int:
    return sum(column.slice(start, count).nbytes for column in arguments.values())


def _message(error: Exception) -> str:
    return str(error)[:_MESSAGE_LENGTH]
