"""Notification of changes of single files, by Linux's inotify (see inotify(7))."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

_MODIFY, _MOVE_SELF, _DELETE_SELF = 0x2, 0x800, 0x400
_DONT_FOLLOW, _ONESHOT = 0x2000000, 0x80000000
_IGNORED, _Q_OVERFLOW = 0x8000, 0x4000
_MASK = _MODIFY | _MOVE_SELF | _DELETE_SELF | _DONT_FOLLOW | _ONESHOT
_EVENT = struct.Struct("iIII")  # watch, what happened, cookie, length of the name after it


class FileWatch:
    """Reports each watched file once: at the first write to it, or when it is moved or deleted.

    Raises OSError when the system has no inotify, or no instance left (``fs.inotify.max_user_instances``).
    """

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            init, self._add, self._remove = libc.inotify_init1, libc.inotify_add_watch, libc.inotify_rm_watch
        except AttributeError:
            raise OSError("the C library has no inotify") from None
        self._add.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]
        self.descriptor: int = init(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def add(self, path: Path) -> int | None:
        """The watch's number, the same for the same file; None when this file cannot be watched."""
        watch: int = self._add(self.descriptor, os.fsencode(path), _MASK)
        return watch if watch >= 0 else None

    def remove(self, watch: int) -> None:
        """Stop watching; a watch that has reported its file, or is unknown, is ignored."""
        self._remove(self.descriptor, watch)

    def changed(self) -> tuple[list[int], bool]:
        """(watches whose files have changed, whether some notifications were lost). Does not wait."""
        watches, lost = [], False
        try:
            data = os.read(self.descriptor, 65536)
        except BlockingIOError:
            return [], False
        at = 0
        while at < len(data):
            watch, what, _, length = _EVENT.unpack_from(data, at)
            at += _EVENT.size + length
            lost = lost or bool(what & _Q_OVERFLOW)
            if not what & (_IGNORED | _Q_OVERFLOW):
                watches.append(watch)
        return watches, lost

    def close(self) -> None:
        os.close(self.descriptor)
