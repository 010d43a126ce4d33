"""Runs a graph over one partition on Ray Data, exactly once."""

from graphs.runtimes.ray_data.driver import run
from graphs.runtimes.ray_data.ledger import Progress

__all__ = ["Progress", "run"]
