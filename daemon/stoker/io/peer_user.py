"""Find the user whose process has the other end of a TCP connection on this machine.

Asked by sock_diag(7), which finds one connection by its addresses, however many there are.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from typing import Any

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_ALL_STATES = 0xFFFFFFFF
_NO_COOKIE = 0xFFFFFFFF
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence number, port
_REQUEST = struct.Struct("=BBBBI")  # family, protocol, extensions, padding, states
_USER_AND_INODE = struct.Struct("=II")
_USER_AT = _HEADER.size + 4 + 48 + 12  # after family..retrans, the addresses, and expires, rqueue, wqueue
_ANSWER_WITHIN = 1.0  # seconds; the kernel answers at once or not at all


def peer_user(connection: socket.socket) -> int | None:
    """Return the user id of the process at the other end; None when it is on another machine, is closed, or when the
    kernel does not report it."""
    try:
        here, there = connection.getsockname(), connection.getpeername()
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
            kernel.settimeout(_ANSWER_WITHIN)
            kernel.send(_question(there, here))
            return _user(kernel.recv(4096))
    except (OSError, ValueError, struct.error):
        return None


def name_of_user(user: int) -> str:
    """Return the name of a unix user; its number, if it has no name here."""
    import pwd  # noqa: PLC0415 - Unix only, and clients import this module

    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"uid-{user}"


def is_own_or_root(user: int | None) -> bool:
    return user is not None and user in (0, os.geteuid())


def _question(local: Any, remote: Any) -> bytes:
    """Ask the kernel about the socket whose own address is ``local``."""
    source, target = _address(local[0]), _address(remote[0])
    family = socket.AF_INET if source.version == 4 else socket.AF_INET6
    identity = struct.pack("!HH16s16s", local[1], remote[1], source.packed, target.packed)
    identity += struct.pack("=III", 0, _NO_COOKIE, _NO_COOKIE)
    request = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, _ALL_STATES) + identity
    header = _HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0)
    return header + request


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _user(answer: bytes) -> int | None:
    _, kind, _, _, _ = _HEADER.unpack_from(answer)
    if kind != _SOCK_DIAG_BY_FAMILY:
        return None  # an error: there is no such socket on this machine
    user, inode = _USER_AND_INODE.unpack_from(answer, _USER_AT)
    # Of a socket that its process has closed, the kernel reports root as the owner: that must not count.
    return int(user) if inode else None
