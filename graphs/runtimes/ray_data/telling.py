"""What a run says while it goes on: lines in the log, a record that others can read, packs.

Everything here is for onlookers and for a quick resume; nothing of it is needed to be right.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from graphs.errors import StorageError
from graphs.spec import Progress, StageProgress
from graphs.storage.snapshots import Dataset

log = logging.getLogger("graphs.run")
lines = logging.getLogger("graphs.run.progress")

_RECORD_EVERY_S = 5.0
_LINE_EVERY_S = 1.0
_SILENT_S = 60.0
"""After this long without a finished shard a warning says what each stage is doing."""

_PACK_RECORDS, _PACK_EVERY_S = 1000, 30.0


class Teller:
    """Tells how far one attempt has come, from a thread of its own, until it ends.

    Args:
        dataset: where the record goes.
        run_key, attempt: whose it is.
        progress: called with every shard that is done.
    """

    def __init__(
        self,
        dataset: Dataset,
        run_key: str,
        attempt: str,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self._dataset = dataset
        self._run_key, self._attempt = run_key, attempt
        self._callback = progress
        self._latest: Progress | None = None
        self._stages: tuple[StageProgress, ...] = ()
        self._is_over = threading.Event()
        self._line_at = 0.0
        self._moved_at = time.monotonic()
        self._thread = threading.Thread(target=self._tell, name="telling", daemon=True)

    def start(self, progress: Progress) -> None:
        """Writes the first record, so that others see that the run is alive, and keeps it fresh."""
        self._latest = self._complete(progress)
        self._write(self._latest)
        self._thread.start()

    def update(self, progress: Progress) -> None:
        """A shard is done."""
        self._latest = self._complete(progress)
        self._moved_at = now = time.monotonic()
        if now - self._line_at >= _LINE_EVERY_S or progress.shards_done == progress.shards:
            self._line_at = now
            lines.info("%s", progress)
        if self._callback is not None:
            self._callback(self._latest)

    def stages(self, stages: tuple[StageProgress, ...]) -> None:
        """Ray Data's account of the stages, now and then."""
        self._stages = stages

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()
        if self._latest is None:
            return
        self._thread.join()
        how = "committed" if error is None else "failed"
        problem = "" if error is None else f"{type(error).__name__}: {error}"
        self._write(self._latest.model_copy(update={"state": how, "problem": problem}))

    def _complete(self, progress: Progress) -> Progress:
        told = {"run_key": self._run_key, "attempt": self._attempt, "stages": self._stages}
        return progress.model_copy(update=told)

    def _tell(self) -> None:
        warned_at = 0.0
        while not self._is_over.wait(_RECORD_EVERY_S):
            if self._latest is None:
                continue
            self._write(self._latest.model_copy(update={"stages": self._stages}))
            silent = time.monotonic() - max(self._moved_at, warned_at)
            if silent > _SILENT_S:
                warned_at = time.monotonic()
                log.warning("no shard was finished for %.0f s: %s", silent, _told(self._stages))

    def _write(self, progress: Progress) -> None:
        try:
            self._dataset.write_progress(
                progress.model_copy(update={"updated_at": datetime.now(UTC)})
            )
        except StorageError as error:
            log.warning("how far the run is could not be written: %s", error)


def _told(stages: tuple[StageProgress, ...]) -> str:
    if not stages:
        return "Ray has not begun"
    return "; ".join(
        f"stage {one.name}: {one.shards_done} done, {one.shards_running} calls running, "
        f"{one.workers} workers"
        for one in stages
    )


class Packer:
    """Keeps done-records in packs of many, which a resume reads instead of each one's object."""

    def __init__(self, dataset: Dataset, run_key: str, attempt: str) -> None:
        self._dataset = dataset
        self._run_key, self._attempt = run_key, attempt
        self._records: list[bytes] = []
        self._packed_at = time.monotonic()

    def add(self, record: str) -> None:
        """Keeps a record's JSON; writes a pack when there are many, or the last is long ago."""
        self._records.append(record.encode())
        is_late = time.monotonic() - self._packed_at > _PACK_EVERY_S
        if is_late or len(self._records) >= _PACK_RECORDS:
            self.write()

    def write(self) -> None:
        """Writes what is left; a run that is about to commit need not."""
        records, self._records = self._records, []
        self._packed_at = time.monotonic()
        if not records:
            return
        self._dataset.write_pack(self._run_key, self._attempt, records)
