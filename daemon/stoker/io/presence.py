"""Who is connected: joins a ROUTER's monitor events, about file descriptors, with the peers that messages name.

The monitor reports that a connection was accepted on, or closed with, a *file descriptor*; a message carries its peer's
routing id and the descriptor it came in by. Neither alone says which peer is gone. The two streams are not in step, and
the kernel reuses a descriptor at once. What can be relied on (libzmq 4.3, one I/O thread):

* of one descriptor, ``accepted`` and ``closed`` events come in their true order;
* ``accepted`` is in the monitor before the first message of that connection is in the socket;
* messages of a closed connection may still be queued, so a connection stays *ending* until the queue was seen empty;
* the serial that ``Admission`` gave a connection is higher than those of earlier connections of its descriptor.

So the connections of a descriptor are numbered, and the peers heard on it are kept in the order of their serials. A
peer sits on the newest connection there was when it was first heard, or, if a later peer sits there, on the one before
that peer's; when that connection is over, so is the peer. It may sit too high, where a connection came and went unheard
in between: then it is given up when somebody later speaks or the descriptor closes. But it never sits too low: no living
peer is ever given up, nor one that still has messages queued.

No I/O here: events in, peers out.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field
from typing import NamedTuple


class Ended(NamedTuple):
    """A connection that is closed: the ``number``th of its descriptor."""

    fd: int
    number: int


class _Heard(NamedTuple):
    serial: int
    peer: bytes
    highest: int  # number of the newest connection when the peer was first heard


@dataclass(slots=True)
class _Descriptor:
    first: int = 1  # number of the oldest connection that may still have messages queued
    last: int = 0  # number of the newest connection
    open: bool = False  # whether that is open
    heard: list[_Heard] = field(default_factory=list)  # ascending; never more than there are connections


class Presence:
    """The connections of one ROUTER. Each ``heard`` peer is reported as gone exactly once, never while it lives."""

    def __init__(self) -> None:
        self._descriptors: dict[int, _Descriptor] = {}
        self._peers: dict[bytes, tuple[int, int]] = {}  # peer -> (descriptor, serial)
        self._ending: list[Ended] = []
        self._gone: list[bytes] = []

    def __contains__(self, peer: bytes) -> bool:
        return peer in self._peers

    def __len__(self) -> int:
        return len(self._peers)

    def accepted(self, fd: int) -> None:
        self.closed(fd)  # libzmq closes the loser of a hand-over without an event
        row = self._descriptors.setdefault(fd, _Descriptor())
        row.last += 1
        row.open = True

    def closed(self, fd: int) -> None:
        row = self._descriptors.get(fd)
        if row is not None and row.open:
            row.open = False
            self._ending.append(Ended(fd, row.last))

    def ending(self) -> list[Ended]:
        """Those that are closed but not yet ``settle``d, in the order of their ends."""
        return list(self._ending)

    def settle(self, ended: list[Ended]) -> None:
        """The socket's queue was empty after these (the first of ``ending``) had closed: nothing of theirs follows."""
        del self._ending[: len(ended)]
        for fd, number in ended:
            row = self._descriptors[fd]
            row.first = number + 1
            self._unseat(fd, row)
            if row.first > row.last:
                del self._descriptors[fd]

    def heard(self, peer: bytes, fd: int, serial: int) -> bool:
        """Note a message of ``peer`` received on ``fd``. False: its connection was given up already; drop the
        message."""
        if self._peers.get(peer) == (fd, serial):
            return True
        row = self._descriptors.get(fd)
        if row is None or any(serial == known.serial for known in row.heard):
            return False
        entry = _Heard(serial, peer, row.last)
        bisect.insort(row.heard, entry)
        self._unseat(fd, row)
        if entry not in row.heard:
            return False
        self._peers[peer] = (fd, serial)  # a peer that was heard elsewhere has simply moved
        return True

    def drop(self, peer: bytes) -> None:
        """Give a peer up although its connection is open; only by a new connection will it be heard again."""
        if self._peers.pop(peer, None) is not None:
            self._gone.append(peer)

    def take_gone(self) -> list[bytes]:
        """The peers given up since the last call."""
        gone, self._gone = self._gone, []
        return gone

    def _unseat(self, fd: int, row: _Descriptor) -> None:
        """Give up the peers whose connection has ended."""
        seat = row.last + 1
        for index in range(len(row.heard) - 1, -1, -1):
            seat = min(seat - 1, row.heard[index].highest)
            if seat < row.first:
                for serial, peer, _ in row.heard[: index + 1]:
                    if self._peers.get(peer) == (fd, serial):
                        self.drop(peer)
                del row.heard[: index + 1]
                return
