"""One port with two listening sockets: one for Stoker's peers, which mark their connections, and one for everybody else.

libzmq speaks first on every connection that it accepts, and cannot take over one that was accepted elsewhere. So who comes
has to be known before a connection is accepted. A peer marks its packets in the field for the class of service; a filter in
the kernel (SO_ATTACH_REUSEPORT_CBPF, Linux 4.6) looks at the first packet of a connection and chooses the socket (ADR 9). The
mark proves nothing: it only saves a peer the way past the door. A peer whose network clears it comes in through the door.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import logging
import socket
import struct

from stoker.io import listening
from stoker.io.transport import MARK

LOG = logging.getLogger("stoker.io")
_SO_ATTACH_REUSEPORT_CBPF = 51  # asm-generic/socket.h; Python does not name it
_NETWORK = -0x100000  # SKF_NET_OFF (linux/filter.h): offsets from the IP header
_LOAD_BYTE, _LOAD_HALF, _SHIFT_RIGHT, _AND, _JUMP, _IF_EQUAL, _RETURN = 0x30, 0x28, 0x74, 0x54, 0x05, 0x15, 0x06
_FILTER = (  # (code, to skip if true, to skip if false, operand): linux/filter.h, struct sock_filter
    (_LOAD_BYTE, 0, 0, _NETWORK),
    (_SHIFT_RIGHT, 0, 0, 4),  # the version of IP
    (_IF_EQUAL, 0, 3, 6),
    (_LOAD_HALF, 0, 0, _NETWORK),  # IPv6: 4 bits of version, 8 of class
    (_SHIFT_RIGHT, 0, 0, 4),
    (_JUMP, 0, 0, 1),
    (_LOAD_BYTE, 0, 0, _NETWORK + 1),  # IPv4
    (_AND, 0, 0, 0xFC),  # without the two bits of congestion control
    (_IF_EQUAL, 0, 1, MARK),
    (_RETURN, 0, 0, 0),
    (_RETURN, 0, 0, 1),
)


def open_port(host: str, port: int, max_retries: int) -> tuple[socket.socket, socket.socket | None]:
    """Return the socket for marked connections and that for all others; (the one for all, None) where the kernel cannot
    tell them apart. Both listen, at the same port. Raises ConfigError."""
    numeric = listening.numeric_host(host)
    family = socket.AF_INET6 if ":" in numeric else socket.AF_INET
    for candidate in listening.candidate_ports(port, max_retries):
        try:
            first = _listen(family, numeric, candidate)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise listening.explain_bind(host, candidate, error) from None
        else:
            listening.warn_of_other_port(host, port, candidate)
            return first, _second(first, family, numeric)
    raise listening.no_free_port(host, port, max_retries)


def _second(first: socket.socket, family: int, numeric: str) -> socket.socket | None:
    """Open a second socket at the port of ``first``. That one listened alone before: so a port of another program is
    never shared, though the kernel would permit it between programs of one user."""
    try:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        second = _listen(family, numeric, first.getsockname()[1], shared=True)
    except OSError as error:
        LOG.debug("this kernel does not share a port between two sockets: %s", error)
        return None
    try:
        _attach(second)
    except OSError as error:
        LOG.debug("this kernel does not filter the connections of a port: %s", error)
        second.close()
        return None
    return second


def _listen(family: int, numeric: str, port: int, *, shared: bool = False) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            with contextlib.suppress(OSError):  # a machine without IPv4
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((numeric, port))
        sock.listen(listening.BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _attach(sock: socket.socket) -> None:
    """Have the kernel choose between the sockets of this port: number 0 listened first."""
    program = b"".join(struct.pack("=HBBI", code, yes, no, k & 0xFFFFFFFF) for code, yes, no, k in _FILTER)
    held = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("@HP", len(_FILTER), ctypes.addressof(held))  # struct sock_fprog
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, head)
