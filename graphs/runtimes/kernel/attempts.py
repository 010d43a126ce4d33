"""Calling an author's code: limited in time, and again after a failure that may pass."""

from __future__ import annotations

import contextvars
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from graphs.errors import NodeError
from graphs.ir import Behaviour

FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 5.0
"""The longest wait before the first retry, which doubles with each, and its bound."""


def attempt(function: Callable[..., Any], arguments: dict[str, Any], behaviour: Behaviour) -> Any:
    """Call a function as its node's behaviour says.

    Raises:
        TimeoutError: it took longer than ``timeout_s``, every time.
        Exception: whatever it raises the last time.
    """
    for tried in range(behaviour.retries + 1):
        try:
            if behaviour.timeout_s is None:
                return function(**arguments)
            return _timed(function, arguments, behaviour.timeout_s)
        except NodeError:
            raise
        except Exception as error:
            if tried == behaviour.retries or not _is_worth_it(error, behaviour.retry_on):
                raise
            # Full jitter: workers that failed together do not come back together.
            time.sleep(random.uniform(0, min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**tried)))  # noqa: S311
    raise AssertionError("unreachable: the last attempt returns or raises")


def _timed(function: Callable[..., Any], arguments: dict[str, Any], timeout_s: float) -> Any:
    """One call in a thread of its own. One that is over its time goes on where nobody waits for
    it, since Python cannot stop it; being a daemon, it does not keep the process alive."""
    returned: list[Any] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            returned.append(function(**arguments))
        except BaseException as error:
            raised.append(error)

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(run,), daemon=True)
    thread.start()
    thread.join(timeout_s)
    if returned:
        return returned[0]
    if raised:
        raise raised[0]
    raise TimeoutError(f"took longer than {timeout_s:g} s")


def _is_worth_it(error: Exception, names: tuple[str, ...]) -> bool:
    return not names or any(kind.__name__ in names for kind in type(error).__mro__)
