"""Which rows does parity ask about?"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graphs.authoring import load_graph
from graphs.errors import GateFailed, InputChanged
from graphs.promotion.sample import Sample, draw
from graphs.runtimes.inline import run
from graphs.spec import Manifest
from tests.promotion.worlds import CHAMPION, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, "http://127.0.0.1:1")


def draw_from(world: World, manifest: Manifest, size: int) -> Sample:
    return draw(world.dataset, manifest, size, load_graph(CHAMPION).input_schema)


def test_inputs_and_outputs_of_the_same_keys_in_the_same_order(world: World) -> None:
    sample = draw_from(world, world.commit(rows=60), 25)

    assert sample.inputs.num_rows == sample.offline.num_rows == 25
    assert run(load_graph(CHAMPION), sample.inputs).table.equals(sample.offline)


def test_the_same_keys_every_time_and_from_every_shard(world: World) -> None:
    manifest = world.commit(rows=60, files=3)

    first, again = draw_from(world, manifest, 20), draw_from(world, manifest, 20)

    assert first.offline.equals(again.offline)
    numbers = [int(key[1:]) for key in first.offline.column("id").to_pylist()]
    assert {number % 3 for number in numbers} == {0, 1, 2}


def test_a_small_snapshot_is_asked_about_whole(world: World) -> None:
    assert draw_from(world, world.commit(rows=6), 100).inputs.num_rows == 6


def test_keys_that_name_several_rows_are_left_out(world: World) -> None:
    manifest = world.commit(rows=8, files=1)
    double_a_key(world, manifest)

    keys = draw_from(world, world.score(), 100).inputs.column("id").to_pylist()

    assert "k1" not in keys
    assert len(keys) == len(set(keys)) == 6


def test_an_input_that_changed_since_the_run_is_refused(world: World) -> None:
    manifest = world.commit(rows=8, files=1)
    double_a_key(world, manifest)

    with pytest.raises(InputChanged, match="changed since this run was planned"):
        draw_from(world, manifest, 4)


def test_without_a_unique_key_there_is_no_sample(world: World) -> None:
    manifest = world.commit(rows=8, files=1)
    double_a_key(world, manifest, all_of_them=True)

    with pytest.raises(GateFailed, match="'id' names exactly one row"):
        draw_from(world, world.score(), 4)


def double_a_key(world: World, manifest: Manifest, all_of_them: bool = False) -> None:
    """Give the second row the first one's key, or all rows one key."""
    path = Path(manifest.input.uri) / "0.parquet"
    table = pq.read_table(path)
    keys = table.column("id").to_pylist()
    keys = ["k1"] * len(keys) if all_of_them else ["k1", "k1", *keys[2:]]
    pq.write_table(table.set_column(0, "id", pa.array(keys)), path)
