"""The masters an application may talk to: who is connected, who is tried again when (spec 9.4).

A connection that fails is tried again for ever, after a jittered back-off of 50 ms doubling up to 2 s. Times are
``time.monotonic`` seconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from enum import Enum
from typing import Protocol

BACKOFF_FIRST = 0.05
BACKOFF_CAP = 2.0
CONNECT_TIMEOUT = 5.0
MAX_MASTERS = 16  # given ones, and leaders that standbys named
NEVER = float("inf")

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+):\d{1,5}")


class Rng(Protocol):
    def random(self) -> float: ...


class LinkState(Enum):
    WAITING = "waiting"  # for ``due``, to connect
    CONNECTING = "connecting"  # until ``due`` at the latest
    OPEN = "open"


class Master:
    """One address. ``due`` is when something is to be done about it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.link = LinkState.WAITING
        self.due = 0.0
        self.failures = 0  # in a row, without a registration in between
        self.why = "no answer"
        self.denied = False
        self.requests: set[int] = set()  # registrations sent on this connection, unanswered


class Masters:
    def __init__(self, addresses: tuple[str, ...], rng: Rng) -> None:
        self._given = frozenset(addresses)
        self._table = {address: Master(address) for address in addresses}
        self._rng = rng

    def __iter__(self) -> Iterator[Master]:
        return iter(tuple(self._table.values()))

    def get(self, address: str) -> Master | None:
        return self._table.get(address)

    def learn(self, address: str, now: float) -> None:
        """A standby named the leader: try that one too, at once."""
        if len(self._table) < MAX_MASTERS and _ADDRESS.fullmatch(address):
            master = self._table.setdefault(address, Master(address))
            if master.link is LinkState.WAITING:
                master.due = min(master.due, now)

    def tell(self, addresses: tuple[str, ...], now: float) -> None:
        """The leader said which masters there are: try new ones, and forget those that were only heard of, are not
        listed any more and cannot be reached."""
        if not addresses:
            return
        for address, master in list(self._table.items()):
            if address not in addresses and address not in self._given and master.link is LinkState.WAITING:
                del self._table[address]
        for address in addresses:
            if address not in self._table:
                self.learn(address, now)

    def next_try(self, master: Master, now: float) -> float:
        """When to try again after one more failure."""
        master.failures += 1
        delay = min(BACKOFF_FIRST * 2.0 ** min(master.failures - 1, 10), BACKOFF_CAP)
        if master.denied:
            delay = BACKOFF_CAP
        return now + delay * (0.5 + 0.5 * self._rng.random())

    def failed(self, master: Master, now: float, why: str, *, denied: bool = False) -> None:
        master.why, master.denied = why, denied
        master.link, master.due = LinkState.WAITING, self.next_try(master, now)
        master.requests.clear()

    @property
    def all_denied(self) -> bool:
        return all(master.denied and master.link is LinkState.WAITING for master in self)

    def complaints(self) -> str:
        """Each master and why it is of no use, on one line."""
        return "; ".join(
            master.why if master.address in master.why else f"{master.address}: {master.why}" for master in self
        )


def sane_interval(seconds: float) -> float:
    """Between two heartbeats, whatever a master asks for."""
    return min(max(seconds, 0.05), 300.0) if math.isfinite(seconds) else 15.0
