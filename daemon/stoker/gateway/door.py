"""The master's door: a listening socket for all who do not mark their connections (io.port), ZeroMQ peers and others.

The first byte of a connection decides: ZMTP opens with 0xFF, a frame of Spark's with 0x00 (its length is far below
2^56). Anything else, or nothing within 15 s, is closed. Of one sender's that are silent, at most ``MOST_SILENT`` stay.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, MutableSet

from stoker.gateway.budget import Crowd
from stoker.gateway.splice import Half
from stoker.io.connection import name_for, sender_of
from stoker.io.peer_log import PeerLog

LOG = logging.getLogger("stoker.gateway")
PEERS = PeerLog(LOG)
SILENCE = 15.0  # seconds until the first byte
MOST_SILENT = 256  # connections of one sender that have sent nothing
_HTTP = (b"GET ", b"HEAD", b"POST", b"PUT ", b"OPTI", b"DELE", b"PATC")
_HTTP_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
    b"This is a Stoker master's port for workers and clients. Its dashboard has another port, 8080 by default.\n"
)
_ZMTP, _SPARK, _TLS = 0xFF, 0x00, 0x16


def watch_for_loss(transport: asyncio.Transport, silence: float) -> None:
    """Have the kernel notice within about ``silence`` seconds that the other machine is unreachable."""
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is None or sock.family == socket.AF_UNIX:
        return
    quarter = max(1, round(silence / 4))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, quarter)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, quarter)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(silence * 1000))


class Doorkeeper(asyncio.Protocol):
    """A connection until its first byte has come; then another protocol takes its transport over."""

    def __init__(
        self,
        inner: str,
        *,
        spark: Callable[[], asyncio.Protocol],
        silence: float,
        transports: MutableSet[asyncio.Transport],
        silent: Crowd,
    ) -> None:
        self._silent = silent
        self._sender = ""
        self._transports = transports  # of all connections, to be closed at the end
        self._inner = inner  # abstract unix socket of the ROUTER
        self._spark = spark
        self._silence = silence
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._transports.add(transport)
        self._timer = asyncio.get_running_loop().call_later(SILENCE, transport.abort)
        watch_for_loss(transport, self._silence)
        with contextlib.suppress(OSError):  # closed meanwhile
            self._sender = sender_of(transport.get_extra_info("socket"))
        oldest = self._silent.enter(self._sender, transport)
        if oldest is not None:
            PEERS.warning(
                self._sender,
                "silent",
                f"closed a connection of {self._sender}: {MOST_SILENT} later ones sent nothing either",
            )
            oldest.abort()

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None and self._timer is not None
        self._timer.cancel()
        self._silent.leave(self._sender, self._transport)
        if data[0] == _ZMTP:
            self._pass_on(Half(), data)
        elif data[0] == _SPARK:
            self._pass_on(self._spark(), data)
        else:
            if data.startswith(_HTTP):
                what = "HTTP, which the dashboard's port speaks"
                self._transport.write(_HTTP_ANSWER)
            else:
                what = "TLS, which this port does not support" if data[0] == _TLS else "neither ZeroMQ nor Spark"
            host, port = (self._transport.get_extra_info("peername") or ("?", 0))[:2]
            PEERS.warning(host, what, f"closed a connection from {host}:{port}: it is {what}")
            self._transport.close()

    def _pass_on(self, protocol: asyncio.Protocol, data: bytes) -> None:
        transport = self._transport
        assert transport is not None
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(data)
        if isinstance(protocol, Half):
            task = asyncio.ensure_future(self._join(protocol))
            task.add_done_callback(_report)

    async def _join(self, outer: Half) -> None:
        assert outer.transport is not None
        outer.transport.pause_reading()
        try:
            inner = await self._connect(outer.transport)
        except OSError:  # the peer has left, or the ROUTER is closed already: the master is stopping
            if outer.transport is not None:
                outer.transport.abort()
            return
        if outer.transport is None:
            if inner.transport is not None:
                inner.transport.abort()
            return
        assert inner.transport is not None
        self._transports.add(inner.transport)
        outer.join(inner)
        outer.transport.resume_reading()

    async def _connect(self, outer: asyncio.Transport) -> Half:
        """Connect to the ROUTER, by a socket whose name tells it which connection this is. Raises OSError."""
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.bind(name_for(outer.get_extra_info("socket")))
            sock.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, self._inner)
            return (await loop.create_unix_connection(Half, sock=sock))[1]
        except BaseException:
            sock.close()
            raise

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None and self._transport is not None:
            self._timer.cancel()
            self._silent.leave(self._sender, self._transport)


def _report(task: asyncio.Future[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        LOG.error("a connection could not be passed on", exc_info=task.exception())
