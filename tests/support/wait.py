"""Wait for a condition with a deadline, instead of sleeping for a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T | None], *, within: float = 20.0, what: str | Callable[[], str] = "") -> T:
    """Return the first true value of ``condition``. Raise AssertionError after ``within`` seconds, with ``what`` in its
    text (a callable is called then)."""
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, (
            f"not within {within} s: {(what() if callable(what) else what) or condition}"
        )
        time.sleep(0.01)
