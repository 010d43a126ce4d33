"""Which job belongs to a task instance: the same on a retry or after a crash, another on a clear.

``submission_id = <task>-<hash(dag, run, task, map index, generation, fingerprint)>-<ordinal>``

*Generation* is ``max_tries``: Airflow recomputes it from the try number whenever this very task
instance is cleared and leaves it alone on retries. (``dag_run.clear_number`` also rises when
*another* task of the run is cleared; a retry would then miss its own running job.) The *ordinal*
counts jobs of one identity: a new one starts only after the one before has failed or was stopped.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphs.spec import PromotionSpec, RunSpec

if TYPE_CHECKING:
    from airflow.sdk.types import RuntimeTaskInstanceProtocol


@dataclass(frozen=True)
class Work:
    """What the job is to do, and under which URI it leaves its outcome."""

    spec: RunSpec | PromotionSpec

    @property
    def payload(self) -> str:
        """The entry point's argument, as JSON."""
        kind = "run" if isinstance(self.spec, RunSpec) else "promote"
        return json.dumps({kind: self.spec.model_dump(mode="json")}, sort_keys=True)

    def outcome_of(self, submission_id: str) -> str:
        """URI of the outcome of a job."""
        spec = self.spec
        root = spec.output if isinstance(spec, RunSpec) else spec.registry
        return f"{root.rstrip('/')}/jobs/{submission_id}.json"

    def entrypoint_of(self, submission_id: str) -> str:
        """Shell command that does the work on the cluster."""
        outcome = self.outcome_of(submission_id)
        command = ["python", "-m", "graphs", "job", self.payload]
        return shlex.join([*command, "--outcome", outcome, "--owner", submission_id])


def identity_of(ti: RuntimeTaskInstanceProtocol, work: Work) -> str:
    """Name of the work of a task instance in this generation."""
    map_index = -1 if ti.map_index is None else ti.map_index
    parts = (ti.dag_id, ti.run_id, ti.task_id, map_index, ti.max_tries, work.payload)
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]
    readable = re.sub(r"[^A-Za-z0-9]+", "-", ti.task_id).strip("-")[:40] or "task"
    return f"{readable}-{digest}"
