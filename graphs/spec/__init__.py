"""Records that cross processes: what to do, what was done, and what is known about it.

Every record is data (JSON), frozen, refuses unknown keys and carries no secret. ``format`` is the
version of the wire format: a reader accepts every earlier one.
"""

from graphs.spec.expectations import (
    Between,
    Expectation,
    LargestShare,
    NoNulls,
    RejectedShare,
    RowsConserved,
)
from graphs.spec.inputs import Csv, Input, InputFormat, Piece, Shard, ShardPlan
from graphs.spec.jobs import Failure, Outcome
from graphs.spec.promotions import (
    Alias,
    Parity,
    PromotionSpec,
    Release,
    ReleaseResult,
    ReleaseState,
)
from graphs.spec.record import Record
from graphs.spec.runs import (
    ErrorBudget,
    Progress,
    RunRecord,
    RunResult,
    RunSpec,
    StageProgress,
    Trouble,
)
from graphs.spec.sinks import DeltaSink, IcebergSink, LanceSink, ParquetSink, Sink
from graphs.spec.snapshots import (
    ColumnStatistics,
    Counts,
    DataFile,
    DoneRecord,
    Manifest,
    NodeUsage,
    Replay,
    Report,
    SkippedFile,
    StageUsage,
    Usage,
    Verdict,
)

__all__ = [
    "Alias",
    "Between",
    "ColumnStatistics",
    "Counts",
    "Csv",
    "DataFile",
    "DeltaSink",
    "DoneRecord",
    "ErrorBudget",
    "Expectation",
    "Failure",
    "IcebergSink",
    "Input",
    "InputFormat",
    "LanceSink",
    "LargestShare",
    "Manifest",
    "NoNulls",
    "NodeUsage",
    "Outcome",
    "Parity",
    "ParquetSink",
    "Piece",
    "Progress",
    "PromotionSpec",
    "Record",
    "RejectedShare",
    "Release",
    "ReleaseResult",
    "ReleaseState",
    "Replay",
    "Report",
    "RowsConserved",
    "RunRecord",
    "RunResult",
    "RunSpec",
    "Shard",
    "ShardPlan",
    "Sink",
    "SkippedFile",
    "StageProgress",
    "StageUsage",
    "Trouble",
    "Usage",
    "Verdict",
]
