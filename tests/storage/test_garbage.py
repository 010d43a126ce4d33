from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from graphs.errors import RunFailed
from graphs.spec import Alias, Release, Replay
from graphs.storage.aliases import Registry
from graphs.storage.garbage import Findings, find_garbage, refuse_if_removed, remove
from graphs.storage.removal import MARK_COUNTS_FOR, mark_path
from graphs.storage.snapshots import Dataset, data_path, rejected_path
from tests.storage.worlds import begin, commit, do_shard, put_file, refused_rows, rows_of, say

WEEK = timedelta(days=7)
LATER = datetime.now(UTC) + timedelta(days=8)
"""A week from now nothing that a test writes is young any more."""


@pytest.fixture
def dataset(root: str) -> Dataset:
    return Dataset(f"{root}/out")


def old(dataset: Dataset, **options: object) -> Findings:
    """What can go when all that is there now is eight days old."""
    return find_garbage(dataset, WEEK, now=LATER, **options)  # type: ignore[arg-type]


def keys(findings: Findings) -> list[str]:
    return [found.run_key for found in findings.garbage]


def paths(dataset: Dataset) -> set[str]:
    return {info.path for info in dataset.store.list()}


def a_snapshot(dataset: Dataset, key: str, **options: object) -> None:
    begin(dataset, key, version=str(options.get("version", "v1")))
    rejected = refused_rows("z")
    done = do_shard(dataset, key, "0", rows_of("a", "b", run=key), rejected=rejected)
    commit(dataset, key, [done], **options)  # type: ignore[arg-type]


def test_a_dataset_without_runs_has_no_garbage(dataset):
    assert find_garbage(dataset, WEEK) == Findings((), {})


def test_looking_changes_nothing_and_removing_leaves_what_the_manifest_names(dataset):
    a_snapshot(dataset, "aaaa")
    a_snapshot(dataset, "bbbb")
    before = paths(dataset)

    found = old(dataset)
    assert paths(dataset) == before
    removed = remove(dataset, found)

    assert keys(found) == keys(removed) == ["aaaa"]
    assert found.kept == {"its snapshot stands": 1}
    assert paths(dataset) == {path for path in before if "aaaa" not in path}
    manifest, _ = dataset.read_manifest("2026-01-01")
    assert dataset.read_snapshot(manifest).column("run").to_pylist() == ["bbbb", "bbbb"]
    assert dataset.read_rejected(manifest).num_rows == 1


def test_a_run_that_died_before_its_commit_goes_with_all_it_left(dataset):
    begin(dataset, "dead")
    do_shard(dataset, "dead", "0", rows_of("a"), rejected=refused_rows("z"))
    dataset.store.put("runs/dead/plan.json", b'{"version": "v1"}')

    (found,) = old(dataset).garbage
    remove(dataset, old(dataset))

    assert (found.objects, found.partition_key, found.orphans) == (6, "2026-01-01", None)
    assert paths(dataset) == set()
    assert dataset.run_keys() == ()


def test_nothing_younger_than_the_bound_goes(dataset):
    a_snapshot(dataset, "aaaa")
    a_snapshot(dataset, "bbbb")
    begin(dataset, "dead", state="failed")

    found = find_garbage(dataset, timedelta(hours=1))

    assert found.garbage == ()
    assert found.kept == {"its snapshot stands": 1, "younger than the bound": 2}


def test_a_run_counts_from_the_commit_that_replaced_it_because_readers_may_be_at_it(tmp_path):
    dataset = Dataset(str(tmp_path))
    a_snapshot(dataset, "aaaa")
    for path in Path(dataset.uri).rglob("*"):
        os.utime(path, (0, 0))  # all of it is as old as can be
    a_snapshot(dataset, "bbbb")

    assert keys(find_garbage(dataset, timedelta(hours=1))) == []
    assert keys(old(dataset)) == ["aaaa"]


def test_a_run_replaced_long_ago_goes_though_its_partition_is_replaced_every_hour(tmp_path):
    dataset = Dataset(str(tmp_path))
    for age, key in ((30, "aaaa"), (20, "bbbb")):
        a_snapshot(dataset, key)
        dataset.store.put(f"reports/2026-01-01/{key}.json", b"{}")
        for path in Path(dataset.uri).rglob(f"*{key}*"):
            for place in (path, *path.rglob("*")):
                long_ago = (datetime.now(UTC) - timedelta(days=age)).timestamp()
                os.utime(place, (long_ago, long_ago))
    a_snapshot(dataset, "cccc")

    # aaaa stood until 20 days ago, bbbb until just now
    assert keys(find_garbage(dataset, WEEK)) == ["aaaa"]


def test_a_run_that_shows_signs_of_life_stays_whatever_the_bound(dataset):
    begin(dataset, "busy", said=timedelta(minutes=1))
    begin(dataset, "gone", said=timedelta(hours=1))
    begin(dataset, "ended", said=timedelta(minutes=1), state="failed")

    found = find_garbage(dataset, timedelta(0))

    assert keys(found) == ["ended", "gone"]
    assert found.kept == {"is being computed": 1}


def test_what_a_replay_builds_on_stays(dataset):
    a_snapshot(dataset, "base")
    base, _ = dataset.read_manifest("2026-01-01")
    begin(dataset, "again", replay="base")
    done = do_shard(dataset, "again", "0", rows_of("z", run="again"))
    replay = Replay(run_key="base", version="v1", rows=1)
    commit(dataset, "again", [done], replays=[replay], keeps=base.files)

    found = old(dataset)

    assert keys(found) == []
    assert found.kept == {"its snapshot stands": 1, "its rows stand in a replay's snapshot": 1}


def test_what_a_living_replay_reads_stays_though_its_base_was_replaced(dataset):
    a_snapshot(dataset, "base")
    begin(dataset, "again", replay="base", said=timedelta(minutes=1))
    a_snapshot(dataset, "next")

    found = find_garbage(dataset, timedelta(0))

    assert keys(found) == []
    assert found.kept["a run that stays needs it"] == 1


def test_files_of_attempts_that_lost_go_from_a_snapshot_that_stands(dataset):
    a_snapshot(dataset, "aaaa")
    lost = {
        put_file(dataset, data_path("2026-01-01", "aaaa", "0", "two"), rows_of("a", "b")).path,
        put_file(dataset, rejected_path("aaaa", "0", "two"), refused_rows("z")).path,
        "snapshots/2026-01-01/aaaa/_files-1.parquet",
    }
    dataset.store.put("snapshots/2026-01-01/aaaa/_files-1.parquet", b"of a driver that lost")
    before = paths(dataset)

    assert find_garbage(dataset, WEEK).garbage == ()  # too young: their writer may be at it
    (found,) = old(dataset).garbage
    remove(dataset, old(dataset))

    assert set(found.orphans) == lost
    assert paths(dataset) == before - lost


def test_a_list_of_files_that_the_manifest_points_to_stays_with_its_files(dataset):
    begin(dataset, "aaaa")
    done = do_shard(dataset, "aaaa", "0", rows_of("a"))
    manifest = commit(dataset, "aaaa", [done])
    at = dataset.write_files(
        "2026-01-01", "aaaa", dataset.files(manifest), dataset.rejected_files(manifest)
    )
    _, etag = dataset.read_manifest("2026-01-01")
    dataset.commit(manifest.model_copy(update={"files": (), "files_at": at}), etag)

    assert old(dataset).garbage == ()


def test_runs_of_a_version_that_an_alias_names_stay(dataset, root):
    a_snapshot(dataset, "aaaa", version="champion-version")
    a_snapshot(dataset, "bbbb", version="v2")
    registry = Registry(f"{root}/registry")
    alias = Alias(
        name="champion",
        graph="toy",
        version="champion-version",
        release="r",
        route="/toy",
        moved_at=datetime.now(UTC),
    )
    registry.move_alias(alias, None)

    assert keys(old(dataset)) == ["aaaa"]
    found = old(dataset, registries=[registry])
    assert keys(found) == []
    assert found.kept["an alias or a release names its version"] == 1


def test_runs_of_a_release_under_way_and_of_the_version_it_may_return_to_stay(dataset, root):
    for key in ("one", "two", "three"):
        a_snapshot(dataset, key, version=f"v-{key}")
    registry = Registry(f"{root}/registry")
    release = Release(
        id="r",
        graph="toy",
        version="v-two",
        previous="v-one",
        dataset=dataset.uri,
        partition_key="2026-01-01",
        run_key="two",
        route="/toy",
        state="parity",
        owner="me",
        updated_at=datetime.now(UTC),
    )
    etag = registry.write_release(release, None)

    assert keys(old(dataset, registries=[registry])) == []
    registry.write_release(release.model_copy(update={"state": "rolled_back"}), etag)
    assert keys(old(dataset, registries=[registry])) == ["one", "two"]


def test_files_that_an_iceberg_table_may_name_stay(dataset):
    begin(dataset, "ice", sink={"kind": "iceberg", "catalog": "c", "table": "a.b"})
    do_shard(dataset, "ice", "0", rows_of("a"))

    found = old(dataset)

    assert found.garbage == ()
    assert found.kept == {"an Iceberg table may name its files": 1}


def test_a_run_whose_record_cannot_be_read_stays(dataset):
    dataset.store.put("runs/odd/run.json", b"{")

    assert old(dataset).kept == {"its records cannot be read": 1}


def test_files_without_any_record_go_and_foreign_objects_stay(dataset):
    put_file(dataset, data_path("2026-01-01", "lost", "0", "one"), rows_of("a"))
    dataset.store.put("notes/readme.txt", b"hello")
    dataset.store.put("reports/2026-01-01/lost.html", b"page")

    remove(dataset, old(dataset))

    assert paths(dataset) == {"notes/readme.txt", "reports/2026-01-01/lost.html"}


# --- an attempt begins while a run is being removed --------------------------------------------


def test_a_run_that_came_back_to_life_after_the_search_is_left_alone(dataset):
    begin(dataset, "dead")
    done = do_shard(dataset, "dead", "0", rows_of("a"))
    found = find_garbage(dataset, timedelta(0))
    say(dataset, "dead", state="running")
    before = paths(dataset)

    removed = remove(dataset, found)

    assert (keys(found), keys(removed)) == (["dead"], [])
    assert paths(dataset) == before
    commit(dataset, "dead", [done])
    assert remove(dataset, found).garbage == ()
    assert paths(dataset) > before


def test_an_attempt_of_a_run_that_is_being_removed_is_refused(dataset, monkeypatch):
    begin(dataset, "dead")
    do_shard(dataset, "dead", "0", rows_of("a"))
    found = find_garbage(dataset, timedelta(0))
    refused = []

    def attempt_begins_now(run_key: str) -> None:
        monkeypatch.undo()
        with pytest.raises(RunFailed, match="graphs runs gc") as error:
            refuse_if_removed(dataset, run_key)
        refused.append(error.value)
        return dataset.read_progress(run_key)

    monkeypatch.setattr(dataset, "read_progress", attempt_begins_now)
    remove(dataset, found)

    assert refused[0].is_retryable
    refuse_if_removed(dataset, "dead")  # all is gone, so it may begin from nothing


def test_a_mark_that_a_killed_remover_left_is_lifted_from_a_run_that_stays(dataset):
    a_snapshot(dataset, "aaaa")
    dataset.store.put(mark_path("aaaa"), b"")

    soon = find_garbage(dataset, WEEK)
    later = find_garbage(dataset, WEEK, now=datetime.now(UTC) + 2 * MARK_COUNTS_FOR)

    assert soon.garbage == ()
    assert [found.orphans for found in later.garbage] == [(mark_path("aaaa"),)]


def test_proofs_go_before_the_files_they_prove(dataset, monkeypatch):
    begin(dataset, "dead")
    for shard in ("0", "1"):
        do_shard(dataset, "dead", shard, rows_of("a"))
    found = find_garbage(dataset, timedelta(0))
    deleted: list[str] = []
    delete_many = type(dataset.store).delete_many
    monkeypatch.setattr(
        type(dataset.store),
        "delete_many",
        lambda store, paths: (deleted.extend(paths), delete_many(store, paths)),
    )

    remove(dataset, found)

    kinds = [path.split("/")[2 if path.startswith("runs") else 0] for path in deleted]
    assert kinds[:4] == ["done", "done", "snapshots", "snapshots"]
    assert not dataset.store.exists(mark_path("dead"))
