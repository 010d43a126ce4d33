"""Whatever a component starts is ended with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from demo import processes
from demo.airflow_api import wait_until
from demo.processes import PROJECT, NotReady

# A component that starts one child in a session of its own and abandons another.
SCATTERING = "setsid sleep 300 & (sleep 300 & disown); echo started; wait"


def scatter(folder: Path, command: str = SCATTERING) -> processes.Process:
    process = processes.start("scattering", ["bash", "-c", command], os.environ, folder)
    wait_until(lambda: len(process.members()) >= 3, "its children", within_s=20)
    return process


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_ending_a_component_ends_children_in_other_sessions_and_orphans(tmp_path: Path) -> None:
    members = scatter(tmp_path).members()

    processes.end(tmp_path)

    assert all(is_gone(member) for member in members)
    assert processes.leftovers(tmp_path) == []


def test_children_are_ended_when_the_component_itself_is_killed(tmp_path: Path) -> None:
    process = scatter(tmp_path)
    members = process.members()

    members[0].kill()

    wait_until(lambda: not process.is_running, "the reaper to finish", within_s=30)
    assert all(is_gone(member) for member in members)


def test_children_are_ended_when_their_reaper_was_killed(tmp_path: Path) -> None:
    process = scatter(tmp_path)
    members = process.members()
    psutil.Process(process.pid).kill()

    processes.end(tmp_path)

    assert all(is_gone(member) for member in members)


def test_what_a_killed_starter_left_running_is_ended_by_the_next(tmp_path: Path) -> None:
    script = f"""
import os, pathlib, signal
from demo import processes
processes.start("sleeper", ["sleep", "300"], os.environ, pathlib.Path({str(tmp_path)!r}))
os.kill(os.getpid(), signal.SIGKILL)
"""
    starter = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, check=False)
    assert starter.returncode == -9
    assert len(processes.leftovers(tmp_path)) == 1

    processes.end(tmp_path)

    assert processes.leftovers(tmp_path) == []


def test_a_process_that_took_over_a_recorded_pid_is_left_alone(tmp_path: Path) -> None:
    bystander = subprocess.Popen(["sleep", "300"])
    try:
        stale = processes.Process("stale", bystander.pid, created_at=0.0, log="")
        (tmp_path / processes.STARTED).write_text(stale.to_json() + "\n")

        processes.end(tmp_path)

        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_component_that_ends_while_starting_is_reported_with_the_end_of_its_log(
    tmp_path: Path,
) -> None:
    process = processes.start(
        "broken", ["bash", "-c", "echo no port; exit 3"], os.environ, tmp_path
    )

    with pytest.raises(NotReady, match="broken ended while starting") as failure:
        processes.await_ready(process, lambda: False, within_s=30)

    assert failure.value.tail() == "no port"
