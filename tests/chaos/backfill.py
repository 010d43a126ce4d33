"""Replaces a partition again and again, each run's number in every row, until a file exists.

python -m tests.chaos.backfill <RunSpec as JSON> <file>
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from graphs.runtimes import ray_data
from graphs.spec import RunSpec


def main(spec: RunSpec, stop: Path) -> None:
    for number in itertools.takewhile(lambda _: not stop.exists(), itertools.count(1)):
        one = spec.model_copy(update={"parameters": {"run": number}})
        ray_data.run(one, attempt=f"backfill-{number}")


if __name__ == "__main__":
    main(RunSpec.model_validate_json(sys.argv[1]), Path(sys.argv[2]))
