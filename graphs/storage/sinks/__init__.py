"""Where a run's rows go, and how they become visible there exactly once.

Whatever the sink, a run's rows are parquet files of the snapshot (DESIGN §5): the gate, parity and
``graphs.read`` work alike for all. Iceberg's table lists those very files; Delta and Lance keep
copies of their own, written by the same workers.

A table's commit and the manifest are two steps, so the table's comes first and is repeatable:
it carries the run key, a retry finds itself and does nothing, and a run that another one overtook
gets a :class:`~graphs.errors.CommitConflict`.
"""

from __future__ import annotations

from graphs.spec import Sink
from graphs.storage.sinks.base import SinkWriter, Written

__all__ = ["SinkWriter", "Written", "open_sink"]


def open_sink(sink: Sink, dataset_uri: str) -> SinkWriter:
    """The writer of a sink for one dataset, in a worker or in the driver; nothing is written yet.

    Raises:
        StorageError: a URI cannot be opened, or the sink's library is not installed.
    """
    # Each sink's library is heavy and optional: only the one asked for is looked at.
    match sink.kind:
        case "parquet":
            from graphs.storage.sinks.parquet import ParquetWriter

            return ParquetWriter(sink, dataset_uri)
        case "iceberg":
            from graphs.storage.sinks.iceberg import IcebergWriter

            return IcebergWriter(sink, dataset_uri)
        case "delta":
            from graphs.storage.sinks.delta import DeltaWriter

            return DeltaWriter(sink, dataset_uri)
        case "lance":
            from graphs.storage.sinks.lance import LanceWriter

            return LanceWriter(sink, dataset_uri)
