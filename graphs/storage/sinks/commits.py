"""Replacing a partition's rows in a table exactly once: the same rules for every table format.

A look at the table tells which runs' rows stand for the partition; replacing them is one atomic
commit that fails (:class:`Raced`) when the table changed since that look. So whatever happened to
an earlier call — its response was lost, its process died before the manifest was put, a twin was
quicker — the next look finds this run's own key, and there is nothing left to do.

The manifest is put after the table's commit. A run that dies in between leaves rows of its own in
the table beside the earlier run's manifest: its retry mends that, and after a while any other run
may replace them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from graphs.errors import CommitConflict, StorageError
from graphs.spec import Manifest

_ATTEMPTS = 20
"""Looks at a table that other partitions' runs keep changing."""

_LONGEST_PAUSE_S = 2.0

ABANDONED_AFTER = timedelta(minutes=10)
"""A run puts its manifest seconds after the table's commit. One that has not by then is dead."""


class Raced(Exception):
    """The table changed between the look and the commit; look again."""


class Look(Protocol):
    """A table as of one of its versions."""

    def is_done(self) -> bool:
        """Whether the run's rows stand for the partition, and no others."""
        ...

    def rows(self) -> dict[str, int]:
        """How many rows of which run stand for the partition; of several runs after a replay."""
        ...

    def changed_after(self, moment: datetime) -> bool:
        """Whether the partition's rows were committed after a moment."""
        ...

    def replace(self) -> None:
        """Commits the run's rows in the place of the partition's.

        Raises:
            Raced: the table has changed since this look.
        """
        ...


def commit_once(
    look: Callable[[], Look],
    manifest: Manifest,
    before: Manifest | None,
    earlier: dict[str, int],
    table: str,
) -> None:
    """Makes a run's rows the partition's, whatever an earlier call came to.

    Args:
        look: opens the table anew.
        manifest: the run's.
        before: the partition's manifest when the run started.
        earlier: how many rows of which run ``before`` lists.
        table: how errors name the table; holds no credentials.

    Raises:
        CommitConflict: another run's rows stand there, and it may yet put its manifest.
        StorageError: the table could not be reached, or no longer holds what ``before`` put there.
    """
    problem: Raced | StorageError | None = None
    for attempt in range(_ATTEMPTS):
        if isinstance(problem, Raced):
            time.sleep(random.uniform(0, min(_LONGEST_PAUSE_S, 0.05 * 2**attempt)))  # noqa: S311 - jitter
        current = look()
        if current.is_done():
            return
        if isinstance(problem, StorageError):
            raise problem
        _check_replaceable(current, before, earlier, manifest, table)
        try:
            current.replace()
        except (Raced, StorageError) as error:
            problem = error  # a response may be lost: only the next look tells what happened
        else:
            return
    raise StorageError(
        f"other runs changed the table {_ATTEMPTS} times while run {manifest.run_key} tried to "
        "commit",
        table,
        "Run again: what this run computed is kept and only the commit is repeated",
    ) from problem


def _check_replaceable(
    current: Look,
    before: Manifest | None,
    earlier: dict[str, int],
    manifest: Manifest,
    table: str,
) -> None:
    partition = f"partition {manifest.partition_key!r}"
    found = current.rows()
    known = {manifest.run_key, before.run_key} if before else {manifest.run_key}
    rivals = sorted(found.keys() - earlier.keys() - known)
    if rivals and current.changed_after(datetime.now(UTC) - ABANDONED_AFTER):
        raise CommitConflict(
            f"run {', '.join(rivals)} committed {partition} while run {manifest.run_key} was "
            "computing",
            table,
            "Run again: what this run computed is kept and only the commit is repeated",
        )
    # Files are compared by their rows: a keeper may have merged some of a run's files, or all.
    lost = sorted(run for run, rows in earlier.items() if found.get(run) != rows)
    if lost and not rivals and before is not None and before.sink == manifest.sink:
        raise StorageError(
            f"the rows that run {', '.join(lost)} committed for {partition} are not in the table "
            "as it wrote them; it was compacted, restored or made anew, so they cannot be replaced "
            "exactly",
            table,
            "Write to another table, or take the partition's rows out of this one and its manifest "
            "out of the dataset",
        )
