"""A Spark client's connection: bytes between its socket and its ``Session``."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Protocol

from stoker.core import messages as m
from stoker.gateway.session import Returning, Session
from stoker.gateway.spark_rpc import Address, FrameReader, RpcError

LOG = logging.getLogger("stoker.gateway")
PEER_PREFIX = b"spark/"  # of the routing ids of all connections here; ZeroMQ peers' begin with their role
_MOST_WAITING = 100  # messages of one client that wait for the master, above which it is not read
_MOST_UNREAD = 8 << 20  # bytes a client may leave unread before it is given up


class Hub(Protocol):
    """What a connection needs of the gateway."""

    def opened(self, connection: SparkConnection) -> None: ...

    def closed(self, connection: SparkConnection) -> None: ...

    def post(self, peer: bytes, message: m.Message) -> None: ...


class SparkConnection(asyncio.Protocol):
    """``master`` is what we are called until the client says what it calls us."""

    def __init__(self, hub: Hub, *, master: Address, returning: Returning | None = None) -> None:
        nonce = secrets.token_hex(8)
        self._hub = hub
        self._transport: asyncio.Transport | None = None
        self._reader = FrameReader()
        self.peer = PEER_PREFIX + nonce.encode()
        self.where = ""
        self._waiting = 0
        self.session = Session(
            token=nonce,
            master=master,
            send=self._send,
            post=self._post,
            log=lambda text: LOG.warning("%s: %s", self.where, text),
            close=self.close,
            returning=returning,
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        host, port = (transport.get_extra_info("peername") or ("?", 0))[:2]
        self.where = f"Spark client at {host}:{port}"
        self._hub.opened(self)

    def data_received(self, data: bytes) -> None:
        try:
            for incoming in self._reader.feed(data):
                if self._transport is None or self._transport.is_closing():
                    return
                self.session.received(incoming)
        except RpcError as error:
            LOG.warning("%s: %s: connection closed", self.where, error)
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._hub.closed(self)

    def _post(self, message: m.Message) -> None:
        self._waiting += 1
        if self._waiting == _MOST_WAITING and self._transport is not None:
            self._transport.pause_reading()
        self._hub.post(self.peer, message)

    def taken(self, count: int) -> None:
        """The master has handled so many of them; heartbeats, which are ours, count too."""
        was_paused = self._waiting >= _MOST_WAITING
        self._waiting = max(0, self._waiting - count)
        if was_paused and self._waiting < _MOST_WAITING and self._transport is not None:
            self._transport.resume_reading()

    def close(self) -> None:
        """After what was sent is out."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _send(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() + len(data) > _MOST_UNREAD:
            LOG.warning("%s does not read what it is sent: given up", self.where)
            self.abort()
        else:
            self._transport.write(data)
