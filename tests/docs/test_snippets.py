"""What the documents say is what happens: their snippets run, and what they quote is there."""

from __future__ import annotations

import importlib
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from graphs.cli import app

ROOT = Path(__file__).parents[2]
README, GUIDE = ROOT / "README.md", ROOT / "docs" / "authoring.md"
OFFLINE = ROOT / "docs" / "offline.md"
DAG = "with DAG("


def blocks(document: Path, language: str) -> Iterator[tuple[int, str]]:
    """(line of the document, text) of its fenced blocks."""
    text = document.read_text()
    for found in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield text.count("\n", 0, found.start(1)), found.group(1)


def module_of(document: Path) -> str:
    """The document's Python, each line where it stands there, so that a traceback points at it."""
    lines: list[str] = []
    for line, text in blocks(document, "python"):
        if DAG not in text:
            lines += [""] * (line - len(lines)) + text.splitlines()
    return "\n".join(lines) + "\n"


def commands(document: Path) -> list[str]:
    """Calls of ``graphs`` in shell blocks."""
    lines = (line for _, text in blocks(document, "sh") for line in text.splitlines())
    calls = (line.removeprefix(".venv/bin/") for line in lines)
    return [call.removeprefix("graphs ") for call in calls if call.startswith("graphs ")]


@pytest.mark.parametrize(("document", "name"), [(GUIDE, "guide"), (README, "readme_snippets")])
def test_the_snippets_of_a_document_run_in_order(document, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / f"{name}.py").write_text(module_of(document))

    try:
        importlib.import_module(name)
        for command in commands(document):
            result = CliRunner().invoke(app, shlex.split(command))
            assert result.exit_code == 0, f"graphs {command}\n{result.output}"
    finally:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("document", [GUIDE, README, OFFLINE])
def test_every_document_has_snippets_of_both_kinds(document):
    assert list(blocks(document, "python"))
    assert commands(document)


def test_the_picture_in_the_readme_is_what_draw_prints():
    printed = CliRunner().invoke(app, ["draw", "graphs.examples.topics:topics"]).stdout

    assert [text for _, text in blocks(README, "mermaid")] == [printed]


def test_the_dag_in_the_readme_is_the_one_that_runs():
    (dag,) = [text for _, text in blocks(README, "python") if DAG in text]

    assert dag in (ROOT / "dags" / "topics.py").read_text()


def test_the_readme_is_short():
    assert len(README.read_text().splitlines()) < 150


@pytest.mark.parametrize("document", [GUIDE, README, OFFLINE])
def test_links_to_files_lead_somewhere(document):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text())

    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_make_target_in_the_readme_exists():
    named = set(re.findall(r"\bmake ([a-z]+)", README.read_text()))
    targets = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert named <= set(targets)
