"""Rate limits for log lines that peers cause: no peer can make the log grow without bound."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

WINDOW = 60.0  # seconds
OF_ONE = 5  # lines of one kind about one peer in a window
OF_ALL = 60  # lines of one kind about all peers in a window
_KNOWN = 1000  # peers and kinds that are remembered; beyond them the limit for all holds


def name_of(routing_id: bytes) -> str:
    """Return what of a routing id, ROLE/NAME/NONCE, is the same over reconnections."""
    return routing_id.rpartition(b"/")[0].decode(errors="replace")


class PeerLog:
    """Warnings about peers. ``warning`` may be called from any thread; ``clock`` gives monotonic seconds."""

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: OrderedDict[tuple[str, str], _Window] = OrderedDict()

    def warning(self, peer: str, kind: str, text: str) -> bool:
        """Log ``text``, unless the log has enough lines of this ``kind`` about ``peer``; return whether it was logged.
        ``peer`` must be the same over reconnections: the machine's address, or the name of its key. The next logged line
        gives the number of omitted ones."""
        with self._lock:
            now = self._clock()
            own, everybody = self._window(peer, kind, now), self._window("", kind, now)
            if own.lines >= OF_ONE or everybody.lines >= OF_ALL:
                own.left_out += 1
                return False
            own.lines += 1
            everybody.lines += 1
            more = f" ({own.left_out} more like it were not logged)" if own.left_out else ""
            own.left_out = 0
            if own.lines == OF_ONE:
                more += f" (more like it from {peer} are counted only, for {WINDOW:.0f} s)"
        self._logger.warning("%s%s", text, more)
        return True

    def _window(self, peer: str, kind: str, now: float) -> _Window:
        found = self._windows.get((peer, kind))
        if found is None:
            if len(self._windows) >= _KNOWN:
                self._windows.popitem(last=False)
            found = self._windows[peer, kind] = _Window(now)
        elif now >= found.begun + WINDOW:
            found.begun, found.lines = now, 0
        self._windows.move_to_end((peer, kind))
        return found


class _Window:
    __slots__ = ("begun", "left_out", "lines")

    def __init__(self, begun: float) -> None:
        self.begun = begun
        self.lines = 0
        self.left_out = 0
