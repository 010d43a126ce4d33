import pickle
import subprocess
import sys

import pytest

import graphs
from graphs import errors, spec


def test_the_public_api_is_small_and_documented():
    assert len(graphs.__all__) <= 15
    assert graphs.__all__ == sorted(graphs.__all__)
    assert all(getattr(graphs, name).__doc__ for name in graphs.__all__)


def test_importing_graphs_loads_no_heavy_library():
    code = "import graphs, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    ).stdout.split()

    assert not {"ray", "torch", "vllm", "pandas", "airflow", "sentence_transformers"} & set(loaded)


@pytest.mark.parametrize(
    "kind",
    [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.GraphsError)],
)
def test_every_error_survives_pickling(kind):
    error = (
        kind("graph", ["one", "two"])
        if kind is errors.CheckFailed
        else kind("broke", "node 'x'", "Mend it")
    )

    again = pickle.loads(pickle.dumps(error))

    assert type(again) is kind
    assert str(again) == str(error)


def test_every_field_of_a_record_that_needs_words_has_them():
    bare = [
        f"{kind.__name__}.{name}"
        for kind in vars(spec).values()
        if isinstance(kind, type) and issubclass(kind, spec.Record)
        for name, field in kind.model_fields.items()
        if field.annotation is float and not field.description
    ]

    assert bare == []


@pytest.mark.parametrize("key", ["", "a/b", "../x", "a b", ".hidden"])
def test_a_partition_key_that_is_no_path_segment_is_refused(key):
    with pytest.raises(ValueError, match="is not a plain path segment"):
        spec.RunSpec(graph="a:b", input={"uri": "x"}, output="y", partition_key=key)


def test_records_refuse_unknown_keys():
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        spec.Input.model_validate({"uri": "x", "partition": "y"})
