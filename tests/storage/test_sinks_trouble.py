"""What can go wrong around a table's commit, and what is refused before there is one."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from graphs.errors import BucketNotFound, CommitConflict, GraphsError, StorageError
from graphs.spec import DeltaSink, LanceSink, ParquetSink
from graphs.storage.sinks import commits, open_sink
from tests.storage import servers
from tests.storage.sinks import fragments, rows, write
from tests.storage.tables import Table, clean, rewrite, rewrite_some

LIBRARIES = {"iceberg": "pyiceberg.catalog", "delta": "deltalake", "lance": "lance"}
COMMITS = {"delta": "_delta_log", "lance": "_versions"}


def at_the_same_moment(
    monkeypatch: pytest.MonkeyPatch, *actions: Callable[[], None]
) -> list[GraphsError]:
    """Runs commits so that each has looked at the table before any of them changes it."""
    barrier, check = threading.Barrier(len(actions)), commits._check_replaceable
    first, errors = threading.local(), []

    def check_together(*arguments: Any) -> None:
        check(*arguments)
        if not getattr(first, "is_over", False):
            first.is_over = True
            barrier.wait(60)

    def act(action: Callable[[], None]) -> None:
        try:
            action()
        except GraphsError as error:
            errors.append(error)

    monkeypatch.setattr(commits, "_check_replaceable", check_together)
    threads = [threading.Thread(target=act, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_of_two_first_runs_that_saw_the_same_table_one_commits(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.open().prepare(rows("a", 1).schema)
    x, y = table.run("x", [rows("x", 10)]), table.run("y", [rows("y", 10)])

    errors = at_the_same_moment(monkeypatch, x.commit, y.commit)

    assert [type(error) for error in errors] == [CommitConflict]
    assert list(table.runs().values()) == [10]


def test_of_two_backfills_that_saw_the_same_table_one_commits(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = table.committed("a", [rows("a", 3)])
    x, y = table.run("x", [rows("x", 10)], first), table.run("y", [rows("y", 10)], first)

    errors = at_the_same_moment(monkeypatch, x.commit, y.commit)

    assert [type(error) for error in errors] == [CommitConflict]
    assert list(table.runs().values()) == [10]


def test_a_replay_and_a_backfill_that_saw_the_same_table_do_not_mix(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = table.committed("a", [rows("a", 3)])
    replay, backfill = (
        table.run("fix", [rows("fix", 2)], base),
        table.run("b", [rows("b", 5)], base),
    )
    both = replay.manifest.model_copy(update={"files": base.files + replay.manifest.files})

    errors = at_the_same_moment(
        monkeypatch,
        lambda: replay.writer.commit(both, fragments(replay.written), base),
        backfill.commit,
    )

    assert [type(error) for error in errors] == [CommitConflict]
    assert table.runs() in ({"a": 3, "fix": 2}, {"b": 5})


def test_a_replay_of_a_snapshot_that_the_table_never_had_is_whole_or_refused(
    table: Table, kind: str
) -> None:
    plain = Table("parquet", table.dataset, ParquetSink())
    base = plain.committed("a", [rows("a", 3)])
    replay = table.run("fix", [rows("fix", 2)], base)
    both = replay.manifest.model_copy(update={"files": base.files + replay.manifest.files})

    if kind == "lance":
        with pytest.raises(StorageError, match="Replay into the sink that the snapshot was"):
            replay.writer.commit(both, fragments(replay.written), base)
        assert table.read().num_rows == 0
    else:
        replay.writer.commit(both, fragments(replay.written), base)
        assert table.runs() == {"a": 3, "fix": 2}


def test_runs_of_other_partitions_that_saw_the_same_table_both_commit(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.open().prepare(rows("a", 1).schema)
    x = table.run("x", [rows("x", 1)], partition_key="p")
    y = table.run("y", [rows("y", 2)], partition_key="q")

    assert at_the_same_moment(monkeypatch, x.commit, y.commit) == []

    assert table.runs() == {"x": 1, "y": 2}


def test_giving_up_on_a_table_that_never_rests_says_so(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "_LONGEST_PAUSE_S", 0)
    run = table.run("a", [rows("a", 1)])

    class NeverRests:
        looks = 0

        def is_done(self) -> bool:
            NeverRests.looks += 1
            return False

        def rows(self) -> dict[str, int]:
            return {}

        def changed_after(self, moment: object) -> bool:
            return True

        def replace(self) -> None:
            raise commits.Raced

    with pytest.raises(StorageError, match="20 times while run a tried to commit"):
        commits.commit_once(NeverRests, run.manifest, None, {}, "a table")
    assert NeverRests.looks == 20


@pytest.mark.server
@pytest.mark.parametrize("kind", ["delta", "lance"], indirect=True)  # Iceberg's is the catalog's
def test_a_lost_response_to_the_commit_adds_the_rows_once(
    kind: str, moto: str, use_s3: Callable[[str], None], s3_table: Table
) -> None:
    s3_table.open().prepare(rows("a", 1).schema)
    run = s3_table.run("a", [rows("a", 3)])
    cuts: list[str] = []

    def cut_first_commit(method: str, path: str) -> bool:
        is_commit = method == "PUT" and COMMITS[kind] in path
        if is_commit:
            cuts.append(path)
        return is_commit and len(cuts) == 1

    with servers.proxy(moto, cut=cut_first_commit) as spoiled:
        use_s3(spoiled)
        run.commit()
    use_s3(moto)

    assert cuts
    assert s3_table.runs() == {"a": 3}
    run.commit()
    assert s3_table.runs() == {"a": 3}


@pytest.mark.parametrize("kind", ["iceberg"], indirect=True)
def test_a_catalog_whose_answer_is_lost_after_the_commit_adds_the_rows_once(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyiceberg.catalog.sql import SqlCatalog

    commit_table = SqlCatalog.commit_table
    lost: list[Any] = []

    def commit_and_lose_the_answer(self: Any, *arguments: Any) -> Any:
        answer = commit_table(self, *arguments)
        if not lost:
            lost.append(answer)
            raise ConnectionError("the catalog hung up")
        return answer

    table.open().prepare(rows("a", 1).schema)
    monkeypatch.setattr(SqlCatalog, "commit_table", commit_and_lose_the_answer)

    table.committed("a", [rows("a", 3)])

    assert lost
    assert table.runs() == {"a": 3}


@pytest.mark.server
def test_a_commit_that_never_reaches_the_table_is_an_error_and_can_be_repeated(
    moto: str, use_s3: Callable[[str], None], s3_table: Table
) -> None:
    s3_table.open().prepare(rows("a", 1).schema)
    run = s3_table.run("a", [rows("a", 3)])
    use_s3("http://127.0.0.1:1")

    with pytest.raises(StorageError) as refused:
        run.commit()
    assert "test-secret" not in str(refused.value)

    use_s3(moto)
    run.commit()
    assert s3_table.runs() == {"a": 3}


def test_rows_that_the_tables_keeper_rewrote_are_not_replaced(table: Table) -> None:
    first = table.committed("a", [rows("a", 3), rows("a", 3, 3)])
    rewrite(table.kind, table.sink)
    before = table.runs()

    with pytest.raises(StorageError, match="it was compacted, restored or made anew"):
        table.committed("b", [rows("b", 2)], before=first)

    assert table.runs() == before


def test_rows_of_which_the_tables_keeper_rewrote_some_are_not_replaced(table: Table) -> None:
    first = table.committed("a", [rows("a", 3), rows("a", 3, 3), rows("a", 9, 6)])
    rewrite_some(table.kind, table.sink)
    before = table.runs()

    with pytest.raises(StorageError, match="it was compacted, restored or made anew"):
        table.committed("b", [rows("b", 2)], before=first)

    assert table.runs() == before


def test_an_earlier_run_whose_copies_were_cleaned_away_is_put_back_or_refused(
    table: Table, kind: str
) -> None:
    run = table.run("a", [rows("a", 3)])
    run.commit()
    second = table.committed("b", [rows("b", 5)], before=run.manifest)
    clean(kind, table.sink)

    if kind == "lance":
        with pytest.raises(StorageError, match="are gone, as cleanup_old_versions"):
            run.writer.commit(run.manifest, fragments(run.written), second)
        assert table.runs() == {"b": 5}
    else:
        run.writer.commit(run.manifest, fragments(run.written), second)
        assert table.runs() == {"a": 3}


@pytest.mark.parametrize("kind", ["iceberg", "delta"], indirect=True)
def test_a_wider_table_keeps_its_other_columns_empty(table: Table) -> None:
    more = pa.field("more", pa.int64())
    table.open().prepare(rows("a", 1).schema.append(more))

    table.committed("a", [rows("a", 3)])

    assert table.read()["more"].to_pylist() == [None] * 3


@pytest.mark.parametrize("kind", ["iceberg", "delta"], indirect=True)
@pytest.mark.parametrize("name", ["unsigned", "nanoseconds", "half", "inner", "elsewhere"])
def test_columns_that_a_format_has_no_type_for_are_refused_by_name(table: Table, name: str) -> None:
    schema = pa.schema(
        [
            ("key", pa.string()),
            ("unsigned", pa.uint64()),
            ("nanoseconds", pa.timestamp("ns")),
            ("half", pa.float16()),
            ("inner", pa.list_(pa.struct([("n", pa.uint8())]))),
            ("elsewhere", pa.timestamp("us", tz="Europe/Berlin")),
        ]
    )

    with pytest.raises(StorageError, match=f"has no type for the values of .*'{name}'") as refused:
        table.open().prepare(schema)

    assert "'key'" not in str(refused.value)


def test_a_missing_library_names_the_extra_to_install(
    table: Table, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, LIBRARIES[kind], None)
    writer = table.open()

    with pytest.raises(StorageError) as refused:
        writer.prepare(rows("a", 1).schema)

    assert f"pip install 'airflow-provider-inference-graphs[{kind}]'" in str(refused.value)


def test_a_catalog_that_is_not_configured_says_which_variable_to_set(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graphs.spec import IcebergSink

    sink = IcebergSink(catalog="nowhere", table="a.b")

    with pytest.raises(StorageError, match="Set PYICEBERG_CATALOG__NOWHERE__URI"):
        open_sink(sink, str(tmp_path)).prepare(rows("a", 1).schema)


@pytest.mark.server
@pytest.mark.parametrize("kind_of_sink", [DeltaSink, LanceSink])
def test_a_bucket_that_does_not_exist_is_named(
    moto: str, use_s3: Callable[[str], None], kind_of_sink: Any
) -> None:
    use_s3(moto)

    with pytest.raises(BucketNotFound, match="s3://no-such-bucket"):
        open_sink(kind_of_sink(uri="s3://no-such-bucket/table"), "s3://lake/d").prepare(
            rows("a", 1).schema
        )


def test_an_error_of_the_catalog_does_not_tell_its_password(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graphs.spec import IcebergSink

    uri = "postgresql+nosuchdriver://me:pass-word-1@host/db"
    monkeypatch.setenv("PYICEBERG_CATALOG__SECRETIVE__URI", uri)
    monkeypatch.setenv("PYICEBERG_CATALOG__SECRETIVE__TYPE", "sql")
    sink = IcebergSink(catalog="secretive", table="a.b")

    with pytest.raises(StorageError) as refused:
        open_sink(sink, str(tmp_path)).prepare(rows("a", 1).schema)

    assert "pass-word-1" not in str(refused.value)


def test_a_shards_rows_are_parquet_files_of_the_snapshot_for_every_format(table: Table) -> None:
    writer = table.open()
    writer.prepare(rows("a", 1).schema)

    written = write(writer, [rows("a", 3), rows("a", 0)], "a")

    assert [[file.rows for file in one.files] for one in written] == [[3], [0]]
    assert all(file.path.startswith("snapshots/p/a/") for one in written for file in one.files)
