"""Delay callers that keep sending invalid tokens, or wrong secrets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

FAILURES = 10  # failures in a row, after which an address has to wait
WINDOW = 60.0  # seconds after which a failure is forgotten
_MOST_ADDRESSES = 10_000


class Throttle:
    """Counts failures by address. Thread-safe. ``clock`` returns monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: dict[str, list[float]] = {}  # address -> when, oldest first

    def wait(self, address: str) -> float:
        """Return the seconds until that address may try again; 0: now."""
        with self._lock:
            recent = self._recent(address)
            return 0.0 if len(recent) < FAILURES else recent[-FAILURES] + WINDOW - self._clock()

    def failed(self, address: str) -> None:
        with self._lock:
            recent = self._recent(address)
            while address not in self._failures and len(self._failures) >= _MOST_ADDRESSES:
                del self._failures[next(iter(self._failures))]
            self._failures[address] = [*recent, self._clock()][-FAILURES:]

    def succeeded(self, address: str) -> None:
        with self._lock:
            self._failures.pop(address, None)

    def _recent(self, address: str) -> list[float]:
        since = self._clock() - WINDOW
        return [when for when in self._failures.get(address, ()) if when > since]
