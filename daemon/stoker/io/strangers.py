"""What the connections to a master's ROUTER may cost before they have authenticated: bytes, and descriptors.

libzmq limits the size of a message, not what a stranger may send: it would keep 16 MiB of a message whose sender has not even
begun to authenticate. Nor does it limit their connections. Its monitor does not say whose handshake is done. But the kernel
counts the bytes of each connection (TCP_INFO): one whose peer has acknowledged more than our greeting and our answer to its
HELLO has been admitted (RFC 26, CurveZMQ). So nothing that an admitted peer sends is ever taken for a stranger's.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from stoker.io.connection import Connection
from stoker.io.peer_log import PeerLog

MOST_BYTES = 4096  # before a stranger is admitted: it needs about 600
MOST_OF_ONE = 256  # connections of one sender that have not been admitted within ``GRACE`` looks
MOST = 16_384  # connections of all senders
GRACE = 50
INTERVAL = 0.1  # seconds between two looks, at least
_SHARE = 0.05  # of the thread's time, at most
_UNTIL_ADMITTED = 64 + 170 + 8  # bytes that a ROUTER sends: its greeting and WELCOME; READY follows. Some reserve

PEERS = PeerLog(logging.getLogger("stoker.io"))


@dataclass(slots=True)
class _Stranger:
    at: Connection
    looks: int = 0  # a thread that is late looks less often, so what it holds up does not count


class Strangers:
    """The connections that were accepted and not yet admitted, the oldest first. ``clock`` returns monotonic seconds."""

    def __init__(self, port: Callable[[], int], clock: Callable[[], float]) -> None:
        self._port = port
        self._clock = clock
        self._waiting: dict[int, _Stranger | None] = {}  # by descriptor; None: not looked at yet
        self._look_at = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def look_by(self) -> float:
        """When ``look`` is due (seconds of the clock); infinite if there are no strangers."""
        return self._look_at if self._waiting else math.inf

    def accepted(self, fd: int) -> None:
        self._waiting.pop(fd, None)
        self._waiting[fd] = None

    def closed(self, fd: int) -> None:
        self._waiting.pop(fd, None)

    def look(self) -> None:
        """Forget those that were admitted. Close those that have sent too much, and the oldest if there are too many."""
        started = self._clock()
        if not self._waiting or started < self._look_at:
            return
        slow: list[tuple[int, _Stranger]] = []
        for fd, known in list(self._waiting.items()):
            stranger = known or _Stranger(Connection.of(fd, 0))
            traffic = stranger.at.traffic(self._port())
            if traffic is None or traffic.acknowledged > _UNTIL_ADMITTED:
                del self._waiting[fd]
                continue
            self._waiting[fd] = stranger
            stranger.looks += 1
            if traffic.received > MOST_BYTES:
                self._close(fd, stranger, f"it has sent {traffic.received} bytes and has not authenticated")
            elif stranger.looks > GRACE:
                slow.append((fd, stranger))
        self._limit(slow)
        self._look_at = self._clock() + max(INTERVAL, (self._clock() - started) / _SHARE)

    def _limit(self, slow: list[tuple[int, _Stranger]]) -> None:
        """Close the oldest of each sender that has too many, and of all."""
        count = Counter(stranger.at.sender() for _, stranger in slow)
        for fd, stranger in slow:
            sender = stranger.at.sender()
            if count[sender] > MOST_OF_ONE:
                count[sender] -= 1
                self._close(fd, stranger, f"{MOST_OF_ONE} others from there have not authenticated either")
        for fd, known in list(self._waiting.items())[: max(0, len(self._waiting) - MOST)]:
            if known is not None:
                self._close(fd, known, f"{MOST} others have not authenticated either")

    def _close(self, fd: int, stranger: _Stranger, reason: str) -> None:
        sender = stranger.at.sender()
        PEERS.warning(sender, "stranger", f"closed a connection of {sender}: {reason}")
        stranger.at.shut_down()
        self._waiting.pop(fd, None)
