"""How a job ended, left in the store by the job for whoever submitted it.

The submitter chooses the URI: ``<dataset or registry>/jobs/<submission id>.json``.
"""

from __future__ import annotations

from graphs.spec import Outcome
from graphs.storage.objects import Store
from graphs.storage.records import decode, encode


def write_outcome(uri: str, outcome: Outcome) -> None:
    """Writes a job's outcome to its full URI, over an earlier one."""
    store, name = _split(uri)
    store.put(name, encode(outcome))


def read_outcome(uri: str) -> Outcome | None:
    """A job's outcome; ``None`` if the job did not live to write one.

    Raises:
        StorageError: what is there is no outcome.
    """
    store, name = _split(uri)
    found = store.find(name)
    return None if found is None else decode(Outcome, found.data, uri)


async def read_outcome_async(uri: str) -> Outcome | None:
    """Like :func:`read_outcome`, without blocking the event loop."""
    store, name = _split(uri)
    data = await store.get_async(name)
    return None if data is None else decode(Outcome, data, uri)


def _split(uri: str) -> tuple[Store, str]:
    folder, _, name = uri.rpartition("/")
    return Store.open(folder), name
