import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from graphs import Column, draw, graph
from graphs.cli import app, runs
from graphs.examples.routed import urgency
from graphs.spec import Counts
from graphs.storage.objects import Store
from graphs.storage.parquet import encode_table
from tests.library import toy

TOY = "tests.library.toy:toy"
ROUTED = "graphs.examples.routed:urgency"
TICKETS = [
    {"ticket_id": "a", "text": "It is slow. Look today.", "language": "en", "agent": "x"},
    {"ticket_id": "b", "text": "Alles kaputt.", "language": "de", "agent": "y"},
    {"ticket_id": "c", "text": None, "language": "en", "agent": "z"},
]


def graphs(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def tickets(tmp_path):
    file = tmp_path / "tickets.json"
    file.write_text(json.dumps(TICKETS))
    return file


def test_every_command_speaks_json_and_says_what_exit_codes_mean():
    commands = [command.callback.__name__ for command in app.registered_commands][:-1]

    assert commands == ["check", "show", "plan", "draw", "run", "diff"]
    assert all("--json" in graphs(command, "--help").stdout for command in commands)
    on_runs = [command.callback.__name__ for command in runs.app.registered_commands]
    assert on_runs == ["ls", "show", "resume", "replay", "gc"]
    assert all("--json" in graphs("runs", command, "--help").stdout for command in on_runs)
    assert "Exit codes: 0 done; 1 a typed error" in graphs("--help").stdout


def test_asking_for_help_loads_no_ray():
    code = (
        "import sys; from typer.testing import CliRunner; from graphs.cli import app;"
        "print(CliRunner().invoke(app, ['runs', '--help']).exit_code, *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)

    assert done.stdout.split()[0] == "0"
    assert not {"ray", "torch", "pandas", "duckdb"} & set(done.stdout.split())


# --- check -------------------------------------------------------------------------------------


def test_check_prints_the_version():
    result = graphs("check", TOY)

    assert result.exit_code == 0
    assert len(result.stdout.strip()) == 16


def test_check_tells_what_keeps_a_graph_from_other_targets():
    told = json.loads(graphs("check", TOY, "--json").stdout)

    assert told["graph"] == "toy"
    assert told["problems"] == {"inline": [], "offline": [], "online": []}


@graph(key="id", inputs={"id": pa.string(), "at": pa.timestamp("ns")})
def nanoseconds(at: Column) -> dict[str, Column]:
    """Fine offline; JSON times end at microseconds."""
    return {"at": at}


def test_a_graph_may_be_fit_for_one_target_only():
    ref = f"{__name__}:nanoseconds"

    fit, unfit = graphs("check", ref), graphs("check", ref, "--target", "online")

    assert (fit.exit_code, unfit.exit_code) == (0, 1)
    assert "not online: input 'at' is timestamp[ns]" in fit.stderr
    assert unfit.stderr.startswith("CheckFailed: graph ")


def test_a_typed_error_goes_to_stderr_and_exits_1():
    result = graphs("check", "tests.library.toy:nothing")

    assert result.exit_code == 1
    assert result.stderr.startswith("GraphNotFound: graph reference")
    assert "Traceback" not in result.output


def test_a_typed_error_is_json_where_json_was_asked_for():
    result = graphs("check", "tests.library.toy:nothing", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stderr)["error"] == "GraphNotFound"


def test_wrong_usage_exits_2():
    assert graphs("check").exit_code == 2
    assert graphs("draw", TOY, "--format", "png").exit_code == 2


# --- show --------------------------------------------------------------------------------------


def test_show_names_types_resources_behaviour_and_source_lines():
    told = json.loads(graphs("show", "tests.library.toy:accelerated", "--json").stdout)

    nodes = {node["name"]: node for node in told["nodes"]}
    assert [port["type"] for port in told["inputs"]] == ["string", "int64"]
    assert nodes["Accelerated"]["resources"]["gpus"] == 1
    assert nodes["Accelerated"]["behaviour"]["nulls"] == "pass"
    assert nodes["Accelerated"]["source"].startswith("toy.py:")


def test_show_is_a_table_for_people_with_nodes_inside_nodes():
    shown = graphs("show", ROUTED).stdout

    assert "key ticket_id" in shown
    assert "switch/false/split" in shown
    assert "points: int64" in shown


# --- plan --------------------------------------------------------------------------------------


def test_plan_shows_stages_with_the_columns_that_cross():
    result = graphs("plan", "tests.library.toy:accelerated", "--target", "offline", "--json")

    stages = json.loads(result.stdout)["targets"]["offline"]["stages"]
    assert [stage["nodes"] for stage in stages] == [
        ["input", "double"],
        ["Accelerated"],
        ["double_2"],
    ]
    assert "double.doubled" in stages[1]["columns_in"]
    assert stages[1]["resources"]["gpus"] == 1


def test_plan_shows_what_a_profile_does(tmp_path):
    profile = tmp_path / "scale.yaml"
    profile.write_text("offline: {workers_max: 9}\nonline: {nodes: {Shift: {replicas: 3}}}")

    shown = graphs("plan", TOY, "--profile", profile)
    told = json.loads(graphs("plan", TOY, "--profile", profile, "--json").stdout)["targets"]

    assert "1–9 actors, 1 CPU" in shown.stdout
    assert "workers of a stage, at most" in shown.stdout
    assert told["offline"]["profile"]["workers_max"] == 9
    assert [d["replicas"] for d in told["online"]["deployments"]] == [1, 3]


def test_plan_for_this_process_is_the_nodes_in_order():
    assert "input → double → root → Shift" in graphs("plan", TOY, "--target", "inline").stdout


def test_a_wrong_profile_is_a_typed_error():
    result = graphs("plan", TOY, "--profile", "nowhere.yaml")

    assert result.exit_code == 1
    assert result.stderr.startswith("ProfileError: profile 'nowhere.yaml'")


# --- draw --------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["mermaid", "dot", "svg"])
@pytest.mark.parametrize("target", ["graph", "offline", "online"])
def test_draw_prints_a_picture(format, target):
    printed = graphs("draw", ROUTED, "--format", format, "--target", target).stdout

    picture = draw(urgency, target=None if target == "graph" else target)
    assert printed == f"{getattr(picture, format)}\n"


def test_draw_writes_a_file(tmp_path):
    file = tmp_path / "toy.svg"

    result = graphs("draw", TOY, "--format", "svg", "-o", file, "--json")

    assert json.loads(result.stdout)["output"] == str(file)
    assert file.read_text() == f"{draw(toy.toy).svg}\n"


def test_draw_shows_the_counts_of_a_record(tmp_path):
    record = tmp_path / "manifest.json"
    counts = Counts(rows_in=5, rows_out=4, rejected={"root": 1})
    record.write_text(json.dumps({"counts": counts.model_dump()}))

    assert "5 → 4 rows<br/>1 rejected" in graphs("draw", TOY, "--counts", record).stdout


# --- run ---------------------------------------------------------------------------------------


def test_run_prints_rows_the_rejected_ones_and_a_summary(tickets):
    result = graphs("run", ROUTED, "--input", tickets)

    assert result.exit_code == 0
    assert "Look today" in result.stdout
    assert "object of type 'NoneType' has no len()" in result.stdout
    assert "3 rows in, 1 out, 1 rejected, 1 filtered" in result.stdout


def test_run_gives_all_of_it_as_json(tickets):
    told = json.loads(graphs("run", ROUTED, "--input", tickets, "--json").stdout)

    assert told["rows"] == [
        {"ticket_id": "a", "urgency": 1, "sentences": ["It is slow", "Look today"]}
    ]
    assert [(row["key"], row["node"]) for row in told["rejected"]] == [("c", "is_long")]
    assert told["counts"]["filtered"] == {"filter": 1}


def test_run_takes_parameters_of_the_type_that_the_graph_declares(tickets):
    result = graphs("run", ROUTED, "--input", tickets, "--parameter", "longest=many")

    assert result.exit_code == 1
    assert "run parameters: 'longest' is 'many', not int64" in result.stderr


@pytest.mark.parametrize("suffix", ["parquet", "json", "jsonl"])
def test_run_reads_what_it_wrote(tmp_path, suffix):
    first, second = tmp_path / f"first.{suffix}", tmp_path / f"second.{suffix}"
    start = tmp_path / "start.parquet"
    pq.write_table(pa.table({"id": ["a", "b"], "number": [1, 2], "more": [0, 0]}), start)

    accelerated = "tests.library.toy:accelerated"
    graphs("run", accelerated, "--input", start, "--output", first)
    graphs("run", accelerated, "--input", first, "--output", second)
    told = json.loads(graphs("run", accelerated, "--input", second, "--json").stdout)

    assert told["rows"] == [
        {"id": "a", "final": 12, "number": 1},
        {"id": "b", "final": 24, "number": 2},
    ]


def test_run_reads_a_partition_of_a_folder(tmp_path):
    for day, rows in (("1", ["a"]), ("2", ["b", "c"])):
        (tmp_path / f"day={day}").mkdir()
        table = pa.table({"id": rows, "number": [4] * len(rows)})
        pq.write_table(table, tmp_path / f"day={day}" / "0.parquet")

    partition = ("--partition-by", "day", "--partition", "2")
    told = json.loads(graphs("run", TOY, "--input", tmp_path, *partition, "--json").stdout)

    assert [row["id"] for row in told["rows"]] == ["b", "c"]


@pytest.mark.parametrize("name", ["0.parquet", "0.csv", "0.jsonl"])
def test_run_reads_what_a_glob_matches_in_any_format(tmp_path, name):
    rows = pa.table({"id": ["a", "b"], "number": [1, 2]})
    place = tmp_path / name
    if name.endswith("csv"):
        csv.write_csv(rows, place)
    elif name.endswith("jsonl"):
        place.write_text("".join(json.dumps(row) + "\n" for row in rows.to_pylist()))
    else:
        pq.write_table(rows, place)

    told = json.loads(graphs("run", TOY, "--input", tmp_path / "0.*", "--json").stdout)

    assert [row["id"] for row in told["rows"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ('[{"ticket_id": 1, "text": "", "language": "en"}]', "row 0.ticket_id: Input should be"),
        ('[{"ticket_id": "a"}]', "row 0.text: Field required"),
        ("[1]", "does not hold rows as JSON objects"),
        ("{", "does not hold rows as JSON objects"),
    ],
)
def test_rows_that_do_not_fit_are_told_by_number_and_field(tmp_path, written, told):
    file = tmp_path / "rows.json"
    file.write_text(written)

    result = graphs("run", ROUTED, "--input", file)

    assert result.exit_code == 1
    assert result.stderr.startswith(f"InputError: {file}: ")
    assert told in result.stderr


def test_an_input_that_is_not_there_is_a_typed_error():
    result = graphs("run", TOY, "--input", "nowhere.parquet")

    assert result.stderr == "InputNotFound: nowhere.parquet: there is no such file\n"


@pytest.mark.parametrize(
    "wrong",
    [
        ("--output", "rows.csv"),
        ("--on", "ray"),
        ("--partition-by", "day"),
        ("--parameter", "longest"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(tickets, wrong):
    assert graphs("run", ROUTED, "--input", tickets, *wrong).exit_code == 2


@pytest.mark.server
def test_run_reads_and_writes_s3(lake):
    rows = pa.table({"id": ["a"], "number": [3]})
    Store.open(lake).put("in/0.parquet", encode_table(rows))

    folder, file = f"{lake}/in", f"{lake}/out.json"
    graphs("run", "tests.library.toy:accelerated", "--input", folder, "--output", file)
    result = graphs("run", "tests.library.toy:accelerated", "--input", file, "--json")

    assert json.loads(Store.open(lake).read("out.json")) == [{"id": "a", "final": 36, "number": 3}]
    assert result.exit_code == 0


@pytest.fixture
def ray_here(monkeypatch):
    """A Ray cluster of two CPUs that this process has joined."""
    import ray

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=200 * 2**20)
    yield
    ray.shutdown()


@pytest.mark.server
def test_run_on_ray_commits_what_run_inline_prints(tmp_path, tickets, ray_here):
    (tmp_path / "in").mkdir()
    rows = [{k: v for k, v in row.items() if k != "agent"} for row in TICKETS]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in" / "0.parquet")

    run = ("run", ROUTED, "--input", tmp_path / "in", "--json")
    inline = json.loads(graphs(*run).stdout)
    on_ray = (*run, "--on", "ray", "--output", tmp_path / "out", "--parameter", "longest=80")
    first, again = (json.loads(graphs(*on_ray).stdout) for _ in range(2))

    assert first["counts"] == inline["counts"]
    assert first["version"] == inline["version"]
    assert (first["was_committed"], again["was_committed"]) == (False, True)
    (file,) = (tmp_path / "out" / "snapshots").rglob("*.parquet")
    assert pq.read_table(file).to_pylist() == inline["rows"]
    drawn = graphs("draw", ROUTED, "--target", "offline", "--counts", first["manifest"]).stdout
    assert "3 → 2 rows<br/>1 filtered" in drawn


# --- diff --------------------------------------------------------------------------------------

SOURCE = """
import pyarrow as pa
from graphs import Column, Model, graph, node

FACTOR = 2

def scaled(number):
    return [one * FACTOR for one in number]

@node(inputs={"number": pa.int64()}, outputs={"doubled": pa.int64()})
def double(number: list) -> list:
    return scaled(number)

class Weigh(Model, inputs={"number": pa.int64()}, outputs={"weighed": pa.int64()},
            artifacts={"weights": "ARTIFACT"}):
    def __init__(self, by: int = 1) -> None:
        self.by = by
    def predict(self, number: list) -> list:
        return number

@graph(key="id", inputs={"id": pa.string(), "number": pa.int64()})
def g(number: Column) -> dict:
    return {"x": Weigh(by=1)(double(number))}
"""


@pytest.fixture
def differences(tmp_path, monkeypatch):
    """A function from an edit of the source to what ``diff`` says of it, and its exit code."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "weights.bin").write_bytes(b"1")
    (tmp_path / "other.bin").write_bytes(b"2")
    source = SOURCE.replace("ARTIFACT", str(tmp_path / "weights.bin"))

    def of(old: str, new: str) -> tuple[set[tuple[str, str, str]], int]:
        assert old in source
        name = f"edited_{abs(hash((old, new)))}"
        (tmp_path / f"{name}_a.py").write_text(source)
        (tmp_path / f"{name}_b.py").write_text(source.replace(old, new))
        result = graphs("diff", f"{name}_a:g", f"{name}_b:g", "--json")
        found = json.loads(result.stdout)["changes"]
        return {
            (c["part"], c["where"], c["what"]) for c in found if c["what"] != "ref"
        }, result.exit_code

    return of


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        ("one * FACTOR for", "one + FACTOR for", ("code", "node 'double'", "scaled changed")),
        ("FACTOR = 2", "FACTOR = 3", ("code", "node 'double'", "FACTOR changed")),
        ("return number\n\n@graph", "return number[:]\n\n@graph",
         ("code", "node 'Weigh'", "Weigh changed")),
        ("Weigh(by=1)", "Weigh(by=2)", ("structure", "node 'Weigh'", "parameters")),
    ],
)  # fmt: skip
def test_diff_says_which_code_of_which_node_changed(differences, old, new, change):
    assert differences(old, new) == ({change}, 3)


def test_diff_says_what_changed_in_the_structure(differences):
    found, _ = differences("Weigh(by=1)(double(number))", "Weigh(by=1)(number)")

    assert found == {
        ("structure", "node 'double'", "removed"),
        ("structure", "edge input.number → double.number", "removed"),
        ("structure", "edge double.doubled → Weigh.number", "removed"),
        ("structure", "edge input.number → Weigh.number", "added"),
    }


def test_diff_says_which_artifact_changed(differences):
    found, _ = differences("weights.bin", "other.bin")

    assert ("artifacts", "node 'Weigh'", "weights changed") in found


def test_diff_of_equal_graphs_exits_0(tmp_path):
    kept = tmp_path / "toy.json"
    kept.write_text(graphs("show", TOY, "--json").stdout)

    result = graphs("diff", kept, TOY)

    assert result.exit_code == 0
    assert result.stdout.startswith("no change, version ")


def test_diff_reads_for_people(tmp_path):
    result = graphs("diff", "graphs.examples.routed:gist", ROUTED)

    assert result.exit_code == 3
    assert result.stdout.startswith("version ")
    assert "node 'ends'" in result.stdout


def test_a_file_that_holds_no_facts_is_a_typed_error(tmp_path):
    (tmp_path / "odd.json").write_text("[]")

    result = graphs("diff", tmp_path / "odd.json", TOY)

    assert result.exit_code == 1
    assert result.stderr.startswith("GraphNotFound: file ")
