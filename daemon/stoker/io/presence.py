"""Who is connected: joins what a ROUTER's monitor says about file descriptors with what messages say about peers.

The monitor reports that a connection was accepted on, or closed with, a *file descriptor*; a message carries its peer's
routing id and the descriptor it came in by. Neither alone says which peer is gone. The two streams are not in step, and
the kernel reuses a descriptor at once. What can be relied on (libzmq 4.3, one I/O thread):

* of one descriptor, ``accepted`` and ``closed`` events come in their true order;
* ``accepted`` is in the monitor before the first message of that connection is in the socket;
* messages of a closed connection may still be queued, so a connection stays *ending* until the queue was seen empty.

Where several connections of one descriptor may be the one a first message belongs to, their serials decide (see
``Authorizer.zap_reply``: on one descriptor, later connections have higher serials). Without serials, or where only one
of them has spoken, the newest is taken: a dead peer may then be missed a little later, when the true owner speaks or
the descriptor closes, but a living one is never given up.

No I/O here: events in, peers out.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False, slots=True)
class Connection:
    """One TCP connection; ``peer`` is empty until it has spoken."""

    fd: int
    peer: bytes = b""
    serial: int = 0
    open: bool = True


class Presence:
    """The connections of one ROUTER. Exactly one ``gone`` for every peer ``heard``, and none while it lives."""

    def __init__(self) -> None:
        self._newest: dict[int, Connection] = {}  # by descriptor; open or ending
        self._peers: dict[bytes, Connection] = {}
        self._ending: list[Connection] = []  # closed, but perhaps with messages still queued
        self._gone: list[bytes] = []

    def __contains__(self, peer: bytes) -> bool:
        return peer in self._peers

    def __len__(self) -> int:
        return len(self._peers)

    def accepted(self, fd: int) -> None:
        self.closed(fd)  # libzmq closes the loser of a hand-over without an event
        self._newest[fd] = Connection(fd)

    def closed(self, fd: int) -> None:
        connection = self._newest.get(fd)
        if connection is not None and connection.open:
            connection.open = False
            self._ending.append(connection)

    def ending(self) -> list[Connection]:
        """Those that are closed but not yet ``settle``d."""
        return list(self._ending)

    def heard(self, peer: bytes, fd: int, serial: int) -> bool:
        """A message of ``peer`` came in by ``fd``. False: from a connection given up already; drop it."""
        current = self._peers.get(peer)
        if current is not None and (current.fd, current.serial) == (fd, serial):
            return True
        connection = self._place(fd, serial)
        if connection is None:
            return False
        if current is not None:
            self._forget(current)  # the peer has simply moved
        if connection.peer:
            self._displace(connection)
        connection.peer, connection.serial = peer, serial
        self._peers[peer] = connection
        return True

    def settle(self, ended: list[Connection]) -> None:
        """The socket's queue was empty after these had closed: nothing of theirs can follow."""
        settled = set(map(id, ended))
        self._ending = [connection for connection in self._ending if id(connection) not in settled]
        for connection in ended:
            self._give_up(connection)
            if self._newest.get(connection.fd) is connection:
                del self._newest[connection.fd]

    def drop(self, peer: bytes) -> None:
        """Give a peer up although its connection is open; what it still says there is unheard (``heard`` is False)."""
        connection = self._peers.get(peer)
        if connection is not None:
            self._give_up(connection)
            connection.peer = peer  # the connection stays taken: only a new one brings the peer back

    def take_gone(self) -> list[bytes]:
        """The peers given up since the last call."""
        gone, self._gone = self._gone, []
        return gone

    def _place(self, fd: int, serial: int) -> Connection | None:
        """The connection a first message by ``fd`` belongs to: see the module's text."""
        newest = self._newest.get(fd)
        if newest is not None and newest.open and (not newest.peer or self._is_later(serial, newest)):
            return newest
        unheard = [connection for connection in self._ending if connection.fd == fd and not connection.peer]
        return unheard[-1] if unheard else None

    def _is_later(self, serial: int, connection: Connection) -> bool:
        if connection.peer not in self._peers:  # dropped: it keeps its connection until that closes
            return serial > connection.serial
        return serial >= connection.serial

    def _displace(self, connection: Connection) -> None:
        """Its peer was of an earlier connection of this descriptor: one that is ending still, or over."""
        peer, serial = connection.peer, connection.serial
        if self._peers.get(peer) is not connection:
            return
        earlier = [other for other in self._ending if other.fd == connection.fd and not other.peer]
        if earlier:
            earlier[0].peer, earlier[0].serial = peer, serial
            self._peers[peer] = earlier[0]
        else:
            self._give_up(connection)

    def _give_up(self, connection: Connection) -> None:
        if connection.peer and self._peers.get(connection.peer) is connection:
            self._gone.append(connection.peer)
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        del self._peers[connection.peer]
        connection.peer = b""
