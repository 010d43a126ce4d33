"""Holding a graph's release in storage: claimed, advanced and kept alive by compare-and-swap."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Self

from graphs.errors import AlreadyExists, ReleaseInProgress, StorageError, Superseded
from graphs.promotion.release import BEAT_EVERY, advance, claim
from graphs.spec import Release, ReleaseState
from graphs.storage.aliases import Registry

log = logging.getLogger(__name__)


class Ledger:
    """A release held by this process; as a context it shows signs of life in the background.

    Args:
        registry: where releases are kept.
        wanted: the release to start or continue. A dead release of other work is held instead;
            end that one and open the ledger again.

    Raises:
        ReleaseInProgress: another owner's release is under way.
    """

    def __init__(self, registry: Registry, wanted: Release) -> None:
        self._registry = registry
        self._lock = Lock()
        self._ended = Event()
        found = registry.read_release(wanted.graph)
        current, etag = found if found else (None, None)
        self.release = claim(current, wanted)
        self._etag = self._write(self.release, etag)

    def advance(self, state: ReleaseState, **facts: object) -> None:
        """Take the release to its next state.

        Raises:
            ReleaseInProgress: somebody took it over, so this process must stop touching things.
        """
        with self._lock:
            after = advance(self.release, state, datetime.now(UTC), **facts)
            self._etag = self._write(after, self._etag)
            self.release = after
        log.info("release %s of %r: %s", after.id, after.graph, state)

    def _write(self, release: Release, etag: str | None) -> str:
        try:
            return self._registry.write_release(release, etag)
        except (AlreadyExists, Superseded) as error:
            found = self._registry.read_release(release.graph)
            # The store may have answered a write of ours that it had carried out before.
            if found and found[0] == release:
                return found[1]
            holder = repr(found[0].owner) if found else "somebody"
            raise ReleaseInProgress(
                f"the release was taken by {holder}",
                where=f"graph {release.graph!r}",
                remedy="Try again when that release has ended",
            ) from error

    def _keep_alive(self) -> None:
        while not self._ended.wait(BEAT_EVERY.total_seconds()):
            try:
                with self._lock:
                    after = self.release.model_copy(update={"updated_at": datetime.now(UTC)})
                    self._etag = self._write(after, self._etag)
                    self.release = after
            except ReleaseInProgress:
                return  # the next advance will find out, and say so
            except StorageError as error:
                log.warning("no sign of life was left: %s", error)

    def __enter__(self) -> Self:
        self._beating = Thread(target=self._keep_alive, daemon=True)
        self._beating.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._beating.join()
