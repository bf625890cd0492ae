"""What Spark clients may cost the gateway: time, memory and connections, by caller.

A caller is a machine; on this machine, a unix user. So one caller cannot starve another, however many connections it has. No
I/O here; used in the gateway's thread only.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Protocol

SHARE = 0.2  # of the time of the gateway's thread that one caller may use for long
BURST = 0.25  # seconds that it may use at once
SLICE = 0.01  # seconds after which others have their turn
MOST_BYTES = 16 << 20  # of unfinished messages
MOST_UNPROVEN = 64  # connections that have not authenticated
_KNOWN = 10_000  # callers that are remembered


class Abortable(Protocol):
    def abort(self) -> None: ...


class Crowd:
    """Connections whose peers have not proved anything, by sender, at most ``most`` of each. Of too many the oldest has to
    go: who is honest is through at once, so strangers at the same address do not keep it out."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[str, dict[Abortable, None]] = {}  # sender -> its connections, the oldest first

    def enter(self, sender: str, connection: Abortable) -> Abortable | None:
        """Note a connection. Return the one that has to go, if there are too many now."""
        held = self._held.setdefault(sender, {})
        held[connection] = None
        if len(held) <= self._most:
            return None
        oldest = next(iter(held))
        self.leave(sender, oldest)
        return oldest

    def leave(self, sender: str, connection: Abortable) -> None:
        """Forget a connection that has proved itself or ended."""
        held = self._held.get(sender, {})
        held.pop(connection, None)
        if not held:
            self._held.pop(sender, None)


class Budget:
    """``clock`` returns monotonic seconds. Time is that of a clock, not of the CPU: on a busy machine a message holds the
    thread up for longer."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._free_at: OrderedDict[str, float] = OrderedDict()  # caller -> when all the time it has used is paid for
        self.unproven = Crowd(MOST_UNPROVEN)
        self.unfinished: Counter[str] = Counter()  # bytes

    def wait(self, caller: str) -> float:
        """Return the seconds for which nothing of that caller must be handled."""
        return max(0.0, self._free_at.get(caller, 0.0) - self._clock() - BURST / SHARE)

    def spend(self, caller: str, seconds: float) -> None:
        """Note time that was used for a caller."""
        now = self._clock()
        self._free_at[caller] = max(self._free_at.pop(caller, now), now) + seconds / SHARE
        if len(self._free_at) > _KNOWN:
            self._free_at.popitem(last=False)

    def change(self, count: Counter[str], caller: str, by: int) -> int:
        """Add to one of the counts, and return it. A caller with nothing left is forgotten."""
        count[caller] += by
        if not count[caller]:
            del count[caller]
        return count[caller]
