"""What every sink offers, to the workers and to the driver."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from graphs.errors import GraphsError, StorageError
from graphs.spec import DataFile, Manifest
from graphs.storage import foreign
from graphs.storage.sinks.commits import Raced

if TYPE_CHECKING:
    import pyarrow as pa

_SECRET = re.compile(r"SECRET|TOKEN|PASSWORD|CREDENTIAL|ACCESS_KEY|CATALOG__.*URI", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Written:
    """What one attempt at a shard wrote."""

    files: tuple[DataFile, ...]
    """Files of the snapshot, at least one; in the order of the rows."""

    fragments: tuple[str, ...] = ()
    """What the sink's commit needs to know, beside the files; goes into the done-record."""


class SinkWriter(Protocol):
    """A sink, opened for one dataset."""

    def prepare(self, schema: pa.Schema) -> None:
        """Makes the sink ready for rows of a schema, in the driver, before any are computed.

        Makes the table when it is missing. Called again, it does nothing.

        Raises:
            StorageError: the table cannot be reached, has other columns, or belongs to another
                dataset; or its format has no type for a column (names all of them).
        """
        ...

    def write(self, table: pa.Table, *, partition_key: str, run_key: str, name: str) -> Written:
        """Writes a shard's rows, in a worker. No reader sees them before the commit.

        Args:
            table: the rows, perhaps none.
            partition_key: the run's.
            run_key: the run's.
            name: ``<shard>-<attempt>``, of this attempt alone.

        Raises:
            StorageError: they could not be written; what was, is garbage that nobody names.
        """
        ...

    def discard(self, written: Written) -> None:
        """Deletes what an attempt wrote whose done-record lost."""
        ...

    def commit(self, manifest: Manifest, fragments: Sequence[str], before: Manifest | None) -> None:
        """Puts the run's rows in the place of the partition's earlier ones, in the driver.

        One atomic step for readers of the sink's table. Called just before the manifest is put,
        and again, with the same run key, after whatever went wrong: then it does nothing.

        Args:
            manifest: the run's; its files are what becomes visible.
            fragments: of all its shards.
            before: the partition's manifest when the run started.

        Raises:
            CommitConflict: another run replaced the partition's rows in the table since ``before``.
            StorageError: the table cannot be reached, or is not what this run can write to.
        """
        ...


def library(module: str, extra: str) -> Any:
    """Imports a sink's optional library.

    Raises:
        StorageError: it is not installed; says which pip extra brings it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise StorageError(
            f"a sink of kind {extra!r} needs {error.name}, which is not installed here",
            remedy=f"Install it where the run's driver and workers are: "
            f"pip install 'airflow-provider-inference-graphs[{extra}]'",
        ) from error


@contextmanager
def mapped_errors(table: str) -> Iterator[None]:
    """Raises a :class:`StorageError` for whatever a table's library raises inside.

    Args:
        table: how the error names the table.
    """
    try:
        yield
    except (GraphsError, Raced):
        raise
    except Exception as error:
        # Beneath each of these libraries is an S3 client: its answers mean what they always do.
        with foreign.mapped_errors(table):
            raise OSError(_without_secrets(f"{type(error).__name__}: {error}")) from error


def _without_secrets(text: str) -> str:
    """A foreign error's text without any credentials of this process."""
    for name, value in os.environ.items():
        if _SECRET.search(name) and len(value) > 3:
            text = text.replace(value, "***")
    return re.sub(r"://[^/@\s]+@", "://***@", text)
