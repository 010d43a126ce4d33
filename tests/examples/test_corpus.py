"""Documentation strings are collected from sources, without importing them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from graphs.examples import corpus

SOURCE = '''
"""What this module is about."""

raise RuntimeError("imported, though it must only be parsed")

class Kept:
    """A class that is documented."""

    def method(self):
        """A method that is documented.

        Said at the same indentation.
        """

        def nested(self):
            """A nested function that is left out."""

    def _private(self):
        """A private method that is left out."""

if True:
    async def conditional():
        """A function that is defined conditionally."""

def terse():
    """Too terse."""
'''


@pytest.fixture(scope="module")
def documents() -> pa.Table:
    return corpus.collect()


def test_public_documentation_of_a_module_becomes_rows(tmp_path: Path) -> None:
    path = tmp_path / "mod.py"
    path.write_text(SOURCE)

    assert corpus.read_files([("pkg.mod", str(path))]) == [
        ("pkg.mod", "pkg", "module", "What this module is about."),
        ("pkg.mod.Kept", "pkg", "class", "A class that is documented."),
        (
            "pkg.mod.Kept.method",
            "pkg",
            "method",
            "A method that is documented.\n\nSaid at the same indentation.",
        ),
        ("pkg.mod.conditional", "pkg", "function", "A function that is defined conditionally."),
    ]


def test_a_file_that_does_not_parse_has_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_bytes(b"def \xff(")

    assert corpus.read_files([("broken", str(path))]) == []


def test_tens_of_thousands_of_documents_are_found_each_once(documents: pa.Table) -> None:
    ids = documents["doc_id"].to_pylist()

    assert len(ids) > 20_000
    assert ids == sorted(set(ids))
    assert {"pathlib.Path.glob", "datetime.datetime.fromisoformat", "pyarrow"} <= set(ids)
    assert documents.schema == corpus.SCHEMA


def test_a_choice_depends_on_the_seed_alone_and_mixes_packages(documents: pa.Table) -> None:
    first = corpus.choose(documents, 1_000, seed="2026-03-01")

    assert first.equals(corpus.choose(documents, 1_000, seed="2026-03-01"))
    assert not first.equals(corpus.choose(documents, 1_000, seed="2026-03-02"))
    assert len(set(first["package"].to_pylist())) > 30


def test_documents_are_collected_once_for_what_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, documents: pa.Table
) -> None:
    monkeypatch.setattr(corpus, "collect", lambda: documents)
    kept = corpus.collect_once(tmp_path)

    monkeypatch.setattr(corpus, "collect", lambda: pytest.fail("collected again"))

    assert corpus.collect_once(tmp_path).equals(kept)
