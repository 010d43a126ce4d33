"""``python -m demo [demo | up | down]``: what `make demo`, `make up` and `make down` call."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from demo import journey, stack, summary
from demo.processes import PROJECT, NotReady
from demo.screen import Screen


def main() -> int:
    """Run a command; the exit status is 0 only if every step held."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("command", choices=["demo", "up", "down"], nargs="?", default="demo")
    parser.add_argument("--folder", type=Path, default=PROJECT / ".demo", help="data and logs")
    arguments = parser.parse_args()
    command, folder = arguments.command, arguments.folder.resolve()
    screen = Screen()
    if command == "down":
        _stop(screen, folder)
        return 0
    # SIGINT too: a shell that starts this in the background has it ignored.
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    keep = False
    try:
        show_journey(screen, folder, is_left_running=command == "up")
        keep = command == "up"
        return 0
    except NotReady as error:
        screen.fail(error.headline, error.tail())
    except journey.StepFailed as error:
        screen.fail(error.problem, error.log)
    except KeyboardInterrupt:
        screen.fail("interrupted")
        return 130
    finally:
        if not keep:
            _stop(screen, folder)
    return 1


def show_journey(screen: Screen, folder: Path, *, is_left_running: bool) -> None:
    """Start the stack, do the main job on it, show and write the figures."""
    with screen.step("start", "Start S3, Ray and Airflow on 127.0.0.1"):
        running = stack.up(folder, PROJECT / "dags", screen.say)
    os.environ.update(running.s3.env)  # this process uses the lake, too
    figures = journey.travel(running, screen)
    reports = summary.save_reports(figures, folder)
    result = summary.as_json(figures, running, reports, screen.seconds)
    path = summary.write(result, folder)
    summary.show(result, running, screen, is_left_running=is_left_running)
    screen.say(f"The same figures: {path}")


def _stop(screen: Screen, folder: Path) -> None:
    # From here on nothing may come between: a second Ctrl-C would leave processes behind.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with screen.step("stop", "Stop everything"):
        stack.down(folder)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
