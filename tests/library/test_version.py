import importlib
import subprocess
import sys

import pytest

from graphs.authoring import load_graph
from graphs.compiler import compile
from graphs.ir import version
from graphs.ir.artifacts import artifact_digest

SOURCE = '''
import pyarrow as pa
from graphs import Column, Model, Resources, graph, node

FACTOR = 2
TABLE = {"a": 1, "b": 2}

def helper(number):
    return [one * FACTOR for one in number]

def unrelated(x):
    local = x
    return local

@node(inputs={"number": pa.int64()}, outputs={"doubled": pa.int64()})
def double(number: list) -> list:
    """Doubles."""
    TABLE
    return helper(number)

class Weigh(Model, inputs={"number": pa.int64()}, outputs={"weighed": pa.int64()},
            artifacts={"weights": "ARTIFACT"}):
    def __init__(self, by: int = 1, other: int = 0) -> None:
        self.by = by
    def predict(self, number: list) -> list:
        return number

@graph(key="id", inputs={"id": pa.string(), "number": pa.int64()})
def g(number: Column) -> dict:
    return {"x": Weigh(by=1, other=2)(double(number=number))}
'''


@pytest.fixture
def versions(tmp_path, monkeypatch):
    """A function from source text to the version of its graph."""
    monkeypatch.syspath_prepend(str(tmp_path))
    artifact = tmp_path / "weights.bin"
    artifact.write_bytes(b"weights")
    source = SOURCE.replace("ARTIFACT", f"file://{artifact}")

    def of(old: str = "", new: str = "") -> str:
        assert old in source
        (tmp_path / "authored.py").write_text(source.replace(old, new) if old else source)
        sys.modules.pop("authored", None)
        importlib.invalidate_caches()
        __import__("linecache").clearcache()
        return version(load_graph("authored:g"))

    of.artifact = artifact  # type: ignore[attr-defined]
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield of
    sys.modules.pop("authored", None)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("one * FACTOR for one in number", "one * FACTOR + 1 for one in number"),
        ("FACTOR = 2", "FACTOR = 3"),
        ('"b": 2', '"b": 3'),
        ("    return helper(number)", "    return list(helper(number))"),
        ("return number\n\n@graph", "return number[:]\n\n@graph"),
        ("Weigh(by=1", "Weigh(by=2"),
        ('{"x": Weigh', '{"y": Weigh'),
    ],
)
def test_an_edit_of_what_a_node_computes_changes_the_version(versions, old, new):
    assert versions(old, new) != versions()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("local = x\n    return local", "other = x\n    return other"),
        ('"""Doubles."""', '"""Doubles every number."""'),
        ("FACTOR = 2", "# a comment\nFACTOR = 2"),
        ("by=1, other=2", "other=2, by=1"),
        ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}'),
        (
            'inputs={"number": pa.int64()}, outputs={"doubled": pa.int64()}',
            'outputs={"doubled": pa.int64()}, inputs={"number": pa.int64()}',
        ),
        (
            'outputs={"doubled": pa.int64()}',
            'outputs={"doubled": pa.int64()}, resources=Resources(cpus=4)',
        ),
    ],
)
def test_an_edit_of_anything_else_does_not(versions, old, new):
    assert versions(old, new) == versions()


def test_the_bytes_of_an_artifact_are_part_of_the_version(versions):
    before = versions()
    versions.artifact.write_bytes(b"other weights")

    assert versions() != before


def test_scale_is_not_part_of_the_version():
    toy = load_graph("tests.library.toy:toy")

    small = compile(toy, "offline", {"workers_max": 1, "shard_rows": 5})

    assert small.version == compile(toy, "online", {"replicas": 4}).version


def test_two_processes_with_other_hash_seeds_agree():
    code = "from graphs import load_graph; from graphs.ir import version; "
    code += "print(version(load_graph('tests.library.toy:toy')))"
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert printed == {version(load_graph("tests.library.toy:toy")) + "\n"}


def test_the_digest_of_a_folder_covers_names_and_bytes(tmp_path):
    (tmp_path / "a").write_text("1")
    first = artifact_digest(str(tmp_path))
    (tmp_path / "a").rename(tmp_path / "b")
    second = artifact_digest(str(tmp_path))
    (tmp_path / "b").write_text("12")

    assert len({first, second, artifact_digest(str(tmp_path))}) == 3
