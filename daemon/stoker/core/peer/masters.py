"""The masters that a peer may talk to: their addresses in order of preference, and when each is tried again.

A link that fails is tried again indefinitely, after a jittered pause of 10 ms that doubles up to a cap. Times are
``time.monotonic`` seconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from enum import Enum

from stoker.core.model.values import Rng

BACKOFF_FIRST = 0.01  # short: a dying master resets its links before it closes the port, and a standby leads soon after
BACKOFF_CAP = 2.0
CONNECT_TIMEOUT = 5.0
MAX_MASTERS = 16  # those given at the start, and leaders that standbys named
NEVER = float("inf")

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+):\d{1,5}")


class LinkState(Enum):
    WAITING = "waiting"  # for ``due``, to connect
    CONNECTING = "connecting"  # until ``due`` at the latest
    OPEN = "open"


class Master:
    """One address. ``due`` is when its link needs attention."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.link = LinkState.WAITING
        self.due: float = 0.0
        self.failures = 0  # in a row, since this master last served us
        self.why = "no answer"  # why it cannot be used
        self.denied = False
        self.registrations: set[int] = set()  # request numbers; sent on this link, not answered


class Masters:
    """The first in order is tried first. ``cap`` is the longest pause, in seconds."""

    def __init__(self, addresses: tuple[str, ...], rng: Rng, *, cap: float = BACKOFF_CAP) -> None:
        self._given = frozenset(addresses)
        self._table = {address: Master(address) for address in addresses}
        self._rng = rng
        self._cap = cap

    def __iter__(self) -> Iterator[Master]:
        return iter(tuple(self._table.values()))

    def get(self, address: str) -> Master | None:
        return self._table.get(address)

    # --- who there is, and who is tried first -------------------------------------------------------------------------

    def learn(self, address: str, now: float, *, named_by: Master | None = None) -> Master | None:
        """A standby named the leader: try it at once. With ``named_by`` only if that one has failed more often, or two
        masters that name each other would be asked in turn without a pause. None for an invalid address."""
        if address not in self._table and (len(self._table) >= MAX_MASTERS or not _ADDRESS.fullmatch(address)):
            return None
        master = self._table.setdefault(address, Master(address))
        if master.link is LinkState.WAITING and (named_by is None or master.failures < named_by.failures):
            master.due = min(master.due, now)
        return master

    def update(self, addresses: tuple[str, ...], now: float) -> None:
        """The leader sent its list of masters: try new ones. Forget those that were not given at the start, are no longer
        listed, and cannot be reached."""
        if not addresses:
            return
        for address, master in list(self._table.items()):
            if address not in addresses and address not in self._given and master.link is LinkState.WAITING:
                del self._table[address]
        for address in addresses:
            if address not in self._table:
                self.learn(address, now)

    def prefer(self, master: Master) -> None:
        self._table = {master.address: master} | self._table

    def defer(self, master: Master) -> None:
        del self._table[master.address]
        self._table[master.address] = master

    # --- failures -----------------------------------------------------------------------------------------------------

    def next_try(self, master: Master, now: float) -> float:
        """When to try again after one more failure."""
        master.failures += 1
        delay = min(BACKOFF_FIRST * 2.0 ** min(master.failures - 1, 10), self._cap)
        if master.denied:
            delay = self._cap
        return now + delay * (0.5 + 0.5 * self._rng.random())

    def failed(self, master: Master, now: float, why: str, *, denied: bool = False) -> None:
        """Note that the link failed."""
        master.why, master.denied = why, denied
        master.link, master.due = LinkState.WAITING, self.next_try(master, now)
        master.registrations.clear()

    @property
    def all_denied(self) -> bool:
        return all(master.denied and master.link is LinkState.WAITING for master in self)

    @property
    def any_denied(self) -> bool:
        return any(master.denied for master in self)

    def complaints(self) -> str:
        """Return each master and why it cannot be used, on one line."""
        return "; ".join(
            master.why if master.address in master.why else f"{master.address}: {master.why}" for master in self
        )


def sane_interval(seconds: float) -> float:
    """Return seconds between two heartbeats, within bounds whatever a master asks for."""
    return min(max(seconds, 0.05), 300.0) if math.isfinite(seconds) else 15.0
