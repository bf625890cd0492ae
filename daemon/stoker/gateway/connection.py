"""A Spark client's connection: authenticates it, and carries bytes between its socket and its ``Session``."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Protocol

from stoker.core.model import messages as m
from stoker.core.model.addresses import address_of
from stoker.gateway.crypto import Stream
from stoker.gateway.guard import Caller, Guard
from stoker.gateway.sasl import AuthError
from stoker.gateway.session import Returning, Session
from stoker.gateway.spark_rpc import Address, Frame, FrameReader, Kind, RpcError, failure, frame
from stoker.io.peer_log import PeerLog

PEERS = PeerLog(logging.getLogger("stoker.gateway"))
PEER_PREFIX = b"spark/"  # of the routing ids of all connections here; ZeroMQ peers' begin with their role
_MOST_WAITING = 100  # messages of one client that wait for the master, above which it is not read
_MOST_UNREAD = 8 << 20  # bytes a client may leave unread above which its connection is closed
_UNPROVEN = 30.0  # seconds to authenticate
_REFUSED = 10.0  # seconds for a rejected client to read why and hang up; Spark's driver tries again after 20


class Hub(Protocol):
    """The gateway, as its connections use it."""

    def opened(self, connection: SparkConnection) -> None: ...

    def closed(self, connection: SparkConnection) -> None: ...

    def post(self, peer: bytes, message: m.Message) -> None: ...


class SparkConnection(asyncio.Protocol):
    """``master`` is this master's address until the client names the one it uses. With a ``secret`` the client must
    authenticate before anything else. On a connection to a driver (``returning``) this side authenticates instead."""

    def __init__(self, hub: Hub, *, master: Address, secret: str = "", returning: Returning | None = None) -> None:
        nonce = secrets.token_hex(8)
        self.peer: bytes = PEER_PREFIX + nonce.encode()
        self.where = ""
        self._host = ""
        self.proven: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._hub = hub
        self._transport: asyncio.Transport | None = None
        self._reader = FrameReader()
        self._waiting = 0
        self.has_spoken = False  # to the master, which learns of its end only then
        self._guard = Guard(secret, _nonce) if secret and returning is None else None
        method = returning.app.spark.auth if returning is not None and returning.app.spark is not None else ""
        self._caller = Caller(secret, method, _nonce) if method else None
        self._first = bytearray()  # encrypted, and too short to find the version
        self._stream: Stream | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._refusal = ""  # why the client is rejected
        self.session: Session = Session(
            token=nonce,
            master=master,
            send=self._send,
            post=self._post,
            log=lambda kind, text: PEERS.warning(self._host, kind, f"{self.where}: {text}"),
            close=self.close,
        )

    # --- asyncio's calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        host, port = (transport.get_extra_info("peername") or ("?", 0))[:2]
        self._host = str(host)
        self.where = f"Spark client at {address_of(host, port)}"
        self._hub.opened(self)
        if self._guard is not None or self._caller is not None:
            self._restart_timer(_UNPROVEN, self.abort)
        if self._caller is not None:
            self._send(frame(Kind.RPC_REQUEST, self._caller.first(), request=1))
        if self._guard is None and self._caller is None:
            self.proven.set_result(None)

    def data_received(self, data: bytes) -> None:
        try:
            for incoming in self._reader.feed(self._decrypted(data)):
                if self._transport is None or self._transport.is_closing():
                    return
                if self.proven.done():
                    self.session.received(incoming)
                elif self._guard is not None:
                    self._be_convinced(self._guard, incoming)
                elif self._caller is not None:
                    self._convince(self._caller, incoming)
        except (RpcError, AuthError) as error:
            PEERS.warning(self._host, "closed", f"{self.where}: {error}: connection closed")
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        if not self.proven.done():
            self.proven.cancel()
        self._hub.closed(self)

    # --- authentication ---

    def _be_convinced(self, guard: Guard, incoming: Frame) -> None:
        if self._refusal:
            self._refuse(incoming)
            return
        try:
            answer = guard.received(incoming.body)
        except AuthError as error:
            if incoming.kind is not Kind.RPC_REQUEST:
                raise
            PEERS.warning(self._host, "secret", f"{self.where} was rejected: {error}")
            self._refusal = f"the master rejects this client: {error}"
            self._refuse(incoming)
            self._restart_timer(_REFUSED, self.close)
            return
        self._send(frame(Kind.RPC_RESPONSE, answer, incoming.request))
        if guard.is_done:
            self.session.auth = guard.method
            self._prove()

    def _refuse(self, incoming: Frame) -> None:
        """Leave closing to the client. If this side closed, Spark would interrupt its thread that reads the answer, and log
        an InterruptedException instead of the reason."""
        if incoming.kind is Kind.RPC_REQUEST:
            self._send(failure(incoming.request, self._refusal))

    def _convince(self, caller: Caller, incoming: Frame) -> None:
        if incoming.kind is not Kind.RPC_RESPONSE:
            raise AuthError("the driver rejects this master: its spark.authenticate.secret differs")
        following = caller.received(incoming.body)
        if following is not None:
            self._send(frame(Kind.RPC_REQUEST, following, incoming.request + 1))
            return
        self._stream = caller.stream
        self._prove()

    def _restart_timer(self, seconds: float, call: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, call)

    def _prove(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.proven.set_result(None)

    def _decrypted(self, data: bytes) -> bytes:
        if self._stream is not None:
            return self._stream.decrypt(data)
        if self._guard is None or not self._guard.encrypts:
            return data
        self._first += data
        if len(self._first) < 8:
            return b""
        self._stream, plain = self._guard.choose(bytes(self._first))
        self.session.auth = self._guard.method
        return plain

    # --- both ways ---

    def _post(self, message: m.Message) -> None:
        self._waiting += 1
        self.has_spoken = True
        if self._waiting == _MOST_WAITING and self._transport is not None:
            self._transport.pause_reading()
        self._hub.post(self.peer, message)

    def taken(self, count: int) -> None:
        """Note that the master has handled ``count`` messages, the gateway's heartbeats included."""
        was_paused = self._waiting >= _MOST_WAITING
        self._waiting = max(0, self._waiting - count)
        if was_paused and self._waiting < _MOST_WAITING and self._transport is not None:
            self._transport.resume_reading()

    def close(self) -> None:
        """Close after everything was sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _send(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() + len(data) > _MOST_UNREAD:
            PEERS.warning(self._host, "slow", f"{self.where} does not read its messages: connection closed")
            self.abort()
        else:
            self._transport.write(data if self._stream is None else self._stream.encrypt(data))


def _nonce() -> str:
    return secrets.token_hex(24)
