from __future__ import annotations

import asyncio
import subprocess
import sys

from graphs.spec import Failure, Outcome
from graphs.storage.outcomes import read_outcome, read_outcome_async, write_outcome

OUTCOME = Outcome(
    outcome=Failure(error="InputNotFound", message="nothing there", is_retryable=False)
)


def test_an_outcome_is_read_where_the_submitter_said(root: str) -> None:
    uri = f"{root}/jobs/submission.json"
    assert read_outcome(uri) is None
    assert asyncio.run(read_outcome_async(uri)) is None
    write_outcome(uri, OUTCOME)
    assert read_outcome(uri) == OUTCOME
    assert asyncio.run(read_outcome_async(uri)) == OUTCOME


def test_an_airflow_worker_imports_storage_without_anything_heavy() -> None:
    modules = "objects, snapshots, aliases, outcomes"
    heavy = "{'ray', 'torch', 'vllm', 'pandas', 'pyarrow.parquet'}"
    code = (
        f"from graphs.storage import {modules}; import sys; assert not {heavy} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
