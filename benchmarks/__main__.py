"""``python -m benchmarks [SUITE …] [--quick] [--json]``: one line for each measure."""

from __future__ import annotations

import argparse
import importlib
import json
import signal

SUITES = ("compile", "inline", "offline")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "suites",
        nargs="*",
        metavar="SUITE",
        help=f"one of {', '.join(SUITES)}, or a part of one, such as offline.cpu",
    )
    parser.add_argument("--quick", action="store_true", help="less data, for a first look")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    # A benchmark that is told to end has servers to end first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if unknown := {name for name in options.suites if name.split(".")[0] not in SUITES}:
        parser.error(f"unknown suites {sorted(unknown)}; there are {', '.join(SUITES)}")
    for name in options.suites or SUITES:
        for measure in importlib.import_module(f"benchmarks.{name}").measures(options.quick):
            if options.json:
                print(json.dumps(measure.as_dict()), flush=True)
            else:
                print(
                    f"{measure.measure:36} ours {measure.ours:,.3f}  "
                    f"theirs {measure.theirs:,.3f} {measure.unit}  ratio {measure.ratio:.2f}  "
                    f"noise {measure.spread:.0%}  ({measure.runs} runs, {measure.machine})",
                    flush=True,
                )


if __name__ == "__main__":
    main()
