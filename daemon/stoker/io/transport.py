"""ZeroMQ sockets: making, watching and reading them, and the names of peers. Binding them is in ``listening``."""

from __future__ import annotations

import itertools
import os
import struct
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Union

import zmq

from stoker.core.model.states import Role
from stoker.errors import UsageError
from stoker.wire import codec

Source = Union["zmq.Socket[Any]", int]  # of readiness: a ZeroMQ socket or a file descriptor

HIGH_WATER_MARK = 100_000  # messages queued for one peer before it counts as gone
HANDSHAKE_TIMEOUT_MS = 15_000  # a master busy with a long durable write answers handshakes after it
OVERHEAD = 1024  # bytes of a frame that are CURVE's, at most
MAX_FRAME = codec.MAX_BODY + OVERHEAD
MAX_NAME = 200  # bytes of a name in a routing id, whose limit is 255
LAST_PORT = 65535
MARK = 0x48  # of a peer's packets (``io.port``): the class "low-latency data" (AF21, RFC 4594), as in IP_TOS

_EVENT = struct.Struct("=HI")  # a monitor's event: number, value (zmq_socket_monitor(3))
_ROLES = {role.value: role for role in Role}


# --- routing ids ---------------------------------------------------------------------------------------------------


def make_routing_id(role: Role, name: str) -> bytes:
    """``ROLE/NAME/NONCE``: a restarted peer is a new peer. A name over 200 bytes is cut; it is for people to read."""
    shown = name.encode()[:MAX_NAME].decode(errors="ignore")
    return f"{role.value}/{shown}/{os.urandom(8).hex()}".encode()


@lru_cache(4096)  # once for each message otherwise
def parse_routing_id(peer: bytes) -> tuple[Role, str] | None:
    """Return the (role, name) that a routing id claims; None when it is not one of Stoker's."""
    role, _, rest = peer.decode(errors="replace").partition("/")
    name, slash, nonce = rest.rpartition("/")
    return (_ROLES[role], name) if role in _ROLES and slash and nonce else None


# --- making sockets ------------------------------------------------------------------------------------------------


def set_common_options(sock: zmq.Socket[bytes], host: str, heartbeat_timeout: float) -> None:
    timeout_ms = max(1, round(heartbeat_timeout * 1000))
    sock.set(zmq.LINGER, 0)
    sock.set(zmq.SNDHWM, HIGH_WATER_MARK)
    sock.set(zmq.RCVHWM, HIGH_WATER_MARK)
    sock.set(zmq.MAXMSGSIZE, MAX_FRAME)
    sock.set(zmq.HANDSHAKE_IVL, HANDSHAKE_TIMEOUT_MS)
    sock.set(zmq.HEARTBEAT_IVL, max(1, timeout_ms // 4))
    sock.set(zmq.HEARTBEAT_TIMEOUT, timeout_ms)
    sock.set(zmq.TCP_KEEPALIVE, 1)
    sock.set(zmq.IPV6, int(":" in host))


def mark_connections(sock: zmq.Socket[bytes]) -> None:
    """Let the master's kernel know a connection of ``sock`` as a peer's (``io.port``)."""
    if sys.platform == "linux":  # elsewhere libzmq aborts where the system cannot mark IPv6; the door lets them in
        sock.set(zmq.TOS, MARK)


def open_monitor(sock: zmq.Socket[bytes], events: int) -> zmq.Socket[bytes]:
    """Connection events of ``sock``. Unlimited: libzmq's I/O thread would block when the queue of events is full."""
    endpoint = f"inproc://stoker.monitor.{os.urandom(8).hex()}"
    sock.monitor(endpoint, events)
    monitor: zmq.Socket[bytes] = sock.context.socket(zmq.PAIR)
    monitor.set(zmq.LINGER, 0)
    monitor.set(zmq.RCVHWM, 0)
    monitor.connect(endpoint)
    return monitor


def events(monitor: zmq.Socket[bytes]) -> Iterator[tuple[int, int]]:
    """(event, value) of all that is waiting."""
    for frames in receive_all(monitor, None):
        event, value = _EVENT.unpack(frames[0].bytes)
        yield event, value


def receive_all(sock: zmq.Socket[bytes], limit: int | None) -> Iterator[list[zmq.Frame]]:
    """The messages waiting in ``sock``, up to ``limit``."""
    flags = int(zmq.NOBLOCK)  # an enumeration costs pyzmq time at each call
    for _ in itertools.count() if limit is None else range(limit):
        try:
            frames = [sock.recv(flags, copy=False)]
        except zmq.Again:
            return
        while frames[-1].more:
            frames.append(sock.recv(flags, copy=False))
        yield frames


def close(sock: zmq.Socket[bytes], monitor: zmq.Socket[bytes] | None, linger_ms: int = 0) -> None:
    if sock.closed:
        return
    if monitor is not None:
        sock.disable_monitor()
        monitor.close(0)
    sock.close(linger_ms)


def split_address(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or any(c.isspace() or c in "/[]" for c in host) or not (port.isascii() and port.isdigit()):
        raise UsageError(f"{address!r} is not HOST:PORT")
    if not 0 < int(port) <= LAST_PORT:
        raise UsageError(f"{address!r}: the port must be between 1 and {LAST_PORT}")
    return host, int(port)
