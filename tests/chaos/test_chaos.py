"""Whatever is killed and spoiled, and whenever: the run ends committed, every row exactly once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.__main__ import chaos
from tests.chaos.moments import DECK
from tests.chaos.troubled import Chronicle

MOMENTS = 12
SHARDS = 48


@pytest.mark.server
@pytest.mark.timeout(300)
def test_a_run_troubled_in_every_way_commits_every_row_exactly_once(tmp_path: Path) -> None:
    chronicle = Chronicle(say=print)

    found = chaos(tmp_path, seed=4, moments=MOMENTS, shards=SHARDS, chronicle=chronicle)

    assert found == []
    assert chronicle.moments.keys() == {*DECK, "committer"}
    assert chronicle.moments.total() == MOMENTS + 2
