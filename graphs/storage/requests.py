"""How many requests this process has sent to S3."""

from __future__ import annotations

import threading

_lock = threading.Lock()
_made = 0


def requests_made() -> int:
    """Requests that this process has sent to S3 so far, each page of a listing one of them.

    What the client sends again after a cut connection or a 503 is not seen from here.
    """
    return _made


def count(requests: int) -> None:
    """Adds requests to the sum."""
    global _made
    with _lock:
        _made += requests
