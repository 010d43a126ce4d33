"""Every table format under the same promises; `Table.read` is what a reader of the table sees."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pyarrow as pa
import pytest

from graphs.errors import CommitConflict, StorageError
from graphs.storage.objects import Store
from graphs.storage.sinks import commits, open_sink
from tests.storage.sinks import of_many_types, rows, write
from tests.storage.tables import Table, race


def test_a_run_makes_the_table_and_its_rows_are_there(table: Table) -> None:
    table.committed("a", [rows("a", 3), rows("a", 2, 3)])

    read = table.read().sort_by("key")
    assert read["key"].to_pylist() == [f"key-{n:05d}" for n in range(5)]
    assert table.runs() == {"a": 5}


def test_rows_are_not_there_before_the_commit(table: Table) -> None:
    table.open().prepare(rows("a", 1).schema)

    table.run("a", [rows("a", 3)])

    assert table.read().num_rows == 0


def test_a_second_commit_of_the_same_run_changes_nothing(table: Table) -> None:
    run = table.run("a", [rows("a", 3)])
    run.commit()
    versions = table.versions()

    run.commit()

    assert table.runs() == {"a": 3}
    assert table.versions() == versions


def test_a_backfill_replaces_exactly_the_earlier_rows_of_its_partition(table: Table) -> None:
    first = table.committed("a", [rows("a", 3), rows("a", 4, 3)])
    table.committed("other", [rows("other", 2)], partition_key="q")

    table.committed("b", [rows("b", 5)], before=first)

    assert table.runs() == {"b": 5, "other": 2}


def test_an_earlier_run_can_be_put_back(table: Table) -> None:
    run = table.run("a", [rows("a", 3)])
    run.commit()
    second = table.committed("b", [rows("b", 5)], before=run.manifest)

    run.writer.commit(run.manifest, [f for w in run.written for f in w.fragments], second)

    assert table.runs() == {"a": 3}


def test_partitions_stand_side_by_side_under_any_allowed_name(table: Table) -> None:
    names = ["2026-01-01", "2026-01-0", "day=2026-01-01", "a+b,c=d_e.f"]
    committed = [
        table.committed(f"r{number}", [rows(f"r{number}", 2)], partition_key=name)
        for number, name in enumerate(names)
    ]

    table.committed("again", [rows("again", 1)], committed[3], names[3])
    table.committed("short", [rows("short", 1)], committed[1], names[1])

    assert table.runs() == {"r0": 2, "short": 1, "r2": 2, "again": 1}


def test_a_replay_keeps_its_bases_rows_and_adds_its_own(table: Table) -> None:
    base = table.committed("a", [rows("a", 3)])
    replay = table.run("fix", [rows("fix", 2, 3)], base)
    both = replay.manifest.model_copy(update={"files": base.files + replay.manifest.files})
    new = tuple(fragment for one in replay.written for fragment in one.fragments)

    replay.writer.commit(both, new, base)
    replay.writer.commit(both, new, base)
    assert table.runs() == {"a": 3, "fix": 2}

    table.committed("b", [rows("b", 1)], before=both)
    assert table.runs() == {"b": 1}


def test_a_run_without_rows_empties_its_partition_and_can_be_retried(table: Table) -> None:
    first = table.committed("a", [rows("a", 3)])
    empty = table.run("b", [rows("b", 0), rows("b", 0)], before=first)

    empty.commit()
    empty.commit()
    assert table.read().num_rows == 0

    table.committed("c", [rows("c", 2)], before=empty.manifest)
    assert table.runs() == {"c": 2}


def test_a_first_run_without_rows_makes_an_empty_table(table: Table) -> None:
    table.committed("a", [rows("a", 0)])

    assert table.read().num_rows == 0
    assert table.read().schema.names == ["key", "run"]


def test_a_run_that_another_one_overtook_is_told_and_changes_nothing(table: Table) -> None:
    first = table.committed("a", [rows("a", 3)])
    late = table.run("late", [rows("late", 4)], before=first)
    table.committed("b", [rows("b", 5)], before=first)

    with pytest.raises(CommitConflict, match="run b committed partition 'p' while run late"):
        late.commit()

    assert table.runs() == {"b": 5}


def test_a_first_run_that_another_first_run_overtook_is_told(table: Table) -> None:
    late = table.run("late", [rows("late", 4)])
    table.committed("b", [rows("b", 5)])

    with pytest.raises(CommitConflict):
        late.commit()

    assert table.runs() == {"b": 5}


def test_a_crash_before_the_manifest_is_mended_by_the_runs_retry(table: Table) -> None:
    first = table.committed("a", [rows("a", 3)])
    table.committed("b", [rows("b", 5)], before=first)  # and its driver dies: no manifest

    table.committed("b", [rows("b", 5)], before=first)

    assert table.runs() == {"b": 5}


def test_what_a_dead_run_left_is_replaced_once_it_is_old(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = table.committed("a", [rows("a", 3)])
    table.committed("dead", [rows("dead", 5)], before=first)

    monkeypatch.setattr(commits, "ABANDONED_AFTER", timedelta(seconds=-60))
    table.committed("c", [rows("c", 2)], before=first)

    assert table.runs() == {"c": 2}


def test_a_losers_files_are_deleted_and_its_fragments(table: Table) -> None:
    writer = table.open()
    writer.prepare(rows("a", 1).schema)
    before = _objects(table)

    (lost,) = write(writer, [rows("a", 3)], "a")
    assert _objects(table) > before
    writer.discard(lost)

    assert _objects(table) == before


def test_types_come_back_as_they_were(table: Table) -> None:
    written = of_many_types()

    table.committed("a", [written])

    read = table.read().sort_by("key")
    assert read.schema.names == written.schema.names
    for name in written.schema.names:
        assert read[name].to_pylist() == written[name].to_pylist(), name
        if name != "at":
            assert _plain(read.schema.field(name).type) == written.schema.field(name).type, name


def test_dictionaries_and_large_strings_keep_their_values(table: Table) -> None:
    written = pa.table(
        {
            "key": pa.array(["a", "b"], pa.large_string()),
            "color": pa.array(["red", "red"]).dictionary_encode(),
            "words": pa.array([["x"], []], pa.large_list(pa.large_string())),
            "pair": pa.array([[1.0, 2.0]] * 2, pa.list_(pa.float32(), 2)),
        }
    )

    table.committed("a", [written])

    read = table.read()
    assert {name: read[name].to_pylist() for name in read.schema.names} == {
        name: written[name].to_pylist() for name in written.schema.names
    }


def test_a_table_with_another_column_type_is_refused_before_work_starts(table: Table) -> None:
    table.open().prepare(rows("a", 1).schema)
    other = pa.schema([("key", pa.int64()), ("run", pa.string()), ("extra", pa.bool_())])

    with pytest.raises(StorageError, match="extra") as refused:
        table.open().prepare(other)
    assert table.sink.kind in str(refused.value).lower()

    with pytest.raises(StorageError, match=r"column 'key' is .*, the graph's is"):
        table.open().prepare(other.remove(2))


def test_preparing_twice_leaves_the_table_as_it_is(table: Table) -> None:
    table.committed("a", [rows("a", 3)])
    versions = table.versions()

    table.open().prepare(rows("a", 1).schema)

    assert table.versions() == versions
    assert table.runs() == {"a": 3}


def test_a_table_of_another_dataset_is_refused(table: Table) -> None:
    table.committed("a", [rows("a", 3)])
    stranger = open_sink(table.sink, f"{table.dataset}-2")

    with pytest.raises(StorageError, match="Give each dataset a table of its own"):
        stranger.prepare(rows("a", 1).schema)


def test_two_first_runs_that_race_for_a_partition_leave_the_rows_of_one(table: Table) -> None:
    table.open().prepare(rows("a", 1).schema)

    outcomes = race(table, [("x", "p"), ("y", "p")])

    assert Counter(outcome.split(":")[0] for outcome in outcomes) == {
        "committed": 1,
        "CommitConflict": 1,
    }, outcomes
    assert sorted(table.runs().values()) == [10]


def test_twins_of_one_run_that_race_both_succeed_and_add_its_rows_once(table: Table) -> None:
    table.open().prepare(rows("a", 1).schema)
    run = table.run("x", [rows("x", 5), rows("x", 5, 5)])
    errors: list[BaseException] = []
    threads = [threading.Thread(target=_commit_into, args=(run.commit, errors)) for _ in range(2)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert table.runs() == {"x": 10}


def test_runs_of_different_partitions_that_race_all_commit(table: Table) -> None:
    table.open().prepare(rows("a", 1).schema)

    outcomes = race(table, [("x", "p"), ("y", "q")])

    assert outcomes == ["committed"] * 2
    assert table.runs() == {"x": 10, "y": 10}


def test_readers_never_see_a_mix_while_runs_replace_each_other(table: Table) -> None:
    before = table.committed("run-0", [rows("run-0", 20), rows("run-0", 20, 20)])
    stop, seen = threading.Event(), []

    def keep_reading() -> None:
        while not stop.is_set():
            seen.append(table.runs())
            seen.append(table.runs_by_duckdb())

    reader = threading.Thread(target=keep_reading)
    reader.start()
    try:
        for number in range(1, 9):
            name = f"run-{number}"
            before = table.committed(name, [rows(name, 20), rows(name, 20, 20)], before)
    finally:
        stop.set()
        reader.join()

    assert len(seen) >= 4
    assert all(list(runs.values()) == [40] for runs in seen), seen


def test_no_credentials_stand_in_what_the_sink_leaves_behind(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "s3cr3t-and-never-written-down"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)

    run = table.run("a", [rows("a", 3)])
    run.commit()

    assert secret not in "".join(fragment for one in run.written for fragment in one.fragments)
    store = Store.open(table.dataset.removesuffix("/dataset"))
    for info in store.list():
        assert secret.encode() not in store.read(info.path), info.path


def _commit_into(commit: Callable[[], None], errors: list[BaseException]) -> None:
    try:
        commit()
    except BaseException as error:
        errors.append(error)


def _objects(table: Table) -> int:
    """Data files of the dataset and of the table."""
    store = Store.open(table.dataset.removesuffix("/dataset"))
    return sum(info.path.endswith((".parquet", ".lance")) for info in store.list())


def _plain(kind: pa.DataType) -> pa.DataType:
    """Readers of some formats name what is in a list otherwise."""
    return pa.list_(kind.value_type) if pa.types.is_list(kind) else kind
