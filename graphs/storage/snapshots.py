"""A dataset's commit protocol: done-records, manifests and reports (DESIGN §5).

    <dataset>/manifests/<partition_key>.json                        the commit
    <dataset>/snapshots/<partition_key>/<run_key>/<shard>-….parquet immutable files
    <dataset>/runs/<run_key>/plan.json                              the frozen shard plan
    <dataset>/runs/<run_key>/done/<shard>.json                      a shard's done-record
    <dataset>/runs/<run_key>/rejected/<shard>-….parquet             its rejected rows
    <dataset>/reports/<partition_key>/<run_key>.json, .html         what the gate said

Each of plan, done-record and manifest is one conditional put whose loser reads the winner's: that
covers a racing twin and a response that was lost after the write happened, in the same way.
Airflow workers import this module, so pyarrow is imported only where rows are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from graphs.errors import AlreadyExists, CommitConflict, StorageError, Superseded
from graphs.spec import DataFile, DoneRecord, Manifest, Record, Report, ShardPlan
from graphs.storage.objects import Store
from graphs.storage.records import decode, encode

if TYPE_CHECKING:
    import pyarrow as pa

R = TypeVar("R", bound=Record)

_READERS = 16
"""Requests in flight while done-records or files are read; they wait on the network."""


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
        return self.store.uri_of(_manifest(partition_key))

    def report_uri(self, partition_key: str, run_key: str) -> str:
        """Full URI of a run's report page."""
        return self.store.uri_of(f"{_report(partition_key, run_key)}.html")

    # --- a run's plan and done-records ---

    def write_plan(self, plan: ShardPlan) -> ShardPlan:
        """Freezes a run's plan. Returns the plan that counts: an earlier one when there is one."""
        return self._create_or_read(f"runs/{plan.run_key}/plan.json", plan)

    def read_plan(self, run_key: str) -> ShardPlan | None:
        """A run's frozen plan, or ``None`` if the run never got that far."""
        return self._find(ShardPlan, f"runs/{run_key}/plan.json")

    def write_done(self, record: DoneRecord) -> DoneRecord:
        """Publishes a shard's done-record; the first writer wins.

        Returns:
            The record that counts: this one, or that of the attempt which was first. A caller
            that gets another attempt's record has lost, and its files belong to nobody.
        """
        return self._create_or_read(_done(record.run_key, record.shard), record)

    def read_done(self, run_key: str, shard: str) -> DoneRecord | None:
        """A shard's done-record, or ``None`` while it is pending."""
        return self._find(DoneRecord, _done(run_key, shard))

    def done_records(self, run_key: str) -> tuple[DoneRecord, ...]:
        """Every done-record of a run, by shard."""
        paths = [info.path for info in self.store.list(f"runs/{run_key}/done")]
        with ThreadPoolExecutor(_READERS) as readers:
            return tuple(readers.map(lambda path: self._read(DoneRecord, path), paths))

    # --- the commit ---

    def read_manifest(self, partition_key: str) -> tuple[Manifest, str] | None:
        """A partition's manifest and its etag, or ``None`` if nothing was ever committed."""
        path = _manifest(partition_key)
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
        path = _manifest(manifest.partition_key)
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
        path = _report(report.partition_key, report.run_key)
        self.store.put(f"{path}.html", page.encode())
        self.store.put(f"{path}.json", encode(report))
        return self.report_uri(report.partition_key, report.run_key)

    def read_report(self, partition_key: str, run_key: str) -> Report | None:
        """A run's report, or ``None`` if it was not judged yet."""
        return self._find(Report, f"{_report(partition_key, run_key)}.json")

    # --- rows ---

    def read_snapshot(self, manifest: Manifest, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows of a committed snapshot, by the manifest's list of files and nothing else.

        Args:
            manifest: which snapshot.
            columns: which columns; ``None`` means all.

        Raises:
            StorageError: a file is missing or does not hold the rows that the manifest says.
        """
        return self._read_files(manifest.files, columns)

    def read_rejected(self, manifest: Manifest) -> pa.Table | None:
        """The rejected rows of a committed snapshot; ``None`` when no row was rejected."""
        return self._read_files(manifest.rejected_files, None) if manifest.rejected_files else None

    def _read_files(self, files: Sequence[DataFile], columns: Sequence[str] | None) -> pa.Table:
        from graphs.storage.parquet import concatenated, decode_table

        def read(file: DataFile) -> pa.Table:
            table = decode_table(self.store.read(file.path), columns)
            if table.num_rows != file.rows:
                raise StorageError(
                    f"holds {table.num_rows} rows, the manifest says {file.rows}",
                    self.store.uri_of(file.path),
                )
            return table

        with ThreadPoolExecutor(_READERS) as readers:
            return concatenated(list(readers.map(read, files)))

    def _create_or_read(self, path: str, record: R) -> R:
        """Creates a record, or gives the one that is there: a rival's, or this very one if the
        write happened and its response was lost.
        """
        try:
            self.store.create(path, encode(record))
        except StorageError as error:
            try:
                found = self._find(type(record), path)
            except StorageError as unreadable:
                raise error from unreadable
            if found is None:
                raise
            return found
        return record

    def _read(self, kind: type[R], path: str) -> R:
        return decode(kind, self.store.read(path), self.store.uri_of(path))

    def _find(self, kind: type[R], path: str) -> R | None:
        found = self.store.find(path)
        return None if found is None else decode(kind, found.data, self.store.uri_of(path))


def data_path(partition_key: str, run_key: str, shard: str, attempt: str) -> str:
    """Path of a shard's data file below the dataset; no two attempts share one."""
    return f"snapshots/{partition_key}/{run_key}/{shard}-{attempt}.parquet"


def rejected_path(run_key: str, shard: str, attempt: str) -> str:
    """Path of a shard's rejected rows below the dataset."""
    return f"runs/{run_key}/rejected/{shard}-{attempt}.parquet"


def _manifest(partition_key: str) -> str:
    return f"manifests/{partition_key}.json"


def _report(partition_key: str, run_key: str) -> str:
    return f"reports/{partition_key}/{run_key}"


def _done(run_key: str, shard: str) -> str:
    return f"runs/{run_key}/done/{shard}.json"
