"""A dataset's commit protocol: plans, done-records, manifests and reports (DESIGN §5).

Each of plan, done-record and manifest is one conditional put whose loser reads the winner's: that
covers a racing twin and a response that was lost after the write happened, in the same way. Where
each lies: :mod:`graphs.storage.layout`. Airflow workers import this module, so pyarrow is imported
only where rows, shards or lists of files are read or written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from graphs.errors import AlreadyExists, CommitConflict, StorageError, Superseded
from graphs.spec import (
    DataFile,
    DoneRecord,
    Manifest,
    Progress,
    Report,
    RunRecord,
    ShardPlan,
)
from graphs.storage import layout, packs, plans
from graphs.storage.layout import data_path, rejected_path
from graphs.storage.objects import Store
from graphs.storage.records import create_or_read, decode, encode, find

if TYPE_CHECKING:
    import pyarrow as pa

    from graphs.storage.inputs import Shards

__all__ = ["INLINE_FILES", "Dataset", "data_path", "rejected_path"]

INLINE_FILES = 10_000
"""Files that a manifest lists itself, at most; more stand in an object beside the snapshot."""


class Dataset:
    """The output of a graph: one snapshot per partition, each a run's immutable files."""

    def __init__(self, uri: str) -> None:
        self.store = Store.open(uri)

    @property
    def uri(self) -> str:
        """Where it is, without a trailing slash."""
        return self.store.uri

    # --- where things are ---

    def manifest_uri(self, partition_key: str) -> str:
        """Full URI of a partition's manifest."""
        return self.store.uri_of(layout.manifest_path(partition_key))

    def report_uri(self, partition_key: str, run_key: str) -> str:
        """Full URI of a run's report page."""
        return self.store.uri_of(f"{layout.report_path(partition_key, run_key)}.html")

    def partition_keys(self) -> tuple[str, ...]:
        """Every partition that has a manifest, sorted."""
        found = (info.path for info in self.store.list(layout.MANIFESTS))
        names = (path.removeprefix(f"{layout.MANIFESTS}/") for path in found)
        return tuple(name.removesuffix(".json") for name in names if name.endswith(".json"))

    def run_keys(self) -> tuple[str, ...]:
        """Every run that left something here, sorted."""
        return self.store.folders(layout.RUNS)

    # --- a run: what it is, its plan, how far it has come ---

    def write_run(self, record: RunRecord) -> RunRecord:
        """Says what a run key stands for. Returns what counts: an earlier one first."""
        return create_or_read(self.store, layout.run_path(record.run_key), record)

    def read_run(self, run_key: str) -> RunRecord | None:
        """What a run key stands for, or ``None`` if no such run ever started."""
        return find(self.store, RunRecord, layout.run_path(run_key))

    def write_plan(self, plan: ShardPlan, shards: Shards) -> tuple[ShardPlan, Shards]:
        """Freezes a run's plan; the first writer wins.

        Args:
            plan: what to freeze; where the shards stand (``shards_at``) is chosen here.
            shards: its shards.

        Returns:
            The plan and the shards that count: these, or an earlier plan's.
        """
        return plans.write_plan(self.store, plan, shards)

    def read_plan(self, run_key: str) -> tuple[ShardPlan, Shards] | None:
        """A run's frozen plan and its shards, or ``None`` if the run never got that far."""
        return plans.read_plan(self.store, run_key)

    def write_progress(self, progress: Progress) -> None:
        """Says how far a run has come, over what was said before."""
        self.store.put(layout.progress_path(progress.run_key), encode(progress))

    def read_progress(self, run_key: str) -> Progress | None:
        """How far a run has come, or ``None`` if it never said."""
        return find(self.store, Progress, layout.progress_path(run_key))

    # --- done-records ---

    def write_done(self, record: DoneRecord) -> DoneRecord:
        """Publishes a shard's done-record; the first writer wins.

        Returns:
            The record that counts: this one, or that of the attempt which was first. A caller
            that gets another attempt's record has lost, and its files belong to nobody.
        """
        return create_or_read(self.store, layout.done_path(record.run_key, record.shard), record)

    def read_done(self, run_key: str, shard: str) -> DoneRecord | None:
        """A shard's done-record, or ``None`` while it is pending."""
        return find(self.store, DoneRecord, layout.done_path(run_key, shard))

    def write_pack(self, run_key: str, attempt: str, records: Iterable[DoneRecord | bytes]) -> None:
        """Keeps published done-records once more, many in one object, for a quick resume.

        Where the store refuses, a warning says so: nothing depends on packs but time.

        Args:
            run_key: whose they are.
            attempt: who writes; part of the object's name.
            records: done-records as :meth:`write_done` returned them, some thousand at most. Who
                gathers them first should keep their JSON: a thousand records in memory cost
                Python's garbage collector several times what it takes to read and add them up.
        """
        packs.write_pack(self.store, run_key, attempt, records)

    def done_records(self, run_key: str, repack_as: str | None = None) -> Iterator[DoneRecord]:
        """Every done-record of a run, each shard once, in no particular order.

        Reads the packs and then, one by one, the records that no pack holds; keeps the names of
        the shards in memory, not the records.

        Args:
            run_key: which run.
            repack_as: an attempt that resumes the run, to pack what no pack holds for the next
                one; ``None`` writes nothing.
        """
        return packs.done_records(self.store, run_key, repack_as)

    # --- the commit ---

    def read_manifest(self, partition_key: str) -> tuple[Manifest, str] | None:
        """A partition's manifest and its etag, or ``None`` if nothing was ever committed."""
        path = layout.manifest_path(partition_key)
        found = self.store.find(path)
        if found is None:
            return None
        return decode(Manifest, found.data, self.store.uri_of(path)), found.etag

    def commit(self, manifest: Manifest, replacing: str | None) -> Manifest:
        """Makes a run's snapshot the partition's, atomically.

        Args:
            manifest: what to commit.
            replacing: etag of the manifest that was there when the run started, ``None`` if none.

        Returns:
            The committed manifest: this one, or the same run's, committed by a twin or by this
            very call before its response was lost.

        Raises:
            CommitConflict: another run committed this partition meanwhile.
        """
        path = layout.manifest_path(manifest.partition_key)
        data = encode(manifest)
        try:
            if replacing is None:
                self.store.create(path, data)
            else:
                self.store.replace(path, data, replacing)
        except StorageError as error:
            # Not only after a refusal: a response can be lost for good, too. The key decides.
            found = self._committed_after(error, manifest.partition_key)
            if found is not None and found.run_key == manifest.run_key:
                return found
            if not isinstance(error, AlreadyExists | Superseded):
                raise
            raise CommitConflict(
                f"run {found.run_key if found else '(none)'} changed the manifest while run "
                f"{manifest.run_key} was computing",
                self.store.uri_of(path),
                "Run again: what this run computed is kept and only the commit is repeated",
            ) from error
        return manifest

    def _committed_after(self, error: StorageError, partition_key: str) -> Manifest | None:
        try:
            found = self.read_manifest(partition_key)
        except StorageError as unreadable:
            raise error from unreadable
        return found[0] if found else None

    # --- reports ---

    def write_report(self, report: Report, page: str) -> str:
        """Writes a run's report as JSON and as a page. Returns the URI of the page.

        The JSON comes last: who sees it can count on the page.
        """
        path = layout.report_path(report.partition_key, report.run_key)
        self.store.put(f"{path}.html", page.encode())
        self.store.put(f"{path}.json", encode(report))
        return self.report_uri(report.partition_key, report.run_key)

    def read_report(self, partition_key: str, run_key: str) -> Report | None:
        """A run's report, or ``None`` if it was not judged yet."""
        return find(self.store, Report, f"{layout.report_path(partition_key, run_key)}.json")

    # --- files and rows ---

    def write_files(
        self, partition_key: str, run_key: str, files: pa.Table, rejected: pa.Table
    ) -> DataFile:
        """Writes a list of files that is too long for a manifest, at a path of its own.

        Returns:
            What the manifest's ``files_at`` is to say.
        """
        from graphs.storage.file_lists import encode_files

        data = encode_files(files, rejected)
        path = layout.new_files_path(partition_key, run_key)
        self.store.put(path, data)
        return DataFile(path=path, rows=files.num_rows + rejected.num_rows, bytes=len(data))

    def files(self, manifest: Manifest) -> pa.Table:
        """A snapshot's files: path below the dataset (string), rows and bytes (int64).

        Raises:
            StorageError: the list stands in an object of its own, which is missing or damaged.
        """
        return self._files(manifest, manifest.files, is_rejected=False)

    def rejected_files(self, manifest: Manifest) -> pa.Table:
        """The files of a snapshot's rejected rows, in the same form as :meth:`files`."""
        return self._files(manifest, manifest.rejected_files, is_rejected=True)

    def _files(
        self, manifest: Manifest, inline: Sequence[DataFile], *, is_rejected: bool
    ) -> pa.Table:
        from graphs.storage.file_lists import decode_files, listed

        at = manifest.files_at
        if at is None:
            return listed(inline)
        return decode_files(self.store.read(at.path), is_rejected, self.store.uri_of(at.path))

    def read_snapshot(self, manifest: Manifest, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows of a committed snapshot, by the manifest's list of files and nothing else.

        Args:
            manifest: which snapshot.
            columns: which columns; ``None`` means all.

        Raises:
            StorageError: a file is missing or does not hold the rows that the manifest says.
        """
        from graphs.storage.file_lists import read_rows

        return read_rows(self.store, self.files(manifest), columns)

    def read_rejected(self, manifest: Manifest) -> pa.Table | None:
        """The rejected rows of a committed snapshot; ``None`` when no row was rejected."""
        from graphs.storage.file_lists import read_rows

        files = self.rejected_files(manifest)
        return read_rows(self.store, files, None) if files.num_rows else None
