"""One wrong graph, or a few, for each check; what its author reads is asserted in full."""

import pickle
from pathlib import Path

import pytest

from graphs.authoring import GraphFunction
from graphs.checks import CHECKS, TARGET_CHECKS, check
from graphs.errors import CheckFailed
from tests.library import toy, wrong

LINES = Path(wrong.__file__).read_text().splitlines()


def at(comment):
    """File and line of the call that a comment in ``wrong.py`` names."""
    (number,) = (n for n, line in enumerate(LINES, 1) if line.endswith(f"  # {comment}"))
    return f"wrong.py:{number}"


PLAIN = "is not a plain name; use letters, digits, spaces, _ and -, and begin with a letter or _"

WRONG = [
    (
        "key_is_an_input",
        wrong.key_is_no_input,
        ["key 'name' is not an input; choose one of ['id', 'number']"],
    ),
    (
        "key_is_a_scalar",
        wrong.key_is_a_list,
        [
            "key 'id' is list<string>, which cannot name a row; use a string, an integer, binary, "
            "a date or a timestamp"
        ],
    ),
    (
        "key_goes_out_unchanged",
        wrong.key_is_changed,
        [
            "output 'number' is the key's, which names a row, but `double.doubled` is wired to it; "
            "leave it out (the key comes first by itself) or rename it"
        ],
    ),
    (
        "names_are_plain",
        wrong.odd_names,
        [
            f"output 'a/b' {PLAIN}",
            f"node 'the.limit' ({at('limit')}) has no plain name; use letters, digits, spaces, _ "
            "and -, and begin with a letter or _",
        ],
    ),
    (
        "column_names_are_unique",
        wrong.two_columns_of_one_name,
        ["2 inputs are named 'number'; rename all but one"],
    ),
    (
        "node_names_are_unique",
        wrong.two_nodes_of_one_name,
        [
            f"2 nodes are named 'double' ({at('two outputs')}, {at('two outputs')}); "
            "rename all but one"
        ],
    ),
    (
        "edges_have_ends",
        wrong.an_edge_from_nowhere,
        [
            "`z` reads `nowhere.x`, but there is no such output of 'nowhere'; wire one that exists",
            "`nowhere.x` feeds `z`, but there is no such output of the graph; drop the edge",
            "`double.number` reads `colour`, but there is no such input of the graph; wire one "
            "that exists",
        ],
    ),
    (
        "inputs_are_fed_once",
        wrong.an_input_that_nobody_feeds,
        [f"node 'root' ({at('two outputs')}): input `number: int64` is not fed; pass it a column"],
    ),
    (
        "inputs_are_fed_once",
        wrong.an_input_that_two_feed,
        [f"node 'root' ({at('two outputs')}): input 'number' is fed by 2 columns; pass it one"],
    ),
    (
        "inputs_are_used",
        wrong.an_input_that_nobody_reads,
        ["input `colour: string` is required but nothing reads it; drop the parameter"],
    ),
    (
        "graph_is_acyclic",
        wrong.a_circle,
        [
            f"nodes feed each other in a circle: node 'double' ({at('two outputs')}) → node 'root' "
            f"({at('two outputs')}) → node 'double' ({at('two outputs')}); let one of them read "
            "something else"
        ],
    ),
    (
        "types_match",
        wrong.another_size,
        [
            f"node 'classify' ({at('classify')}) expects `vector: fixed_size_list<float>[384]`, "
            f"node 'MiniLM' ({at('MiniLM')}) gives `vector: fixed_size_list<float>[768]`; "
            "convert it in a node between them, or declare one type"
        ],
    ),
    (
        "types_match",
        wrong.another_type_of_input,
        [
            f"node 'double' ({at('double of text')}) expects `number: int64`, the graph's input "
            "(wrong.py:HERE) gives `text: string`; "
            "convert it in a node between them, or declare one type"
        ],
    ),
    (
        "types_match",
        wrong.a_filter_by_a_number,
        [
            f"node 'filter' ({at('filter')}) expects `by: bool`, the graph's input (wrong.py:HERE) "
            "gives `number: int64`; convert it in a node between them, or declare one type"
        ],
    ),
    (
        "outputs_are_typed",
        wrong.an_output_without_a_type,
        ["output 'y' has no type; declare it where the column is made"],
    ),
    (
        "defaults_fit",
        wrong.a_default_that_does_not_fit,
        ["input 'weight': its default 300 is no int8; change the default or the type"],
    ),
    (
        "constants_fit",
        wrong.a_constant_that_does_not_fit,
        [
            f"node 'constant' ({at('half')}): its value 0.5 is no int64; "
            "change the value or the type",
            f"node 'limit' ({at('low')}): its default 'low' is no double; "
            "change the default or the type",
        ],
    ),
    (
        "parameters_agree",
        wrong.one_parameter_declared_twice,
        [
            f"run parameter 'limit' is int64 with default 1 at {at('limit 1')}, and int64 with "
            f"default 2 at {at('limit 2')}; declare it alike, or name it otherwise"
        ],
    ),
    (
        "cases_fit_the_column",
        wrong.a_case_that_cannot_be,
        [
            f"node 'switch' ({at('switch')}): case 'two' can never be, since it switches by "
            "`int64`; drop the case, or switch by another column",
            f"node 'switch' ({at('switch')}): case 2.5 can never be, since it switches by "
            "`int64`; drop the case, or switch by another column",
        ],
    ),
    (
        "cases_agree",
        wrong.cases_of_other_types,
        [
            f"node 'switch' ({at('cases')}): case 1 gives `value: int64`, case default gives "
            "`double`; make them alike"
        ],
    ),
    (
        "types_match",
        wrong.a_problem_inside_a_case,
        [
            f"in 'switch', case 1: node 'size' ({at('size')}) expects `text: string`, "
            "the graph's input (wrong.py:INNER) gives `number: int64`; convert it in a node "
            "between them, or declare one type"
        ],
    ),
    (
        "code_is_importable",
        wrong.a_lambda,
        [
            f"node '<lambda>' ({at('shout')}): a lambda has no name by which another process could "
            "import it; write a function at the top of module 'tests.library.wrong'"
        ],
    ),
    (
        "code_is_importable",
        wrong.code_inside_a_function,
        [
            f"node 'scale' ({at('scale')}): 'times.<locals>.scale' lives inside a function, so no "
            "other process can import it; define it at the top of module 'tests.library.wrong'"
        ],
    ),
    (
        "code_is_importable",
        wrong.code_that_is_not_installed,
        [
            f"node 'double' ({at('two outputs')}): module 'no_such_package.nodes' does not import: "
            "No module named 'no_such_package'; install it, or put its folder on the path"
        ],
    ),
    (
        "code_is_a_node",
        wrong.a_name_taken_by_something_else,
        [
            f"node 'plus' ({at('plus')}): 'tests.library.wrong:plus' names a function, not this "
            "node; give nodes names of their own at the top of their module"
        ],
    ),
    (
        "code_has_no_closure",
        wrong.a_closure,
        [
            f"node 'tripled' ({at('tripled')}): it reads ['factor'] of the function around it, "
            "which a version cannot see; make these module constants, inputs, or constructor "
            "arguments of a Model"
        ],
    ),
    (
        "artifacts_exist",
        wrong.artifacts_that_are_not_there,
        [
            f"node 'Weights' ({at('Weights')}): artifact 'weights', "
            "'package:no_such_package/weights': package 'no_such_package' is not installed. "
            "Install it wherever the graph is compiled or run",
            f"node 'Weights' ({at('Weights')}): artifact 'words', '/no/such/words.txt': nothing is "
            "there. Put it there, or declare where it is",
        ],
    ),
    (
        "constructor_takes_the_parameters",
        wrong.constructor_arguments_of_another_time,
        [
            "node 'Shift' (toy.py:SHIFT): constructor arguments {'by': 3, 'colour': 'red'} do not "
            "fit: got an unexpected keyword argument 'colour'; change them, or __init__ of "
            "'tests.library.toy:Shift'"
        ],
    ),
    (
        "resources_are_possible",
        wrong.impossible_resources,
        [
            f"node 'needy' ({at('needy')}): cpus=-1; it must be 0 or more",
            f"node 'needy' ({at('needy')}): memory_bytes=-5; it must be 0 or more",
            f"node 'needy' ({at('needy')}): gpus=1.5; Ray shares one or gives whole ones, so write "
            "a number up to 1, or a whole one",
            f"node 'accelerated' ({at('accelerated')}): accelerator='H100' without gpus; "
            "say how many",
        ],
    ),
    (
        "bounds_are_possible",
        wrong.impossible_bounds,
        [
            f"node 'bounded' ({at('bounded')}): batch_rows=0; it must be above 0, or None for no "
            "bound",
            f"node 'bounded' ({at('bounded')}): timeout_s=-1.0; it must be above 0, or None for no "
            "bound",
            f"node 'bounded' ({at('bounded')}): retries=-1; it must be 0 or more",
            f"node 'bounded' ({at('bounded')}): nulls='drop' is unknown; write one of pass, skip, "
            "reject",
            f"node 'retried' ({at('retried')}): retry_on without retries; say how many",
            f"node 'retried' ({at('retried')}): retry_on=[<class 'OSError'>]; write the "
            "exceptions' names, as text",
        ],
    ),
    (
        "tolerances_name_float_outputs",
        wrong.a_tolerance_for_text,
        [
            f"node 'judge' ({at('judge')}): tolerance for 'label', which is no float output; "
            "choose one of ['score']",
            f"node 'judge' ({at('judge')}): tolerance -0.1 for 'score'; it must be 0 or more",
        ],
    ),
]

WRONG_FOR_A_TARGET = [
    (
        "offline",
        "types_fit_parquet",
        wrong.an_output_without_a_parquet_form,
        [
            "output 'span' is month_day_nano_interval, which parquet cannot hold; "
            "convert it in a node"
        ],
    ),
    (
        "offline",
        "code_is_not_in_main",
        wrong.code_in_the_script,
        [
            f"node 'in_the_script' ({at('script')}): it is defined in the script that runs, which "
            "a cluster cannot import; move it to a module"
        ],
    ),
    (
        "online",
        "types_fit_json",
        wrong.a_column_without_a_json_form,
        [
            "input 'at' is timestamp[ns], which has no JSON form; convert it in a node",
            "output 'times' is timestamp[ns], which has no JSON form; convert it in a node",
        ],
    ),
    (
        "online",
        "names_are_not_reserved",
        wrong.a_reserved_name,
        [
            "output 'error' is how a rejected row is told; rename it",
            "output 'filtered' is how a filtered row is told; rename it",
        ],
    ),
]


def traced(author):
    return author.graph if isinstance(author, GraphFunction) else author()


def read(graph, problems):
    """The text of the error, as an author reads it."""
    name = graph.ref
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    lines = [f"  {i}. {text}" for i, text in enumerate(problems, 1)]
    text = "\n".join([f"graph {name!r} ({graph.source}) has {count}:", *lines])
    inner = next((body.source for n in graph.nodes for _, body in n.bodies), None)
    shift = next((n.source for n in graph.nodes if n.name == "Shift"), None)
    text = text.replace("wrong.py:HERE", str(graph.source)).replace("wrong.py:INNER", str(inner))
    return text.replace("toy.py:SHIFT", str(shift))


@pytest.mark.parametrize(
    ("rule", "author", "problems"), WRONG, ids=[f"{case[0]}-{case[1].__name__}" for case in WRONG]
)
def test_a_wrong_graph_is_told_by_node_port_and_line_with_the_fix(rule, author, problems):
    graph = traced(author)

    with pytest.raises(CheckFailed) as caught:
        check(graph)

    assert str(caught.value) == read(graph, problems)


@pytest.mark.parametrize(
    ("target", "rule", "author", "problems"),
    WRONG_FOR_A_TARGET,
    ids=[case[1] for case in WRONG_FOR_A_TARGET],
)
def test_what_a_target_cannot_do_is_refused_for_that_target(
    target, rule, author, problems, monkeypatch
):
    monkeypatch.setattr("__main__.in_the_script", wrong.script_node, raising=False)
    graph = traced(author)

    with pytest.raises(CheckFailed) as caught:
        check(graph, target)

    assert str(caught.value) == read(graph, problems)


def test_every_check_has_a_wrong_graph():
    told = {case[0] for case in WRONG}
    told_for_targets = {case[1] for case in WRONG_FOR_A_TARGET}

    assert {rule.__name__ for rule in CHECKS} == told
    assert {rule.__name__ for rules in TARGET_CHECKS.values() for rule in rules} == told_for_targets


@pytest.mark.parametrize("target", TARGET_CHECKS)
def test_a_good_graph_passes(target):
    check(toy.toy.graph, target)


def test_a_wrong_graph_that_is_used_twice_is_told_once():
    with pytest.raises(CheckFailed) as caught:
        check(wrong.a_wrong_graph_used_twice.graph)

    assert [problem.split(":")[0] for problem in caught.value.problems] == ["in 'another_size'"]


def test_all_problems_come_at_once_and_survive_pickling():
    with pytest.raises(CheckFailed) as caught:
        check(wrong.impossible_bounds.graph)

    again = pickle.loads(pickle.dumps(caught.value))

    assert len(again.problems) == 6
    assert str(again) == str(caught.value)
