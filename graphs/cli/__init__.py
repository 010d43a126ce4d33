"""The ``graphs`` command."""

from graphs.cli.app import app

__all__ = ["app"]
