"""A loopback port of this machine, forwarded through an ssh connection.

Whoever connects to it has the rights of the unix user who logged in. So only processes of this user and of root may: the
kernel reports whose a connection is. It does so on Linux only.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING

from stoker.errors import Refused
from stoker.io.peer_user import is_own_or_root, name_of_user, peer_user

if TYPE_CHECKING:
    from paramiko import Channel, Transport

CHUNK = 65536  # bytes
KNOWS_USERS = sys.platform == "linux"


class Forward:
    """Connections to ``port`` of 127.0.0.1 reach ``host:port_there`` as the ssh server sees it. A refused one is closed
    here, and the next is tried again. Connections of other unix users are closed at once. A context manager; raises Refused
    if the server forwards nothing."""

    def __init__(self, transport: Transport, host: str, port_there: int, *, port: int = 0) -> None:
        self._transport = transport
        self._there = (host, port_there)
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._closed = False
        self._rejected: set[int] = set()  # users that were reported

    def __enter__(self) -> Forward:
        try:
            self._channel(("127.0.0.1", 0)).close()
        except Refused:
            self._listener.close()
            raise
        threading.Thread(target=self._accept, name=f"forward-{self.port}", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # close() alone does not end an accept()
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection, address = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection, address), daemon=True).start()

    def _serve(self, connection: socket.socket, address: tuple[str, int]) -> None:
        with connection:
            if KNOWS_USERS and not self._is_ours(connection):
                return
            try:
                channel = self._channel(address)
            except Refused:
                return
            with channel:
                back = threading.Thread(target=_pump, args=(channel, connection), daemon=True)
                back.start()
                _pump(connection, channel)
                back.join()

    def _is_ours(self, connection: socket.socket) -> bool:
        user = peer_user(connection)
        if is_own_or_root(user):
            return True
        if user is not None and user not in self._rejected:
            self._rejected.add(user)
            who = f"user {name_of_user(user)}"
            print(f"stoker: rejected a connection of {who} to port {self.port}", file=sys.stderr, flush=True)
        return False

    def _channel(self, origin: tuple[str, int]) -> Channel:
        from paramiko import ChannelException, SSHException  # noqa: PLC0415 - an extra

        try:
            return self._transport.open_channel("direct-tcpip", self._there, origin)
        except ChannelException as error:
            if error.code == 1:  # SSH_OPEN_ADMINISTRATIVELY_PROHIBITED (RFC 4254, 5.1)
                raise Refused("the ssh server forwards no ports: allow it there (AllowTcpForwarding)") from None
            raise Refused(f"nobody listens at {self._there[0]}:{self._there[1]} there") from None
        except (SSHException, EOFError, OSError) as error:
            raise Refused(f"the ssh connection is over: {error}") from None


def _pump(source: socket.socket | Channel, sink: socket.socket | Channel) -> None:
    """Copy bytes from one to the other until the end, and close."""
    with contextlib.suppress(OSError, EOFError):
        while data := source.recv(CHUNK):
            sink.sendall(data)
    with contextlib.suppress(OSError, EOFError):
        sink.shutdown(socket.SHUT_WR) if isinstance(sink, socket.socket) else sink.shutdown_write()
