"""Steps over rows rather than values: filter, require, switch, each, constants and parameters."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from graphs.ir import Graph, Node, repeated, scalar_of
from graphs.runtimes.kernel.returned import empty
from graphs.runtimes.kernel.steps import Outputs, Positions, RejectedRow, Stepped, take

RunBody = Callable[[Outputs, int], Stepped]
"""A body made ready: the columns of its inputs in, those of its outputs out."""

MakeBody = Callable[[Graph], RunBody]


def filtering(node: Node, path: str) -> Callable[[Outputs, int], Stepped]:
    """Keep the rows whose value is true."""

    def step(arguments: Outputs, rows: int) -> Stepped:
        is_kept = pc.fill_null(arguments["by"], False).to_numpy(zero_copy_only=False)
        kept = np.flatnonzero(is_kept)
        return Stepped({}, kept, filtered={path: rows - len(kept)} if len(kept) < rows else {})

    return step


def requiring(node: Node, path: str) -> Callable[[Outputs, int], Stepped]:
    """Reject rows with a null where the graph's input may not hold one."""

    def step(arguments: Outputs, rows: int) -> Stepped:
        if not any(column.null_count for column in arguments.values()):
            return Stepped({})
        missing: dict[int, str] = {}
        for name, column in arguments.items():
            for row in np.flatnonzero(_is_null(column)):
                missing.setdefault(int(row), name)
        rejected = [
            RejectedRow(row, path, "NullInput", f"{name!r} is null")
            for row, name in sorted(missing.items())
        ]
        return Stepped({}, _without(missing, rows), rejected)

    return step


def repeating(node: Node, value: Any) -> Callable[[Outputs, int], Stepped]:
    """One value in every row."""
    (port,) = node.outputs
    scalar = scalar_of(value, port.type)

    def step(arguments: Outputs, rows: int) -> Stepped:
        return Stepped({port.name: repeated(scalar, rows)})

    return step


def with_missing(body: Graph, run: RunBody) -> RunBody:
    """A graph's body with the defaults of its optional inputs where they are not fed."""
    defaults = {
        port.name: scalar_of(json.loads(port.default), port.type)
        for port in body.inputs
        if port.default is not None
    }

    def step(arguments: Outputs, rows: int) -> Stepped:
        missing = {name: one for name, one in defaults.items() if name not in arguments}
        filled = {name: repeated(one, rows) for name, one in missing.items()}
        return run(arguments | filled, rows)

    return step


def switching(node: Node, path: str, make_body: MakeBody) -> Callable[[Outputs, int], Stepped]:
    """Route rows to bodies by value, and put their answers back in row order."""
    bodies = {label: make_body(body) for label, body in node.bodies}
    values = {label: json.loads(label) for label in bodies if label != "default"}

    def step(arguments: Outputs, rows: int) -> Stepped:
        case = arguments["case"]
        if pa.types.is_dictionary(case.type):
            case = case.dictionary_decode()
        rest = {name: column for name, column in arguments.items() if name != "case"}
        pending = np.ones(rows, dtype=bool)
        positions, parts, done = [], [], Stepped({})
        for label, body in bodies.items():
            if label == "default":
                chosen = np.flatnonzero(pending)
            else:
                is_it = pc.equal(case, scalar_of(values[label], case.type))
                chosen = np.flatnonzero(pc.fill_null(is_it, False).to_numpy(zero_copy_only=False))
            pending[chosen] = False
            if len(chosen):
                kept, outputs = _run_on(body, rest, chosen, rows, done)
                positions.append(kept)
                parts.append(outputs)
        for row in np.flatnonzero(pending):
            value = case[int(row)].as_py()
            done.rejected.append(
                RejectedRow(int(row), path, "NoCase", f"there is no case for {value!r}")
            )
        done.rejected.sort(key=lambda row: row.row)
        return _in_row_order(done, positions, parts, node)

    return step


def _run_on(
    body: RunBody, columns: Outputs, chosen: Positions, rows: int, done: Stepped
) -> tuple[Positions, Outputs]:
    """Run a body on some rows, adding what it dropped to ``done``."""
    part = body(columns if len(chosen) == rows else take(columns, chosen), len(chosen))
    done.rejected += [
        RejectedRow(int(chosen[row.row]), row.node, row.error, row.message) for row in part.rejected
    ]
    for name, count in part.filtered.items():
        done.filtered[name] = done.filtered.get(name, 0) + count
    return (chosen if part.kept is None else chosen[part.kept]), part.outputs


def _in_row_order(
    done: Stepped, positions: list[Positions], parts: list[Outputs], node: Node
) -> Stepped:
    if not parts:
        done.outputs, done.kept = empty(node.outputs), np.empty(0, np.int64)
        return done
    merged = np.concatenate(positions)
    order = np.argsort(merged, kind="stable")
    done.kept = merged[order]
    done.outputs = {
        port.name: pa.concat_arrays([part[port.name] for part in parts]).take(pa.array(order))
        for port in node.outputs
    }
    return done


def mapping_items(node: Node, path: str, make_body: MakeBody) -> Callable[[Outputs, int], Stepped]:
    """Run a body over the items of list columns as one flat batch, and fold back."""
    ((_, graph),) = node.bodies
    body = make_body(graph)
    items: list[str] = json.loads(node.parameters)["items"]

    def step(arguments: Outputs, rows: int) -> Stepped:
        uneven = _uneven_rows(arguments, items)
        is_null = np.logical_or.reduce([_is_null(arguments[name]) for name in items])
        counts = np.where(is_null | uneven, 0, _lengths(arguments[items[0]]))
        owner = np.repeat(np.arange(rows), counts)
        flat = {
            name: _items(column, is_null | uneven)
            if name in items
            else column.take(pa.array(owner))
            for name, column in arguments.items()
        }
        part = body(flat, len(owner))
        kept_items = np.arange(len(owner)) if part.kept is None else part.kept
        failed = _failed_rows(part, owner, counts, path)
        for row in np.flatnonzero(uneven):
            failed[int(row)] = RejectedRow(
                int(row), path, "UnevenLists", f"lists of {items} have different lengths"
            )
        kept = _without(failed, rows)
        is_good = ~np.isin(owner[kept_items], list(failed))
        good = pa.array(np.flatnonzero(is_good))
        sizes = np.bincount(owner[kept_items][is_good], minlength=rows)[kept]
        outputs = {
            port.name: _fold(part.outputs[port.name].take(good), sizes, is_null[kept], port.type)
            for port in node.outputs
        }
        return Stepped(outputs, kept, [failed[row] for row in sorted(failed)])

    return step


def _without(rows: Mapping[int, object], count: int) -> Positions:
    """Positions of all rows but some."""
    is_kept = np.ones(count, dtype=bool)
    is_kept[list(rows)] = False
    return np.flatnonzero(is_kept)


def _failed_rows(
    part: Stepped, owner: Positions, counts: Positions, path: str
) -> dict[int, RejectedRow]:
    """The first failing item of each row rejects the row."""
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]) if len(counts) else counts
    failed: dict[int, RejectedRow] = {}
    for item in part.rejected:
        row = int(owner[item.row])
        message = f"item {item.row - int(starts[row])}: {item.message}"
        failed.setdefault(row, RejectedRow(row, item.node, item.error, message))
    return failed


def _is_null(column: pa.Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return pc.is_null(column).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _lengths(column: pa.Array) -> Positions:
    lengths = pc.fill_null(pc.list_value_length(column), 0)
    return lengths.to_numpy(zero_copy_only=False).astype(np.int64)  # type: ignore[no-any-return]


def _uneven_rows(arguments: Mapping[str, pa.Array], items: list[str]) -> Any:
    first = _lengths(arguments[items[0]])
    uneven = np.zeros(len(first), dtype=bool)
    nulls = np.logical_or.reduce([_is_null(arguments[name]) for name in items])
    for name in items[1:]:
        uneven |= _lengths(arguments[name]) != first
    return uneven & ~nulls


def _items(column: pa.Array, is_left_out: Any) -> pa.Array:
    """The items of the rows that are not left out, one after the other."""
    if is_left_out.any():
        column = column.take(pa.array(np.flatnonzero(~is_left_out)))
    return pc.list_flatten(column)


def _fold(items: pa.Array, sizes: Positions, is_null: Any, type_: pa.DataType | None) -> pa.Array:
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    mask = pa.array(is_null) if is_null.any() else None
    return pa.ListArray.from_arrays(pa.array(offsets), items, mask=mask).cast(type_)
