"""A run's frozen plan in the store: a small record, and its shards as columns beside it.

Airflow workers import this module, so pyarrow is imported only where shards are read or written.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from graphs.errors import StorageError
from graphs.spec import Input, Record, Shard, ShardPlan
from graphs.storage.layout import new_shards_path, plan_path
from graphs.storage.objects import Store
from graphs.storage.records import decode, encode

if TYPE_CHECKING:
    from graphs.storage.inputs import Shards


def write_plan(store: Store, plan: ShardPlan, shards: Shards) -> tuple[ShardPlan, Shards]:
    """Freezes a run's plan; the first writer wins, and everyone gets what the first one wrote."""
    ours = plan.model_copy(update={"shards_at": new_shards_path(plan.run_key)})
    # Before the plan that names them: who reads the plan can count on them.
    store.put(ours.shards_at, shards.to_parquet())
    try:
        store.create(plan_path(plan.run_key), encode(ours))
        return ours, shards
    except StorageError as error:
        found = _instead(store, plan.run_key, error)
    if found[0].shards_at != ours.shards_at:
        with suppress(StorageError):  # an orphan is for the garbage collector
            store.delete(ours.shards_at)
    return found


def _instead(store: Store, run_key: str, error: StorageError) -> tuple[ShardPlan, Shards]:
    """The plan that is there: a rival's, or our own if only the response was lost."""
    try:
        found = read_plan(store, run_key)
    except StorageError as unreadable:
        raise error from unreadable
    if found is None:
        raise error
    return found


def read_plan(store: Store, run_key: str) -> tuple[ShardPlan, Shards] | None:
    """A run's frozen plan in any format there ever was; ``None`` if the run never got that far."""
    path = plan_path(run_key)
    found = store.find(path)
    if found is None:
        return None
    where = store.uri_of(path)
    if decode(_Any, found.data, where).format == 1:
        return _upgraded(decode(_Format1, found.data, where))
    plan = decode(ShardPlan, found.data, where)
    return plan, _shards_of(store, plan)


def _shards_of(store: Store, plan: ShardPlan) -> Shards:
    from graphs.storage.inputs import Shards

    where = store.uri_of(plan.shards_at)
    shards = Shards.from_parquet(store.read(plan.shards_at), where)
    if len(shards) != plan.shards:
        raise StorageError(f"lists {len(shards)} shards, the plan has {plan.shards}", where)
    return shards


class _Any(Record, extra="ignore"):
    format: int = 1


class _Format1(Record):
    """The first format: every shard in the record itself, of parquet, each with its rows."""

    format: Literal[1] = 1
    run_key: str
    graph: str
    version: str
    partition_key: str
    input: Input
    shards: tuple[Shard, ...]


def _upgraded(old: _Format1) -> tuple[ShardPlan, Shards]:
    from graphs.storage.inputs import Shards

    shards = Shards.of(old.shards)
    told = old.model_dump(exclude={"format", "shards"})
    sizes = {"shards": len(shards), "rows": shards.rows, "bytes": shards.bytes}
    return ShardPlan(**told, **sizes, shards_at=""), shards
