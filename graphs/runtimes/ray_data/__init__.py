"""Runs a graph over one partition on Ray Data, exactly once."""

from graphs.runtimes.ray_data.driver import run

__all__ = ["run"]
