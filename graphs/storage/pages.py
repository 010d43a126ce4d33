"""Listings, page by page: one that is cut off goes on where it was.

The client asks again for everything else that breaks off half-way, but not for a page of a listing,
nor where the body of a refusal (404, 412) does.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeVar

import obstore
from obstore.exceptions import BaseError

T = TypeVar("T")

PAGE = 1000
"""Objects on a page, in every S3."""

_TRIES = 6
"""Times that one page is asked for, at most."""


def pages(objects: int) -> int:
    """How many pages that many objects come on."""
    return max(1, -(-objects // PAGE))


def list_objects(backend: Any, prefix: str | None, start: str | None = None) -> list[Any]:
    """What obstore says of every object below a prefix, behind ``start`` where that is given."""
    found: list[Any] = []

    def go_on() -> list[Any]:
        if not _is_sorted(found):  # as S3 promises; without it, no object tells where to go on
            found.clear()
        after = found[-1]["path"] if found else start
        for chunk in obstore.list(backend, prefix, offset=after, chunk_size=PAGE):
            found.extend(chunk)
        return found

    return again(go_on, lambda: len(found))


def list_folder(backend: Any, prefix: str | None) -> Any:
    """What obstore says of the objects and folders directly below a prefix."""
    return again(lambda: obstore.list_with_delimiter(backend, prefix), lambda: 0)


def again(ask: Callable[[], T], reached: Callable[[], int] = lambda: 0) -> T:
    """Asks until it is answered in full; gives up only where it gets no further."""
    tries, before = 0, 0
    while True:
        try:
            return ask()
        except BaseError as error:
            tries = 1 if reached() > before else tries + 1
            before = reached()
            if tries >= _TRIES or "response body" not in str(error):
                raise
        time.sleep(random.uniform(0, 0.1 * 2**tries))  # noqa: S311 - no secret, only jitter


def _is_sorted(found: list[Any]) -> bool:
    return all(one["path"] < other["path"] for one, other in pairwise(found))
