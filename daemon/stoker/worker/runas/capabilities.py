"""Capabilities of this process, capabilities(7). Standard library only."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator

CHOWN, KILL, SETGID, SETUID = 0, 5, 6, 7
NEEDED = frozenset({CHOWN, KILL, SETGID, SETUID})  # of a keeper whose jobs run as other accounts, and nothing else

_VERSION_3 = 0x20080522
_PR_CAP_AMBIENT, _CLEAR_ALL = 47, 4


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Half(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


_LIBC = ctypes.CDLL(None, use_errno=True)


def permitted() -> frozenset[int]:
    """Return the capabilities that this process has or may raise. Raises OSError."""
    return _numbers(_read(), "permitted")


def restrict(wanted: frozenset[int], *, effective: frozenset[int]) -> None:
    """Give up all others for good; ``effective`` of the wanted ones are in force, and programs that this process starts
    inherit none. Raises OSError."""
    halves = _read()
    for number, half in enumerate(halves):
        half.permitted &= _mask(wanted, number)
        half.effective = half.permitted & _mask(effective, number)
        half.inheritable = 0  # this takes the ambient ones away, too
    _write(halves)
    _LIBC.prctl(_PR_CAP_AMBIENT, _CLEAR_ALL, 0, 0, 0)


def put_aside() -> None:
    """Put no capability in force; programs that this process starts still inherit the ambient ones. Raises OSError."""
    halves = _read()
    for half in halves:
        half.effective = 0
    _write(halves)


@contextlib.contextmanager
def raised(*wanted: int) -> Iterator[None]:
    """Have these permitted capabilities in force. Raises OSError (EPERM) without them."""
    before, halves = _read(), _read()
    for number, half in enumerate(halves):
        half.effective |= _mask(frozenset(wanted), number)
    _write(halves)
    try:
        yield
    finally:
        _write(before)


@contextlib.contextmanager
def files_as(uid: int, gid: int) -> Iterator[None]:
    """Open files with the rights of an account that is not root, without becoming it. A process that is started meanwhile may
    become it. Raises OSError (EPERM)."""
    if uid == 0:
        raise PermissionError(1, "never as root")
    own_uid, own_gid = os.geteuid(), os.getegid()
    with raised(SETUID, SETGID):
        _LIBC.setfsgid(gid)
        _LIBC.setfsuid(uid)
        try:
            yield
        finally:
            _LIBC.setfsuid(own_uid)
            _LIBC.setfsgid(own_gid)


def files_as_for_good(uid: int, gid: int) -> None:
    """As ``files_as``, and give up every capability: for a process that does nothing else. The account can neither signal nor
    trace it. Raises OSError (EPERM)."""
    if uid == 0:
        raise PermissionError(1, "never as root")
    with raised(SETUID, SETGID):
        _LIBC.setfsgid(gid)
        _LIBC.setfsuid(uid)
    restrict(frozenset(), effective=frozenset())


def _read() -> ctypes.Array[_Half]:
    halves = (_Half * 2)()
    header = _Header(_VERSION_3, 0)
    if _LIBC.capget(ctypes.byref(header), halves) != 0:
        raise OSError(ctypes.get_errno(), "cannot read this process's capabilities")
    return halves


def _write(halves: ctypes.Array[_Half]) -> None:
    header = _Header(_VERSION_3, 0)
    if _LIBC.capset(ctypes.byref(header), halves) != 0:
        raise PermissionError(ctypes.get_errno(), "cannot set this process's capabilities")


def _mask(wanted: frozenset[int], half: int) -> int:
    return sum(1 << (number - 32 * half) for number in wanted if number // 32 == half)


def _numbers(halves: ctypes.Array[_Half], field: str) -> frozenset[int]:
    return frozenset(32 * half + bit for half in (0, 1) for bit in range(32) if getattr(halves[half], field) >> bit & 1)
