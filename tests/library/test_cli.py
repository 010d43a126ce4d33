import json

from typer.testing import CliRunner

from graphs.cli import app
from graphs.pictures import mermaid
from tests.library import toy

TOY = "tests.library.toy:toy"


def test_check_prints_the_version():
    result = CliRunner().invoke(app, ["check", TOY])

    assert result.exit_code == 0
    assert len(result.stdout.strip()) == 16


def test_a_typed_error_goes_to_stderr_and_exits_1():
    result = CliRunner().invoke(app, ["check", "tests.library.toy:nothing"])

    assert result.exit_code == 1
    assert result.stderr.startswith("GraphNotFound: graph reference")
    assert "Traceback" not in result.output


def test_plan_shows_stages_and_deployments_as_json():
    result = CliRunner().invoke(app, ["plan", "tests.library.toy:accelerated", "--json"])

    parts = json.loads(result.stdout)["parts"]
    assert [(p["target"], p["nodes"]) for p in parts] == [
        ("offline", ["double"]),
        ("offline", ["Accelerated"]),
        ("offline", ["double_2"]),
        ("online", ["double", "Accelerated", "double_2"]),
    ]


def test_a_graph_is_drawn_with_its_columns_on_the_edges():
    assert mermaid(toy.described.graph).splitlines() == [
        "flowchart LR",
        "  in([input])",
        "  out([output])",
        "  describe[describe]",
        '  in -- "number: int64" --> describe',
        '  describe -- "vector: fixed_size_list<float>[2]" --> out',
        '  describe -- "sign: string" --> out',
    ]
