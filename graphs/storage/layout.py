"""Where a dataset's objects lie below its URI (DESIGN §5).

    manifests/<partition_key>.json                         the commit
    snapshots/<partition_key>/<run_key>/<shard>-….parquet  immutable files
    snapshots/<partition_key>/<run_key>/_files-….parquet   the list of them, where it is long
    runs/<run_key>/run.json                                what the run key stands for
    runs/<run_key>/plan.json, shards-….parquet             the frozen shard plan
    runs/<run_key>/done/<shard>.json                       a shard's done-record
    runs/<run_key>/packs/….jsonl.zst                       many done-records, to resume quickly
    runs/<run_key>/progress.json                           how far it has come
    runs/<run_key>/rejected/<shard>-….parquet              a shard's rejected rows
    reports/<partition_key>/<run_key>.json, .html          what the gate said

A name that ends in ``unique()`` belongs to one writer for ever: nothing is written there twice.
"""

from __future__ import annotations

import uuid

MANIFESTS = "manifests"
RUNS = "runs"


def unique() -> str:
    """A part of a name that nobody else has."""
    return uuid.uuid4().hex[:16]


def manifest_path(partition_key: str) -> str:
    """Path of a partition's manifest."""
    return f"{MANIFESTS}/{partition_key}.json"


def report_path(partition_key: str, run_key: str) -> str:
    """Path of a run's report, without ``.json`` or ``.html``."""
    return f"reports/{partition_key}/{run_key}"


def data_path(partition_key: str, run_key: str, shard: str, attempt: str) -> str:
    """Path of a shard's data file below the dataset; no two attempts share one."""
    return f"snapshots/{partition_key}/{run_key}/{shard}-{attempt}.parquet"


def maker_of(data_path: str) -> tuple[str, str]:
    """Run key and shard in the path of a data file."""
    _, _, run_key, name = data_path.split("/", 3)
    return run_key, name.partition("-")[0]


def new_files_path(partition_key: str, run_key: str) -> str:
    """A new path for a snapshot's list of files; no reader of parquet folders takes it for rows."""
    return f"snapshots/{partition_key}/{run_key}/_files-{unique()}.parquet"


def run_path(run_key: str) -> str:
    """Path of what a run key stands for."""
    return f"{RUNS}/{run_key}/run.json"


def plan_path(run_key: str) -> str:
    """Path of a run's frozen plan."""
    return f"{RUNS}/{run_key}/plan.json"


def new_shards_path(run_key: str) -> str:
    """A new path for a plan's shards."""
    return f"{RUNS}/{run_key}/shards-{unique()}.parquet"


def progress_path(run_key: str) -> str:
    """Path of how far a run has come."""
    return f"{RUNS}/{run_key}/progress.json"


def done_folder(run_key: str) -> str:
    """Folder of a run's done-records."""
    return f"{RUNS}/{run_key}/done"


def done_path(run_key: str, shard: str) -> str:
    """Path of a shard's done-record."""
    return f"{done_folder(run_key)}/{shard}.json"


def packs_folder(run_key: str) -> str:
    """Folder of a run's packs of done-records."""
    return f"{RUNS}/{run_key}/packs"


def new_pack_path(run_key: str, attempt: str) -> str:
    """A new path for a pack of done-records."""
    return f"{packs_folder(run_key)}/{attempt}-{unique()}.jsonl.zst"


def rejected_path(run_key: str, shard: str, attempt: str) -> str:
    """Path of a shard's rejected rows below the dataset; no two attempts share one."""
    return f"{RUNS}/{run_key}/rejected/{shard}-{attempt}.parquet"
