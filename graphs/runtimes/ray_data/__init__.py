"""Runs a graph over one partition on Ray Data, exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphs.runtimes.ray_data.driver import run

__all__ = ["run"]


def __getattr__(name: str) -> Any:
    # Workers import their part of this package a thousand times a day, and never the driver's.
    if name == "run":
        from graphs.runtimes.ray_data.driver import run

        return run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
