"""A Spark client's connection: authenticates it, and carries bytes between its socket and its ``PeerSession``."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import time
from collections.abc import Callable
from typing import Protocol

from stoker.core.model import messages as m
from stoker.core.model.addresses import address_of, is_loopback
from stoker.core.model.principal import GATEWAY
from stoker.gateway.budget import MOST_BYTES, MOST_UNPROVEN, SLICE, Budget
from stoker.gateway.crypto import Stream
from stoker.gateway.guard import AUTHENTICATION, Caller, Guard
from stoker.gateway.primitives import method_of
from stoker.gateway.replies import removals
from stoker.gateway.sasl import AuthError, WrongSecret
from stoker.gateway.session import PeerSession, Returning
from stoker.gateway.spark_rpc import (
    MAX_FIRST_FRAME,
    MAX_FRAME,
    Address,
    Envelope,
    Frame,
    FrameReader,
    Kind,
    RpcError,
    failure,
    frame,
    seal_envelope,
)
from stoker.gateway.terms import PEER_PREFIX, Terms
from stoker.io.peer_log import PeerLog
from stoker.io.peer_user import is_own_or_root, peer_user
from stoker.security.spark_secrets import SparkSecret
from stoker.security.throttle import Throttle

PEERS = PeerLog(logging.getLogger("stoker.gateway"))
_MOST_WAITING = 100  # messages of one client that wait for the master, above which it is not read
_MOST_UNREAD = 8 << 20  # bytes a client may leave unread above which its connection is closed
_UNPROVEN = 30.0  # seconds to authenticate
_TIMER_ERROR = 0.001  # seconds by which a timer may be early
_REFUSED = 10.0  # seconds for a rejected client to read why and hang up; Spark's driver tries again after 20
CLOSED = (
    "this master has no gateway for Spark applications: set spark.stoker.gateway.enabled true in its spark-defaults.conf and"
    " restart it"
)
FOREIGN_USER = (
    "this master admits only its own user's Spark clients on this machine: set spark.authenticate.secret on it and in the"
    " application, or spark.stoker.gateway.open on it"
)


class Hub(Protocol):
    """The gateway, as its connections use it."""

    budget: Budget
    throttle: Throttle  # of wrong secrets

    def opened(self, connection: SparkConnection) -> None: ...

    def closed(self, connection: SparkConnection) -> None: ...

    def post(self, peer: bytes, message: m.Message, principal: str, pool: str) -> None: ...


class SparkConnection(asyncio.Protocol):
    """``master`` is this master's address until the client names the one it uses. Where ``terms`` ask for a secret
    the client must authenticate before anything else. On a connection to a driver (``returning``) this side
    authenticates instead, with the secret of the application's principal."""

    def __init__(self, hub: Hub, *, master: Address, terms: Terms, returning: Returning | None = None) -> None:
        nonce = secrets.token_hex(8)
        self.peer: bytes = PEER_PREFIX + nonce.encode()
        self.where = ""
        self.caller = ""  # whom the budget and the brake on wrong secrets count; empty until it is known
        self._host = ""
        self._terms, self._master = terms, master
        self.proven: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._hub = hub
        self._transport: asyncio.Transport | None = None
        self._reader = FrameReader()
        self._waiting = 0
        self._unfinished = 0  # bytes, as the budget knows them
        self._paused_until = 0.0  # the loop's time; the caller has used its CPU time
        self.has_spoken = False  # to the master, which learns of its end only then
        self._returning = returning is not None
        self._guard = Guard(terms, _nonce) if terms.asks_for_secret and returning is None else None
        self._proved: SparkSecret | None = None  # by the client, or by this side to the driver
        program = returning.app.spark if returning is not None else None
        method = method_of(program) if program is not None else ""
        self._caller: Caller | None = None
        if returning is not None and method:
            self._proved = terms.of(returning.principal)
            self._caller = Caller(self._proved.secret if self._proved is not None else "", method, _nonce)
        self._first = bytearray()  # encrypted, and too short to find the version
        self._stream: Stream | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._refusal = ""  # why the client is rejected
        self.session: PeerSession = PeerSession(
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
        if not self._returning:
            self._identify(transport.get_extra_info("socket"))
        self._hub.opened(self)
        if self._guard is not None or self._caller is not None:
            self._restart_timer(_UNPROVEN, self.abort)
        if self._guard is not None:
            self._reader.limit = MAX_FIRST_FRAME
            self._enter()
        if self._caller is not None:
            self._send(frame(Kind.RPC_REQUEST, self._caller.first(), request=1))
        if self._guard is None and self._caller is None:
            self.proven.set_result(None)

    def data_received(self, data: bytes) -> None:
        if not self.caller and self._transport is not None:
            self._identify(self._transport.get_extra_info("socket"))
        self._handle(data)

    def _handle(self, data: bytes) -> None:
        """Handle what has come, until others have their turn, or the caller has used its share of the time."""
        started = time.perf_counter()
        pause = self._hub.budget.wait(self.caller)
        try:
            frames = self._reader.feed(self._decrypted(data))
            self._count_unfinished()
            while not pause and self._waiting < _MOST_WAITING and time.perf_counter() - started < SLICE:
                incoming = next(frames, None)
                if incoming is None or self._transport is None or self._transport.is_closing():
                    break
                self._dispatch(incoming)
            else:
                self._pause(pause)
        except (RpcError, AuthError) as error:
            PEERS.warning(self._host, "closed", f"{self.where}: {error}: connection closed")
            self.close()
        self._hub.budget.spend(self.caller, time.perf_counter() - started)

    def _dispatch(self, incoming: Frame) -> None:
        if self._terms.closed and incoming.body[:1] in AUTHENTICATION:
            PEERS.warning(self._host, "secret", f"{self.where} was rejected: {CLOSED}")
            self._refusal = CLOSED
            self._stop_driver(CLOSED)
            self._refuse(incoming)
        elif self.proven.done():
            self.session.received(incoming)
        elif self._guard is not None:
            self._be_convinced(self._guard, incoming)
        elif self._caller is not None:
            self._convince(self._caller, incoming)

    def _pause(self, seconds: float) -> None:
        """Read no more for so long; what was read waits."""
        if self._transport is not None:
            loop = asyncio.get_running_loop()
            self._paused_until = loop.time() + seconds
            self._transport.pause_reading()
            loop.call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        if self._transport is None or asyncio.get_running_loop().time() < self._paused_until - _TIMER_ERROR:
            return
        if self._waiting < _MOST_WAITING and not self._transport.is_closing():
            self._transport.resume_reading()
            self._handle(b"")

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._forget_unfinished()
        if self._timer is not None:
            self._timer.cancel()
        if not self.proven.done():
            self._hub.budget.unproven.leave(self.caller, self)
            self.proven.cancel()
        self._hub.closed(self)

    # --- authentication ---

    def _be_convinced(self, guard: Guard, incoming: Frame) -> None:
        if self._refusal:
            self._refuse(incoming)
            return
        try:
            wait = self._hub.throttle.wait(self.caller) if self._terms.is_guessable else 0.0
            if wait > 0:
                raise AuthError(f"too many wrong secrets from this caller: wait {wait:.0f} s")
            answer = guard.received(incoming.body)
        except AuthError as error:
            if isinstance(error, WrongSecret) and self._terms.is_guessable:
                self._hub.throttle.failed(self.caller)
            if incoming.kind is not Kind.RPC_REQUEST:
                raise
            PEERS.warning(self._host, "secret", f"{self.where} was rejected: {error}")
            self._refusal = f"the master rejects this client: {error}"
            self._refuse(incoming)
            self._restart_timer(_REFUSED, self.close)
            return
        self._send(frame(Kind.RPC_RESPONSE, answer, incoming.request))
        if guard.proved is not None:
            self._proved, self.session.auth = guard.proved, guard.method
            self.session.has_own_secret = guard.proved.name != GATEWAY
            self._hub.throttle.succeeded(self.caller)
            self._hub.budget.unproven.leave(self.caller, self)
            self._reader.limit = MAX_FRAME
            self._prove()

    def _stop_driver(self, reason: str) -> None:
        """Stop a driver that has not authenticated. It obeys messages on a connection that it opened before that, too; a
        failed authentication alone it would try again for a minute (ADR 9)."""
        for payload in removals(reason):
            self._send(frame(Kind.ONE_WAY, seal_envelope(Envelope(self._master, None, "AppClient", payload))))

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
        if self._stream is None and self._guard is not None and self._guard.encrypts:
            self._first += data
            if len(self._first) < 8:
                return b""
            data = bytes(self._first)
            self._stream = self._guard.choose(data)
        if self._stream is None:
            return data
        plain = self._stream.decrypt(data)
        if self._guard is not None:
            self.session.auth = self._stream.method
        return plain

    # --- who it is, and what it may use ---

    def _identify(self, sock: socket.socket) -> None:
        """Ask the kernel who a client on this machine is. Without a secret only the daemon's own user and root are let in
        there: a secret, or ``spark.stoker.gateway.open``, is what admits others. A driver that this side called is asked
        about when it answers: until it accepts the connection, the kernel does not report whose it is."""
        user = peer_user(sock) if _is_local(self._host, sock.getsockname()[0]) else None
        self.caller = self._host if user is None else f"user {user}"
        if self._terms.closed:
            self.session.bar(CLOSED)
        elif self._terms.own_user_only and not is_own_or_root(user):
            self.session.bar(FOREIGN_USER)

    def _enter(self) -> None:
        """Count among the caller's connections that have not authenticated."""
        oldest = self._hub.budget.unproven.enter(self.caller, self)
        if oldest is not None:
            PEERS.warning(
                self._host,
                "unproven",
                f"{self.where}: more than {MOST_UNPROVEN} have not authenticated: closed the oldest",
            )
            oldest.abort()

    def _count_unfinished(self) -> None:
        """Note the bytes that wait to be handled. Raises RpcError when they are too many."""
        waiting = len(self._reader) + (self._stream.unfinished if self._stream is not None else 0)
        change, self._unfinished = waiting - self._unfinished, waiting
        unfinished = self._hub.budget.change(self._hub.budget.unfinished, self.caller, change)
        if change > 0 and unfinished > MOST_BYTES:
            self._forget_unfinished()
            raise RpcError(f"more than {MOST_BYTES >> 20} MiB of unfinished messages")

    def _forget_unfinished(self) -> None:
        self._hub.budget.change(self._hub.budget.unfinished, self.caller, -self._unfinished)
        self._unfinished = 0

    # --- both ways ---

    @property
    def principal(self) -> str:
        """What the client has proved."""
        return self._terms.principal if self._proved is None else self._proved.name

    @property
    def is_revoked(self) -> bool:
        """Whether the secret that was proved is no longer that of its name."""
        named, proved = self._terms.named, self._proved
        return named is not None and proved is not None and proved.name != GATEWAY and not named.has(proved)

    def _post(self, message: m.Message) -> None:
        if self.is_revoked:
            return
        self._waiting += 1
        self.has_spoken = True
        if self._waiting == _MOST_WAITING and self._transport is not None:
            self._transport.pause_reading()
        known = self._terms.of(self.principal)
        self._hub.post(self.peer, message, self.principal, known.pool if known is not None else "")

    def taken(self, count: int) -> None:
        """Note that the master has handled ``count`` messages, the gateway's heartbeats included."""
        was_paused = self._waiting >= _MOST_WAITING
        self._waiting = max(0, self._waiting - count)
        if was_paused:
            self._go_on()

    def turn_out(self) -> None:
        """Close the connection of a client whose secret is no longer that of its name. Nothing more is sent to it."""
        PEERS.warning(self._host, "revoked", f"disconnected {self.where}: the secret of {self.principal} was revoked")
        self.abort()

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


def _is_local(theirs: str, ours: str) -> bool:
    return theirs == ours or is_loopback(theirs)


def _nonce() -> str:
    return secrets.token_hex(24)
