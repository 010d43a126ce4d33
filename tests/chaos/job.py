"""One attempt at a run, in a process of its own: ``graphs job``, with a bug if one is named.

python -m tests.chaos.job <bug or ""> <the arguments of graphs job>
"""

from __future__ import annotations

import os
import sys

from graphs.cli import app


def main(bug: str, arguments: list[str]) -> None:
    if bug:
        import ray

        from tests.chaos import bugs

        bugs.plant(bug)
        ray.init(
            address=os.environ["RAY_ADDRESS"],
            runtime_env={
                "worker_process_setup_hook": "tests.chaos.bugs.plant_named_in_environment",
                "env_vars": {bugs.NAME: bug},
            },
        )
    app(["job", *arguments])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
