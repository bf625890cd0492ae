"""``Link``: a worker's, application's or client's DEALER to one master. Nothing here blocks but ``Link.wait``."""

from __future__ import annotations

import errno
import time
from typing import Any, Generic, TypeVar

import msgspec
import zmq

from stoker.core.model.addresses import address_of
from stoker.core.model.messages import Message
from stoker.core.model.states import Role
from stoker.errors import ProtocolError
from stoker.io import transport
from stoker.security.keys import Keys
from stoker.wire import codec

QUICK = 0.5  # seconds in which a host refuses a connection
NOT_A_MASTER = (
    "connected to {}, but no Stoker master answers there: is it a dashboard's port? The master's own is 7077 by default;"
    " its log and its dashboard name it"
)
NEVER_MS = 3_600_000  # links are single-use: libzmq must not reconnect by itself, only say that it would
CONNECT_TIMEOUT_MS = 10_000
HANDSHAKE_MS = 4500  # less than core.peer waits for a link to open, so that it learns that the host itself is reachable

T = TypeVar("T", bound=Message)


class Opened(msgspec.Struct, frozen=True):
    """The handshake is done: messages may be sent."""


class Closed(msgspec.Struct, frozen=True):
    """The link has ended. ``denied``: the master rejects our key or protocol; trying again changes nothing by
    itself."""

    reason: str
    denied: bool


class Link(Generic[T]):
    """One connection to one master, for one use: after ``Closed`` make a fresh one.

    ``address`` is HOST:PORT ([HOST]:PORT for IPv6), ``name`` what the routing id shows, ``decoder`` one of wire.codec.
    Raises ConfigError without a key for the role or the master, UsageError for a malformed address; an unknown host or
    a master that is not there is a ``Closed``.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        *,
        address: str,
        keys: Keys | None,
        role: Role,
        name: str,
        decoder: codec.Decoder[T],
        heartbeat_timeout: float = 60.0,
    ) -> None:
        host, port = transport.split_address(address)
        self.address = address
        self._decoder = decoder
        self._keys = keys
        self._key_file = f"{keys.folder}/private/{role.value}.key" if keys is not None else ""
        self._open = False
        self._closed = False  # Closed was returned, or close() called
        self._failure: Closed | None = None  # why the handshake failed
        self._end: Closed | None = None  # to be returned after the messages before it
        self._socket_opened = False
        self._tries_ipv6 = ":" in host or host.replace(".", "").isdigit()  # there is no name to look up
        self._connects_since = time.monotonic()
        self._dealer: zmq.Socket[bytes] = context.socket(zmq.DEALER)
        self._monitor: zmq.Socket[bytes] | None = None
        try:
            transport.set_common_options(self._dealer, host, heartbeat_timeout)
            transport.mark_connections(self._dealer)
            self._dealer.set(zmq.ROUTING_ID, transport.make_routing_id(role, name))
            # Not IMMEDIATE, with which libzmq drops what it has received when the connection ends. That nothing is queued
            # before the link is open is send()'s part.
            self._dealer.set(zmq.RECONNECT_IVL, NEVER_MS)
            self._dealer.set(zmq.CONNECT_TIMEOUT, CONNECT_TIMEOUT_MS)
            self._dealer.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
            if keys is not None:
                public, secret = keys.pair(role)
                self._dealer.set(zmq.CURVE_PUBLICKEY, public.encode())
                self._dealer.set(zmq.CURVE_SECRETKEY, secret.encode())
                self._dealer.set(zmq.CURVE_SERVERKEY, keys.master_key(address).encode())
            self._monitor = transport.open_monitor(self._dealer, zmq.EVENT_ALL)
            self._endpoint = f"tcp://{address_of(host, port)}"
            self._dealer.connect(self._endpoint)
        except BaseException:
            self.close()
            raise

    def sources(self) -> tuple[zmq.Socket[bytes], ...]:
        """Return the sockets to poll (``Loop.add_reader``); when one is readable, call ``drain``. Not after
        ``close``."""
        assert self._monitor is not None
        return (self._dealer, self._monitor)

    def drain(self, limit: int = 1000) -> list[Opened | Closed | T]:
        """Return what was received, in order. Nothing follows ``Closed``."""
        out: list[Opened | Closed | T] = []
        if self._closed:
            return out
        if self._read_monitor():
            out.append(Opened())
        # At the end everything is read: no event will come again to wake the caller for the rest.
        for frames in transport.receive_all(self._dealer, limit if self._end is None else None):
            try:
                out.append(self._decoder.decode([frame.buffer for frame in frames]))
            except ProtocolError as error:
                if frames[0].bytes != codec.HEADER:
                    self._end = Closed(f"master {self.address}: {error}", denied=True)
                    break
                _warn(f"dropped a message of master {self.address}: {error}")
        if self._end is not None:
            self._open, self._closed = False, True
            out.append(self._end)
        return out

    def send(self, message: Message) -> bool:
        """Send, if open. False: not open, or the master has stopped reading. Raises ProtocolError if oversized."""
        if not self._open:
            return False
        try:
            self._dealer.send_multipart(codec.encode(message, codec.MAX_TO_MASTER), zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def wait(self, timeout_s: float) -> bool:
        """Block until ``drain`` has something to return, at most ``timeout_s`` seconds. For callers without a Loop."""
        poller = zmq.Poller()
        for source in self.sources():
            poller.register(source, zmq.POLLIN)
        return bool(poller.poll(max(0, round(timeout_s * 1000))))

    def close(self, linger_s: float = 0.0) -> None:
        """Close now. With ``linger_s``, messages already sent are delivered in the background for up to that many
        seconds."""
        self._open, self._closed = False, True
        transport.close(self._dealer, self._monitor, round(linger_s * 1000))

    def _read_monitor(self) -> bool:
        """Handle the connection's events; return whether it has just opened."""
        assert self._monitor is not None
        opened = False
        for event, value in transport.events(self._monitor):
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._open = opened = True
            elif event in _HANDSHAKE_FAILED:
                self._failure = _explain_failure(self.address, event, value, self._key_file)
                if self._keys is not None and event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                    self._keys.try_next_key(self.address)
            elif event == zmq.EVENT_CONNECT_DELAYED:
                self._socket_opened = True
            elif event == zmq.EVENT_CONNECT_RETRIED and self._may_try_ipv6():
                self._try_ipv6()
            elif event in {zmq.EVENT_DISCONNECTED, zmq.EVENT_CONNECT_RETRIED} and self._end is None:
                self._end = self._failure or self._explain_end(connected=event == zmq.EVENT_DISCONNECTED)
        return opened

    def _may_try_ipv6(self) -> bool:
        """Return whether IPv6 is worth a try: after a quick refusal. A slow failure is a host that does not answer at
        any address."""
        return not self._tries_ipv6 and self._end is None and time.monotonic() < self._connects_since + QUICK

    def _try_ipv6(self) -> None:
        """libzmq looks for addresses of one family only. The name may have none of IPv4, or one of another machine's: for
        a name that /etc/hosts gives as ::1, glibc says 127.0.0.1."""
        self._tries_ipv6 = True
        self._dealer.disconnect(self._endpoint)
        self._dealer.set(zmq.IPV6, 1)
        self._dealer.connect(self._endpoint)

    def _explain_end(self, *, connected: bool) -> Closed:
        if self._open:
            return Closed(f"lost the connection to master {self.address}", denied=False)
        if connected:
            return Closed(NOT_A_MASTER.format(self.address), denied=False)
        if self._socket_opened:
            return Closed(f"cannot connect to {self.address}: is a master running there?", denied=False)
        return Closed(f"cannot find the host of {self.address}: check the name", denied=False)


_HANDSHAKE_FAILED = frozenset(
    {zmq.EVENT_HANDSHAKE_FAILED_AUTH, zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL}
)


def _warn(text: str) -> None:
    import logging  # noqa: PLC0415 - a twentieth of the start of a command, for what rarely happens

    logging.getLogger(__name__).warning("%s", text)


def _explain_failure(address: str, event: int, value: int, key_file: str) -> Closed:
    if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
        text = f"master {address} does not admit our key ({key_file}): add it to the master's `authorized`"
        return Closed(text, denied=True)
    if event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL and value == zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
        return Closed(f"master {address} and we differ in spark.authenticate: set it alike on both sides", denied=True)
    if event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
        return Closed(
            f"connected to {address}, but no Stoker master answers there (ZMTP error {value:#x})", denied=False
        )
    if value == errno.EAGAIN:
        text = f"connected to {address}, but no Stoker master answers there: is it a dashboard's port, or overloaded?"
        return Closed(text, denied=False)
    if not key_file:  # without keys, libzmq also takes what another program answers for the end of a handshake
        return Closed(NOT_A_MASTER.format(address), denied=False)
    # A wrong key and a master that stops just now look alike: libzmq's server hangs up without a word.
    text = f"{address} hung up during the handshake: the master stopped, or its key is not the one in `known_masters`"
    return Closed(text, denied=False)
