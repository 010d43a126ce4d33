"""What the README shows is what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from demo.processes import PROJECT
from graphs.authoring import load_graph
from graphs.pictures import mermaid

README = (PROJECT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_it_is_short():
    assert len(README.splitlines()) < 150


def test_the_picture_is_what_draw_prints():
    (picture,) = blocks("mermaid")

    assert picture.strip() == mermaid(load_graph("graphs.examples.topics:topics"))


def test_the_twenty_lines_author_a_graph_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authored, ran, _ = blocks("python")
    (tmp_path / "from_readme.py").write_text(f"{authored}\n{ran}")
    monkeypatch.syspath_prepend(tmp_path)

    import from_readme  # type: ignore[import-not-found]

    assert from_readme.answer.table.column_names == ["doc_id", "vector"]
    assert from_readme.answer.table.num_rows == 1
    assert len([line for line in authored.splitlines() if line.strip()]) <= 20


def test_the_dag_is_the_one_in_the_folder():
    *_, dag = blocks("python")

    assert dag.strip() in (PROJECT / "dags" / "topics.py").read_text()


@pytest.mark.parametrize(
    "command", [c for block in blocks("sh") for c in block.splitlines() if "graphs" in c]
)
def test_the_commands_on_a_graph_work(command: str) -> None:
    program, *arguments = command.split()
    assert program == ".venv/bin/graphs"

    done = subprocess.run([sys.executable, "-m", "graphs", *arguments], cwd=PROJECT, check=False)

    assert done.returncode == 0


def test_every_make_target_it_names_exists():
    named = set(re.findall(r"\bmake ([a-z]+)", README))
    targets = set(re.findall(r"^([a-z]+):.*## ", (PROJECT / "Makefile").read_text(), re.MULTILINE))

    assert named <= targets


def test_every_link_leads_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README)

    assert [link for link in links if not (PROJECT / link).exists()] == []
