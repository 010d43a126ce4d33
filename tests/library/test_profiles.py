import pytest

from graphs.compiler import compile
from graphs.errors import ProfileError
from graphs.profiles import PRESETS, NodeScale, OfflineProfile, Profiles, load
from tests.library import toy


@pytest.fixture
def written(tmp_path):
    """A function from text to the path of a profile that holds it."""

    def of(text: str) -> str:
        file = tmp_path / "scale.yaml"
        file.write_text(text)
        return str(file)

    return of


def test_a_file_holds_a_section_per_target_and_the_rest_is_default(written):
    profiles = load(written("offline: {workers_max: 8}\nonline:\n  nodes: {Shift: {replicas: 3}}"))

    assert profiles.offline == OfflineProfile(workers_max=8)
    assert profiles.online.nodes == {"Shift": NodeScale(replicas=3)}
    assert profiles.inline == Profiles().inline


def test_a_file_changes_some_keys_of_a_preset(written):
    offline = load(written("preset: cluster\noffline: {batch_rows: 10}")).offline

    assert offline == OfflineProfile(workers_max=64, batch_rows=10)


def test_an_empty_file_is_the_defaults(written):
    assert load(written("")) == Profiles()


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_compiles_for_every_target_at_the_same_version(name):
    profiles = load(name)

    versions = {
        compile(toy.toy.graph, "inline", profiles.inline).version,
        compile(toy.toy.graph, "offline", profiles.offline).version,
        compile(toy.toy.graph, "online", profiles.online).version,
    }

    assert versions == {compile(toy.toy.graph, "inline").version}


def test_json_is_a_profile_too(written):
    assert load(written('{"offline": {"shard_rows": 5}}')).offline.shard_rows == 5


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "offline: {worker_max: 8}",
            "offline.worker_max: Extra inputs are not permitted. Known keys of 'offline' are "
            "workers_min, workers_max, shard_rows, shard_bytes, batch_rows, nodes, stall_s, prices",
        ),
        (
            "nearline: {}",
            "nearline: Extra inputs are not permitted. Known keys are inline, offline, online",
        ),
        (
            "online: {nodes: {Shift: {replica: 2, replicas: 1}}}",
            "online.nodes.Shift.replica: Extra inputs are not permitted. "
            "Known keys of 'online.nodes.Shift' are replicas",
        ),
        (
            "online: {replicas: 0}\ninline: {batch_rows: many}",
            "inline.batch_rows: Input should be a valid integer, unable to parse string as an "
            "integer; online.replicas: Input should be greater than or equal to 1",
        ),
        ("preset: huge", "preset 'huge' is unknown. Name one of laptop, cluster, nearline"),
        ("- 1", "holds a list, not sections. Its keys are preset, inline, offline, online"),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_key(written, text, told):
    file = written(text)

    with pytest.raises(ProfileError) as caught:
        load(file)

    assert str(caught.value) == f"profile {file!r}: {told}"


def test_text_that_is_no_yaml_is_refused(written):
    with pytest.raises(ProfileError, match="is not YAML"):
        load(written("a: [1"))


def test_a_file_that_is_not_there_is_refused_with_the_presets():
    with pytest.raises(ProfileError) as caught:
        load("nowhere.yaml")

    assert str(caught.value) == (
        "profile 'nowhere.yaml': cannot be read: No such file or directory. "
        "Give a YAML file, or one of laptop, cluster, nearline"
    )
