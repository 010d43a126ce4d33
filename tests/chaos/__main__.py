"""``make chaos``: a run of hundreds of shards, troubled at hundreds of moments.

    python -m tests.chaos [--seed N] [--moments N] [--shards N] [--keep]

Exit code 0: it committed, and the output holds every row of the input exactly once.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.judging import problems
from tests.chaos.moments import deal
from tests.chaos.troubled import Chronicle, Troubled
from tests.chaos.world import World, spec_of, write_input

LATENCY_S = 0.02
MEAN_WAIT_S = 0.8
PLACE = "s3://lake/chaos"


def chaos(folder: Path, *, seed: int, moments: int, shards: int, chronicle: Chronicle) -> list[str]:
    """Troubles one run; gives what is wrong with what it committed.

    Raises:
        Unforgivable: it would never have committed.
    """
    with World(folder, seed=seed, latency_s=LATENCY_S) as made, made.within():
        numbers = write_input(PLACE, shards, per_file=4)
        dealt = deal(seed, moments, mean_wait_s=MEAN_WAIT_S)
        troubled = Troubled(made, PLACE, spec_of(PLACE), chronicle)
        result = troubled.run(dealt, count=moments, shards=shards)
        chronicle.tell(f"committed: {result.counts}; S3 faults: {dict(made.proxy.faults)}")
        found = problems(PLACE, numbers)
    if result.shards != shards:
        found.append(f"{result.shards} shards, not {shards}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--moments", type=int, default=200)
    parser.add_argument("--shards", type=int, default=400)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))  # and so leave nothing behind
    chronicle = Chronicle(say=lambda line: print(line, flush=True))
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as folder:
        found = chaos(
            Path(folder),
            seed=arguments.seed,
            moments=arguments.moments,
            shards=arguments.shards,
            chronicle=chronicle,
        )
    took = time.monotonic() - chronicle.began
    print(f"seed {arguments.seed}: {chronicle.attempts} attempts in {took:.0f} s")
    print(f"moments: {dict(chronicle.moments)}; attempts that failed: {dict(chronicle.failures)}")
    print("\n".join(found) if found else "every row exactly once")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
