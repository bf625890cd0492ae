"""The TCP connection of a peer, which ZeroMQ hides: where it comes from, how much the peer has not received, its end."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

log: logging.Logger = logging.getLogger(__name__)
_PASSED_ON = b"\0stoker-passed-on/"  # begins the name of a unix socket by which this process passes a connection on
_CREDENTIALS = struct.Struct("=iII")  # struct ucred: pid, uid, gid
_ACKED = 120  # offset of tcpi_bytes_acked in struct tcp_info (linux/tcp.h, Linux 4.1), eight bytes
_RECEIVED = 128  # that of tcpi_bytes_received, likewise


class Traffic(NamedTuple):
    """Bytes of a TCP connection: what its peer has acknowledged, and what was received from it."""

    acknowledged: int
    received: int


@dataclass(slots=True)
class Connection:
    """libzmq closes descriptors in its own thread and the kernel reuses them, so the inode says whether a descriptor is still
    that connection's. ``serial`` is that of the connection's user id."""

    fd: int
    serial: int
    inode: int
    _sent: int = field(default=0, init=False)  # bytes
    _received: int = field(default=0, init=False)  # of them, what the peer had acknowledged at the last look
    _address: str | None = field(default=None, init=False)  # asked once
    _sender: str | None = field(default=None, init=False)  # likewise

    @classmethod
    def of(cls, fd: int, serial: int) -> Connection:
        """The connection at ``fd``; of one that the door passed on, that which the door accepted."""
        try:
            found = cls(fd, serial, os.fstat(fd).st_ino)
            with found._opened() as accepted:
                outer = _passed_on(accepted) if accepted.family == socket.AF_UNIX else None
            return found if outer is None else cls(outer[0], serial, outer[1])
        except OSError:  # closed meanwhile
            return cls(fd, serial, -1)

    def address(self) -> str:
        """Return the host at the other end; "" when the connection is closed."""
        if self._address is None:
            self._address = self._peer_address()
        return self._address

    def _peer_address(self) -> str:
        try:
            with self._opened() as connection:
                return "" if connection.family == socket.AF_UNIX else str(connection.getpeername()[0])
        except OSError:
            return ""

    def sender(self) -> str:
        """Return who has the other end: a unix user of this machine, or an address."""
        if self._sender is None:
            try:
                with self._opened() as connection:
                    self._sender = sender_of(connection)
            except OSError:
                self._sender = ""
        return self._sender

    def traffic(self, port: int) -> Traffic | None:
        """Return the bytes both ways; None if the connection is closed, is not one to ``port`` here, or the kernel does not
        count them."""
        try:
            with self._opened() as connection:
                if connection.family == socket.AF_UNIX or connection.getsockname()[1] != port:
                    return None
                info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RECEIVED + 8)
        except OSError:
            return None
        return Traffic(*struct.unpack_from("=QQ", info, _ACKED)) if len(info) >= _RECEIVED + 8 else None

    def is_over(self, limit: int, size: int) -> bool:
        """Count ``size`` more bytes sent; return whether over ``limit`` bytes are on their way now. ZeroMQ counts
        messages only; the kernel knows what the peer has acknowledged. False where it does not tell."""
        self._sent += size
        if self._sent - self._received <= limit:
            return False
        try:
            with self._opened() as connection:
                is_unix = connection.family == socket.AF_UNIX
                info = b"" if is_unix else connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED + 8)
        except OSError:
            return False
        if len(info) < _ACKED + 8:
            return False
        # Encryption and framing add to what was counted: a peer that has received all has acknowledged more.
        acked: int = struct.unpack_from("=Q", info, _ACKED)[0]
        self._received = min(acked, self._sent)
        return self._sent - self._received > limit

    def shut_down(self) -> None:
        """End the connection. A ROUTER cannot: it would still deliver what is queued for the peer."""
        try:
            with self._opened() as connection:
                connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            log.debug("descriptor %d was closed before", self.fd)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[socket.socket]:
        """Yield the socket. Raises OSError when the connection is closed."""
        with socket.socket(fileno=os.dup(self.fd)) as connection:
            if os.fstat(connection.fileno()).st_ino != self.inode:
                raise ConnectionError("closed")
            yield connection


def sender_of(connection: socket.socket) -> str:
    """Return who has the other end of a TCP connection: a unix user of this machine, or an address. Raises OSError when it
    is closed."""
    from stoker.io.peer_user import name_of_user, peer_user  # noqa: PLC0415 - masters only; clients import this module

    user = peer_user(connection)
    return str(connection.getpeername()[0]) if user is None else f"user {name_of_user(user)}"


def name_for(outer: socket.socket) -> bytes:
    """Return a name for the unix socket by which ``outer``, an accepted connection, is passed on: ``Connection`` finds that
    by it. Raises OSError when it is closed."""
    fd = outer.fileno()
    nonce = os.urandom(8).hex().encode()  # so that no other process has the name already
    return b"%s%d/%d/%s" % (_PASSED_ON, fd, os.fstat(fd).st_ino, nonce)


def _passed_on(inner: socket.socket) -> tuple[int, int] | None:
    """Return the descriptor and the inode of the connection that comes by ``inner``; None if another process made it."""
    name = inner.getpeername()
    pid = _CREDENTIALS.unpack(inner.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[0]
    if pid != os.getpid() or not isinstance(name, bytes) or not name.startswith(_PASSED_ON):
        return None
    fd, inode, _ = name.removeprefix(_PASSED_ON).split(b"/")
    return int(fd), int(inode)
