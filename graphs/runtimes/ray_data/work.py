"""What a worker of one stage needs to know about the run; travels to the workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from graphs.planners.offline import OfflinePlan, Stage
from graphs.spec import Input, ParquetSink, Sink, Trouble


@dataclass(frozen=True, slots=True)
class Work:
    """One stage of one attempt at a run."""

    plan: OfflinePlan
    stage: int
    input: Input
    output: str
    partition_key: str
    run_key: str
    attempt: str
    parameters: dict[str, Any] = field(default_factory=dict)
    hopeless_after: int | None = None
    sink: Sink = field(default_factory=ParquetSink)
    trouble: Trouble = field(default_factory=Trouble)
    is_careful: bool = False
    """Whether a shard took its worker down before: now one shard a call, in small batches."""

    @property
    def is_first(self) -> bool:
        return self.stage == 0

    @property
    def is_last(self) -> bool:
        return self.stage == len(self.plan.stages) - 1

    @property
    def the_stage(self) -> Stage:
        return self.plan.stages[self.stage]

    @property
    def identity(self) -> tuple[str, str, int, bool]:
        """Equal for equal work, and cheap to compare."""
        return self.run_key, self.attempt, self.stage, self.is_careful
