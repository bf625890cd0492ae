"""Waiting for a condition with a deadline: never sleep and hope."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T | None], *, within: float = 20.0, what: str | Callable[[], str] = "") -> T:
    """The first true value of ``condition``; AssertionError after ``within`` seconds, which says ``what`` (a callable is
    asked then)."""
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, (
            f"not within {within} s: {(what() if callable(what) else what) or condition}"
        )
        time.sleep(0.01)
