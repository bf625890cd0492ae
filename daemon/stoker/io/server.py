"""``Server``: the master's ROUTER. It turns bytes into messages and into the two facts the master's core needs: the
sender, identified by its CURVE key and not by its own claims, and who is gone (see io.presence). Nothing here blocks.
"""

from __future__ import annotations

import logging
import math
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import zmq

from stoker.core.model.messages import Failed, Message, ToMaster, roles_allowed
from stoker.core.model.states import Role
from stoker.core.model.values import ApplicationDescription, Door
from stoker.errors import ProtocolError
from stoker.io import listening, transport
from stoker.io.connection import Connection
from stoker.io.loop import Loop
from stoker.io.peer_log import PeerLog, name_of
from stoker.io.presence import Presence
from stoker.io.strangers import Strangers
from stoker.security.authorizer import ZAP_DOMAIN, ZAP_ENDPOINT, Admission, Authorizer, parse_user_id
from stoker.security.keys import Keys
from stoker.wire import codec

MAX_CONNECTIONS = 65536
MOST_WAITING = 1000  # messages of one peer that wait to be read; then its connection is not read until they are

log: logging.Logger = logging.getLogger(__name__)
PEERS = PeerLog(log)
_WORKER = f"{Role.WORKER.value}/".encode()
_HANDSHAKES = frozenset(
    {
        zmq.EVENT_HANDSHAKE_SUCCEEDED,
        zmq.EVENT_HANDSHAKE_FAILED_AUTH,
        zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
        zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
    }
)
MISDIRECTED = (
    "closed a connection that did not speak this master's protocol (libzmq does not report its address): an HTTP client"
    " belongs on the dashboard's port, and a Spark client needs spark.stoker.gateway.enabled true on this master"
)


class Incoming(msgspec.Struct, frozen=True):
    """A message, from a peer whose key may send it. ``key`` and ``principal`` (the key's name) are empty without
    authentication; ``name`` is then what the peer calls itself."""

    peer: bytes
    key: str
    role: Role
    name: str
    message: ToMaster
    principal: str = ""
    door: Door = ""
    pool: str = ""  # of what it submits, if that names none


@dataclass(frozen=True, slots=True)
class PeerGone:
    """The connection of a peer has ended. It comes once for every peer, after all its messages."""

    peer: bytes


@dataclass(frozen=True, slots=True)
class Garbage:
    """A rejected message of ``peer``; ``reason`` is a line for the log. If its key does not permit it, ``request`` is its
    type and ``principal`` the name of the key."""

    peer: bytes
    reason: str
    request: str = ""
    principal: str = ""


class Server:
    """The master's ROUTER, with the ZAP handler and the monitor that belong to it; used in the loop's thread only.

    The sockets are readers of ``loop``; their callbacks do nothing, the owner calls ``drain`` in every round. Without
    ``authorizer`` every connection is let in and a peer's role is what its routing id claims: the insecure mode, which
    ``spark.authenticate=false`` asks for.

    ``port`` 0 means any free one; else the ports after it are tried while they are busy (``spark.port.maxRetries``,
    spec 1). ``heartbeat_timeout`` (seconds): a peer whose TCP stack is silent for that long is disconnected.

    ``message_limit``: most bytes of a client's message. ``queue_limit``: most bytes sent to a client that it has not
    received; beyond them it is disconnected. What is sent to workers is not limited.

    ``listener`` listens at ``port`` already, and is closed with the server. ``endpoint``: listen there, too; with it alone
    ``port`` is another's, who passes connections on.

    Raises ConfigError when no port is free or the host is not an address of this machine.
    """

    def __init__(
        self,
        loop: Loop,
        *,
        host: str,
        port: int,
        max_port_retries: int = 16,
        keys: Keys | None,
        authorizer: Authorizer | None,
        heartbeat_timeout: float = 60.0,
        listener: socket.socket | None = None,
        endpoint: str = "",
        message_limit: int = 4 * 2**20,
        queue_limit: int = 64 * 2**20,
    ) -> None:
        if (keys is None) != (authorizer is None):
            raise ValueError("authentication needs both the keys and the authorizer")
        if loop.context.get(zmq.IO_THREADS) != 1:
            raise ValueError("the order of events that io.presence relies on holds within one I/O thread")
        _allow_many_connections()
        self._loop = loop
        self.authorizer = authorizer
        self._admission = Admission(authorizer)
        self._presence = Presence()
        self._strangers = Strangers(lambda: self.port, time.monotonic) if authorizer is not None else None
        self._event_before = 0  # the monitor's
        self._silent: set[int] = set()  # descriptors of connections accepted since the last handshake of any connection
        self._key_of: dict[bytes, str] = {}
        self._socket_of: dict[bytes, Connection] = {}
        self._message_limit, self._queue_limit = message_limit, queue_limit
        self._keys_version = authorizer.version if authorizer is not None else 0
        self._router = loop.context.socket(zmq.ROUTER)
        self._monitor: zmq.Socket[bytes] | None = None
        self._zap: zmq.Socket[bytes] = loop.context.socket(zmq.REP)
        try:
            transport.set_common_options(self._router, host, heartbeat_timeout)
            self._router.set(zmq.RCVHWM, MOST_WAITING)
            self._router.set(zmq.MAXMSGSIZE, codec.MAX_TO_MASTER + transport.OVERHEAD)
            self._router.set(zmq.ROUTER_MANDATORY, 1)
            self._router.set(zmq.ROUTER_HANDOVER, 1)
            self._router.set(zmq.BACKLOG, listening.BACKLOG)
            if keys is not None:
                self._router.set(zmq.CURVE_SERVER, 1)
                self._router.set(zmq.CURVE_SECRETKEY, keys.pair(Role.MASTER)[1].encode())
            self._open_zap()
            events = sum(_HANDSHAKES, zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
            self._monitor = transport.open_monitor(self._router, events)
            self.port = port
            if endpoint:
                self._router.bind(endpoint)
            if listener is not None:
                listening.hand_over(listener, self._router)
            elif not endpoint:
                self.port = listening.bind(self._router, host, port, max_port_retries)
        except BaseException:
            self.close()
            raise
        loop.add_reader(self._router)
        loop.add_reader(self._monitor)

    def drain(self, limit: int = 1000) -> list[Incoming | PeerGone | Garbage]:
        """Return what was received since the last call, in order; at most about ``limit`` messages (the rest wakes the
        loop)."""
        out: list[Incoming | PeerGone | Garbage] = []
        self._turn_out_revoked()
        while True:
            self._read_monitor()
            ended = self._presence.ending()
            batch, empty = self._receive(limit - len(out))
            self._read_monitor()  # now every connection that a message of the batch came by is known
            for frames in batch:
                out.extend(self._judge(frames))
            if empty:
                self._presence.settle(ended)
            out.extend(self._take_gone())
            if not empty or len(out) >= limit or not self._presence.ending():
                break
        if self._presence.ending():
            self._loop.wake()  # the queue may be empty although more is to be returned
        if self._strangers is not None:
            self._strangers.look()
        return out

    def send(self, peer: bytes, message: Message) -> bool:
        """Send a message. False: the peer is gone, which ``drain`` has reported or will report. Never blocks: a peer
        that does not read counts as gone."""
        try:
            frames = codec.encode(message)
        except ProtocolError as error:
            reason = f"{error}: ask for less, as for one thing by its id"
            frames = codec.encode(Failed(request=getattr(message, "request", 0), reason=reason))
        if peer not in self._presence:
            return False
        if self._is_over(peer, len(frames[1])):
            PEERS.warning(name_of(peer), "slow", f"{peer!r} leaves over {self._queue_limit} bytes unread: disconnected")
            self._socket_of[peer].shut_down()
            self._drop(peer)
            return False
        try:
            self._router.send_multipart([peer, *frames], zmq.NOBLOCK)
        except zmq.Again:
            PEERS.warning(name_of(peer), "slow", f"{peer!r} does not read its messages: disconnected")
            self._drop(peer)
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return False  # closed already; drain reports it after the waiting messages
        return True

    def _is_over(self, peer: bytes, size: int) -> bool:
        at = self._socket_of.get(peer)
        return at is not None and not peer.startswith(_WORKER) and at.is_over(self._queue_limit, size)

    @property
    def look_by(self) -> float:
        """When ``drain`` must be called at the latest to notice revoked keys, and what strangers do (``time.monotonic``
        seconds)."""
        if self.authorizer is None or self._strangers is None:
            return math.inf
        return min(self.authorizer.look_by, self._strangers.look_by)

    def address_of(self, peer: bytes) -> str:
        """Return the host that a peer is connected from; "" when that is not known."""
        at = self._socket_of.get(peer)
        return at.address() if at is not None else ""

    def owner_of(self, peer: bytes) -> str | bytes:
        """Return the name of the peer's key; without authentication, the peer."""
        known = self.authorizer.lookup(self._key_of.get(peer, "")) if self.authorizer is not None else None
        return known[1] if known is not None else peer

    def call_back_application(
        self, app_id: str, app: ApplicationDescription, webui_url: str, within: float, principal: str = ""
    ) -> None:
        """Log that an unmodified Spark application waits for a call that only a master with a gateway can make."""
        log.warning("%s is a Spark application, and spark.stoker.gateway.enabled is off: it cannot come back", app_id)

    def close(self) -> None:
        """Close the sockets; what is not yet sent is lost."""
        for source in (self._router, self._monitor, self._zap):
            if source is not None:
                self._loop.remove_reader(source)
        transport.close(self._router, self._monitor)
        self._zap.close(0)

    # --- connections ---

    def _open_zap(self) -> None:
        """Open the ZAP handler, before the bind: without it libzmq accepts every connection silently."""
        self._zap.set(zmq.LINGER, 0)
        self._zap.bind(ZAP_ENDPOINT)
        self._router.set(zmq.ZAP_DOMAIN, ZAP_DOMAIN.encode())
        self._loop.add_reader(self._zap, self._answer_zap)

    def _answer_zap(self) -> None:
        for request in transport.receive_all(self._zap, listening.BACKLOG):
            self._zap.send_multipart(self._admission.reply([frame.bytes for frame in request]), zmq.NOBLOCK)

    def _read_monitor(self) -> None:
        """Learn who has come and gone. A peer that speaks HTTP or Spark's protocol is disconnected without the event that
        ends a handshake. That event does not name its connection; a peer that hangs up has it just before
        its disconnection. So no Stoker peer is taken for another client, but another client may be missed."""
        assert self._monitor is not None
        for event, fd in transport.events(self._monitor):
            if event == zmq.EVENT_ACCEPTED:
                self._presence.accepted(fd)
                self._silent.add(fd)
                if self._strangers is not None:
                    self._strangers.accepted(fd)
            elif event == zmq.EVENT_DISCONNECTED:
                self._presence.closed(fd)
                if self._strangers is not None:
                    self._strangers.closed(fd)
                was_silent = fd in self._silent
                self._silent.discard(fd)
                if was_silent and self._event_before != zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                    PEERS.warning("unknown addresses", "protocol", MISDIRECTED)
            elif event != zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                self._silent.clear()
            self._event_before = event

    def _take_gone(self) -> Iterator[PeerGone]:
        for peer in self._presence.take_gone():
            self._key_of.pop(peer, None)
            self._socket_of.pop(peer, None)
            yield PeerGone(peer)

    def _drop(self, peer: bytes) -> None:
        self._presence.drop(peer)
        self._loop.wake()  # so that drain tells it without waiting for other news

    def _turn_out_revoked(self) -> None:
        """Close the connections of keys that ``authorized`` does not admit now, or only in another role. Nothing more is sent
        to them, nor received."""
        if self.authorizer is None:
            return
        self.authorizer.look_if_due()
        if self._keys_version == self.authorizer.version:
            return
        self._keys_version = self.authorizer.version
        for peer, key in list(self._key_of.items()):
            known, claim = self.authorizer.lookup(key), transport.parse_routing_id(peer)
            if known is None or claim is None or known[0] is not claim[0]:
                log.warning("disconnected %s: its key is no longer admitted", name_of(peer))
                self._socket_of[peer].shut_down()
                self._drop(peer)

    # --- messages ---

    def _receive(self, limit: int) -> tuple[list[list[zmq.Frame]], bool]:
        """Return up to ``limit`` messages, and whether the queue is empty now."""
        batch = list(transport.receive_all(self._router, limit))
        return batch, len(batch) < limit

    def _judge(self, frames: list[zmq.Frame]) -> Iterator[Incoming | PeerGone | Garbage]:
        peer = frames[0].bytes
        try:
            fd = int(frames[1].get(zmq.SRCFD))
            serial, key = parse_user_id(str(frames[1].get("User-Id")))
        except (zmq.ZMQError, ValueError, IndexError):
            yield Garbage(peer, "not a ZMTP 3 connection")
            return
        if self._key_of.get(peer, key) != key:
            self._drop(peer)  # its routing id was taken by another key: that is another peer
        heard = self._presence.heard(peer, fd, serial)
        yield from self._take_gone()
        if heard:
            self._key_of[peer] = key
            at = self._socket_of.get(peer)
            if at is None or at.serial != serial:
                self._socket_of[peer] = Connection.of(fd, serial)
            yield self._read(peer, key, frames)

    def _read(self, peer: bytes, key: str, frames: list[zmq.Frame]) -> Incoming | Garbage:
        claim = transport.parse_routing_id(peer)
        if claim is None:
            return Garbage(peer, "routing id is not ROLE/NAME/NONCE")
        role, name = claim
        principal = ""
        try:
            message = codec.to_master.decode([frame.buffer for frame in frames[1:]])
        except ProtocolError as error:
            if frames[1].bytes != codec.HEADER:
                # Sent in this release's format, which shows the other side that it has another release.
                self.send(peer, Failed(request=0, reason=str(error), code="bad-request"))
            return Garbage(peer, str(error))
        if self.authorizer is not None:
            known = self.authorizer.lookup(key)
            if known is None:
                return self._refuse(peer, message, "this key is no longer admitted")
            name = principal = known[1]
            if known[0] is not role:
                return self._refuse(peer, message, f"a {known[0].value} key calls itself {role.value}", principal)
        reason = "" if role in roles_allowed(type(message)) else f"a {role.value} may not send {type(message).__name__}"
        if role is not Role.WORKER and (size := len(frames[2].buffer)) > self._message_limit:
            reason = f"a message of {size} bytes: the limit is {self._message_limit} (spark.stoker.limits.message)"
        if reason:
            return self._refuse(peer, message, reason, principal)
        return Incoming(peer, key, role, name, message, principal)

    def _refuse(self, peer: bytes, message: ToMaster, reason: str, principal: str = "") -> Garbage:
        request = getattr(message, "request", None)
        if request is not None:
            self.send(peer, Failed(request=request, reason=reason, code="not-authorized"))
        return Garbage(peer, reason, type(message).__name__, principal)


def _allow_many_connections() -> None:
    """Raise the limit of open descriptors: each connection needs one, and the usual 1024 is too low for a cluster."""
    import resource  # noqa: PLC0415 - Unix only, and clients import this module

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS if hard == resource.RLIM_INFINITY else min(hard, MAX_CONNECTIONS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
