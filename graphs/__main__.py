"""``python -m graphs``: the ``graphs`` command."""

from graphs.cli import app

if __name__ == "__main__":
    app()
