"""`make demo` as a newcomer sees it: one command from nothing to a live answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from demo import processes
from demo.airflow_api import wait_until
from demo.journey import EXPECTED_TOPIC, ROWS_A_DAY
from demo.processes import PROJECT

pytestmark = pytest.mark.server


def start_demo(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "demo", "--folder", folder],
        cwd=PROJECT,
        env={**os.environ, "HOME": str(folder / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run_demo(folder: Path) -> dict[str, Any]:
    demo = start_demo(folder)
    output, _ = demo.communicate()
    assert demo.returncode == 0, output
    assert processes.leftovers(folder) == []
    return json.loads((folder / "summary.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.timeout(1_500)
def test_the_demo_does_the_main_job_and_repeats_nothing_when_run_again(tmp_path: Path) -> None:
    first = run_demo(tmp_path)

    assert len(first["partitions"]) == 3
    for partition in first["partitions"]:
        assert partition["rows_in"] == ROWS_A_DAY
        assert partition["rows_out"] + partition["rows_rejected"] == ROWS_A_DAY
        assert partition["passed"]
        assert partition["shards_computed"] == partition["shards"] == 8
    assert first["parity"]["sampled"] == first["parity"]["agreed"] > 0
    assert first["answer"]["topic"] == EXPECTED_TOPIC
    assert Path(first["report"]).read_text().startswith("<!doctype html>")

    again = run_demo(tmp_path)

    assert again["version"] == first["version"]
    assert [one["shards_computed"] for one in again["partitions"]] == [0, 0, 0]
    assert again["parity"]["share"] == 1
    assert again["answer"] == first["answer"]


def test_ctrl_c_ends_everything_that_was_started(tmp_path: Path) -> None:
    demo = start_demo(tmp_path)
    wait_until(lambda: len(processes.started_in(tmp_path)) >= 2, "Ray to start", within_s=60)

    demo.send_signal(signal.SIGINT)

    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130, output
    assert processes.leftovers(tmp_path) == []
