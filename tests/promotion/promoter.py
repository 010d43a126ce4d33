"""A process that promotes and, if told to, kills itself at one point of the way.

    python -m tests.promotion.promoter <ray address> <owner> <kill point or "-"> <PromotionSpec>

Kill points are the states of a release, just after they were written, and ``alias``, just after
the alias was moved.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from graphs.spec import Alias, PromotionSpec, Release
from graphs.storage.aliases import Registry


def kill_at(point: str) -> None:
    write_release, move_alias = Registry.write_release, Registry.move_alias

    def write(self: Registry, release: Release, etag: str | None) -> str:
        changed = write_release(self, release, etag)
        if release.state == point:
            os.kill(os.getpid(), signal.SIGKILL)
        return changed

    def move(self: Registry, alias: Alias, etag: str | None) -> str:
        moved = move_alias(self, alias, etag)
        if point == "alias":
            os.kill(os.getpid(), signal.SIGKILL)
        return moved

    patched: Any = Registry
    patched.write_release, patched.move_alias = write, move


def main() -> None:
    address, owner, point, spec = sys.argv[1:]
    kill_at(point)
    import ray

    ray.init(address=address, log_to_driver=False)
    from graphs.runtimes.ray_serve.promote import promote

    promote(PromotionSpec.model_validate_json(spec), owner=owner)


if __name__ == "__main__":
    main()
