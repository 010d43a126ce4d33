"""``docs/offline.md`` is true: its snippets and commands run in the order of the page."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from graphs.cli import app

PAGE = Path(__file__).parents[2] / "docs" / "offline.md"
FILE = re.compile(r"# (\w+\.py)\n")


def blocks() -> Iterator[tuple[int, str, str]]:
    """(line of the page, language, text) of its fenced Python and shell, in order."""
    text = PAGE.read_text()
    for found in re.finditer(r"^```(python|sh)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield text.count("\n", 0, found.start(2)), found[1], found[2]


def needs_spark(text: str) -> bool:
    """Spark is not installed here: its snippet is shown, and only parsed."""
    return "pyspark" in text


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    """A folder of its own on a Ray cluster of two CPUs, whose workers can import what lies there.

    What Ray was given has to hold for its workers as long as they live, so it is put back last.
    """
    import ray

    environment, folder = dict(os.environ), os.getcwd()
    os.chdir(tmp_path)
    sys.path.insert(0, str(tmp_path))
    os.environ["PYTHONPATH"] = f"{tmp_path}:{PAGE.parents[1]}"
    ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=200 * 2**20)
    yield tmp_path
    ray.shutdown()
    os.environ.clear()
    os.environ.update(environment)
    sys.path.remove(str(tmp_path))
    os.chdir(folder)
    for name in ("ratings", "mended"):
        sys.modules.pop(name, None)


def call(line: str) -> str:
    """Runs a command as a shell would, with the only variable that the page sets."""
    if "$RUN_KEY" in line:
        listed = CliRunner().invoke(app, ["runs", "ls", "scores", "--json"])
        line = line.replace("$RUN_KEY", json.loads(listed.stdout)["runs"][0]["run_key"])
    result = CliRunner().invoke(app, shlex.split(line)[1:])
    assert result.exit_code == 0, f"{line}\n{result.output}"
    return result.output


@pytest.mark.server
def test_the_page_runs_from_top_to_bottom(here):
    names: dict[str, Any] = {}
    ran = 0
    for line, language, text in blocks():
        if language == "sh":
            for command in text.splitlines():
                if command.startswith("graphs "):
                    call(command)
                    ran += 1
        elif file := FILE.match(text):
            (here / file[1]).write_text(text)
        elif not needs_spark(text):
            exec(compile("\n" * line + text, str(PAGE), "exec"), names)
            ran += 1

    assert ran > 20


def test_the_snippet_that_is_only_shown_is_python():
    (spark,) = [text for _, language, text in blocks() if language == "python" and "spark" in text]

    assert needs_spark(spark)
    ast.parse(spark)


def test_the_page_says_all_that_graphs_runs_can_do():
    from graphs.cli import runs

    text = PAGE.read_text()

    for command in runs.app.registered_commands:
        assert f"graphs runs {command.callback.__name__} " in text
