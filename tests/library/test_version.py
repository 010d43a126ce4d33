import importlib
import linecache
import subprocess
import sys

import pytest

from graphs.authoring import load_graph
from graphs.compiler import compile
from graphs.ir import version
from graphs.ir.artifacts import artifact_digest

SOURCE = '''
import functools
from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from graphs import Column, Model, Resources, graph, node
from graphs.ir import Behaviour
from graphs.nodes import constant, each, filter, parameter, switch
import project.elsewhere
from project import elsewhere
from project.elsewhere import rounded

FACTOR = 2
TABLE = {"a": 1, "b": 2}
WEIGHTS = np.array([0.1, 0.2])
HERE = __file__

@dataclass(frozen=True)
class Limits:
    low: int
    high: int = 9

LIMITS = Limits(low=1)

class Words:
    def split(self, text):
        return text.split()

WORDS = Words()

def plain(function):
    return function

def traced(times):
    def decorate(function):
        @functools.wraps(function)
        def call(*args):
            for _ in range(times):
                result = function(*args)
            return result
        return call
    return decorate

def first(number):
    return number[:1]

def rest(number):
    return number[1:]

STEPS = {"first": first, "rest": rest}

clean = lambda number: number[:]
tidy, keep = lambda number: number, lambda number: number
Point = namedtuple("Point", ["x", "y"])

@traced(times=1)
def helper(number):
    return [one * FACTOR for one in number]

def max(number):
    return number

def unrelated(x):
    local = x
    return local

@node(inputs={"number": pa.int64()}, outputs={"doubled": pa.int64()})
def double(number: list) -> list:
    """Doubles."""
    TABLE, WEIGHTS, LIMITS, WORDS.split, tidy(clean(number)), Point(1, 2)
    from project.lazily import late
    late(rounded(STEPS["first"](number)))
    elsewhere.named(project.elsewhere.dotted(number))
    return max(helper(number))

@node(inputs={"number": pa.int64()}, outputs={"doubled": pa.int64()},
      behaviour=Behaviour(nulls="pass"))
@plain
def rare(number: pa.Array) -> pa.Array:
    print(__file__, __name__)
    return number

@node(inputs={"number": pa.int64()}, outputs={"item": pa.int64()})
def item(number: pa.Array) -> pa.Array:
    return number

class Base(Model):
    def scale(self) -> int:
        return 1

class Weigh(Base, inputs={"number": pa.int64()}, outputs={"weighed": pa.int64()},
            artifacts={"weights": "ARTIFACT"}):
    def __init__(self, by: int = 1, other: int = 0) -> None:
        self.by = by
    def predict(self, number: list) -> list:
        return number

@graph(key="id", inputs={"id": pa.string(), "number": pa.int64(), "many": pa.list_(pa.int64()),
                         "is_good": pa.bool_()})
def g(number: Column, many: Column, is_good: Column) -> dict:
    filter(is_good)
    limit = parameter("limit", pa.int64(), default=5)
    routed = switch(number, {1: double, 2: lambda number: rare(number)}, number, default=double)
    return {"x": Weigh(by=1, other=2)(routed), "items": each(lambda one: item(one), many),
            "limit": limit, "one": constant(1, pa.int64())}
'''

ELSEWHERE = """
from project.further import far

def rounded(number):
    return far(number)

def named(number):
    return number

def dotted(number):
    return number

def unread(number):
    return number
"""

FILES = {
    "authored.py": SOURCE,
    "elsewhere.py": ELSEWHERE,
    "further.py": "def far(number):\n    return number\n",
    "lazily.py": "def late(number):\n    return number\n",
    "__init__.py": "",
}


@pytest.fixture
def versions(tmp_path, monkeypatch):
    """A function from an edit of the project to the version of its graph."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    artifact = tmp_path / "weights.bin"
    artifact.write_bytes(b"weights")
    (tmp_path / "project").mkdir()

    def of(old: str = "", new: str = "") -> str:
        assert any(old in text for text in FILES.values()), f"{old!r} is nowhere"
        for name, text in FILES.items():
            written = text.replace(old, new) if old else text
            written = written.replace("ARTIFACT", f"file://{artifact}")
            (tmp_path / "project" / name).write_text(written)
        forget()
        return version(load_graph("project.authored:g"))

    def forget() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "project"]:
            del sys.modules[name]
        importlib.invalidate_caches()
        linecache.clearcache()

    of.artifact = artifact  # type: ignore[attr-defined]
    yield of
    forget()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("max(helper(number))", "list(max(helper(number)))", id="a node's body"),
        pytest.param("one * FACTOR for", "one * FACTOR + 1 for", id="a function it calls"),
        pytest.param("FACTOR = 2", "FACTOR = 3", id="a constant that this reads"),
        pytest.param('"b": 2', '"b": 3', id="an entry of a table"),
        pytest.param("0.1, 0.2", "0.1, 0.3", id="an array"),
        pytest.param("Limits(low=1)", "Limits(low=2)", id="a field of a dataclass"),
        pytest.param("text.split()", "text.split(',')", id="a method of a global object"),
        pytest.param("number[:1]", "number[:2]", id="a function in a table"),
        pytest.param('{"first": first, "rest": rest}', '{"first": rest, "rest": first}', id="swap"),
        pytest.param("    return number\n\ndef unrel", "    return 1\n\ndef unrel", id="named max"),
        pytest.param("return far(number)", "return far(far(number))", id="another module"),
        pytest.param("far(number):\n    return", "far(number):\n    return 1,", id="far"),
        pytest.param("named(number):\n    ", "named(number):\n    number\n    ", id="x.y"),
        pytest.param("dotted(number):\n    ", "dotted(number):\n    number\n    ", id="x.y.z"),
        pytest.param("late(number):\n    ", "late(number):\n    number\n    ", id="late import"),
        pytest.param("traced(times=1)", "traced(times=2)", id="what a decorator is told"),
        pytest.param("result = function(*args)", "result = function()", id="what a decorator does"),
        pytest.param("@plain\n", "", id="a decorator"),
        pytest.param("lambda number: number[:]", "lambda number: number[1:]", id="a lambda"),
        pytest.param("tidy, keep = lambda number: number", "tidy, keep = lambda x: x", id="two"),
        pytest.param('["x", "y"]', '["x", "y", "z"]', id="a class made by a call"),
        pytest.param(
            "print(__file__, __name__)\n    return number",
            "return number",
            id="the body of a node inside a case",
        ),
        pytest.param(
            "def item(number: pa.Array) -> pa.Array:\n    return number",
            "def item(number: pa.Array) -> pa.Array:\n    return number[:]",
            id="the body of a node inside an each",
        ),
        pytest.param("2: lambda number: rare(number)", "3: lambda number: rare(number)", id="case"),
        pytest.param("rare(number)}", "double(number)}", id="what a case wires"),
        pytest.param(", default=double", "", id="the default of a switch"),
        pytest.param('nulls="pass"', 'nulls="skip"', id="what becomes of nulls"),
        pytest.param("def rare(number: pa.Array)", "def rare(number: list)", id="a view"),
        pytest.param("default=5", "default=6", id="the default of a run parameter"),
        pytest.param("constant(1,", "constant(2,", id="a constant column"),
        pytest.param("    filter(is_good)\n", "", id="a filter"),
        pytest.param("Weigh(by=1", "Weigh(by=2", id="a constructor argument"),
        pytest.param("return 1\n\nclass Weigh", "return 2\n\nclass Weigh", id="a base class"),
        pytest.param('{"x": Weigh', '{"y": Weigh', id="the name of an output"),
        pytest.param('"is_good": pa.bool_()', '"is_good": pa.bool_(), "z": pa.int8()', id="input"),
    ],
)
def test_an_edit_of_what_a_node_computes_changes_the_version(versions, old, new):
    assert versions(old, new) != versions()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("local = x\n    return local", "y = x\n    return y", id="unrelated code"),
        pytest.param("def unread(number)", "def unread(n)", id="unrelated code elsewhere"),
        pytest.param('"""Doubles."""', '"""Doubles every number."""', id="a docstring"),
        pytest.param('    """Doubles."""\n', "", id="no docstring"),
        pytest.param("FACTOR = 2", "# a comment\n\nFACTOR = 2", id="comments and lines"),
        pytest.param("one * FACTOR", "(one*FACTOR)", id="formatting"),
        pytest.param("by=1, other=2", "other=2, by=1", id="the order of constructor arguments"),
        pytest.param('{"a": 1, "b": 2}', '{"b": 2, "a": 1}', id="the order of a dictionary"),
        pytest.param(
            "{1: double, 2: lambda number: rare(number)}",
            "{2: lambda number: rare(number), 1: double}",
            id="the order of cases",
        ),
        pytest.param(
            'inputs={"number": pa.int64()}, outputs={"doubled": pa.int64()}',
            'outputs={"doubled": pa.int64()}, inputs={"number": pa.int64()}',
            id="the order of a node's keywords",
        ),
        pytest.param(
            'outputs={"item": pa.int64()}',
            'outputs={"item": pa.int64()}, resources=Resources(cpus=4), '
            "behaviour=Behaviour(batch_rows=3, retries=2, timeout_s=9.0, isolate=True)",
            id="scale and bounds",
        ),
        pytest.param("2: lambda number: rare(number)", "2: rare", id="a lambda that only wires"),
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
