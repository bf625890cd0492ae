"""This daemon's own log: its standard error, where that is a file."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

STDERR = 2
_DELETED = " (deleted)"


class OwnLogWindow(NamedTuple):
    """Bytes from ``start`` on of a log of ``size`` bytes."""

    start: int
    size: int
    data: bytes

    @property
    def end(self) -> int:
        return self.start + len(self.data)


class OwnLog:
    """``descriptor`` is the file that the log is written to; it stays the same when the file is renamed."""

    def __init__(self, descriptor: int = STDERR) -> None:
        self._path = Path(f"/proc/self/fd/{descriptor}")
        self._descriptor = descriptor

    def read(self, start: int | None, length: int) -> OwnLogWindow | None:
        """Return ``length`` bytes from ``start`` on, by default the last ones; a window outside of the log is moved into it.
        None when the log is not a file that this process may read."""
        if not self._is_file():
            return None
        try:
            with self._path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                at = max(size - length, 0) if start is None else min(max(start, 0), size)
                file.seek(at)
                return OwnLogWindow(at, size, file.read(length))
        except OSError:
            return None

    def where(self) -> str:
        """Return where the log is, in words: a path, or what reads it."""
        try:
            target = str(self._path.readlink())
        except OSError:
            return "its standard error, which is closed"
        if self._is_file():
            return target.removesuffix(_DELETED)
        if os.environ.get("JOURNAL_STREAM"):
            return f"the journal of its machine: journalctl _PID={os.getpid()}"
        if target.startswith(("/dev/pts/", "/dev/tty", "/dev/console")):
            return f"the terminal {target} of its machine"
        return "its standard error, which whoever started it reads (a container's log, a pipe)"

    def _is_file(self) -> bool:
        try:
            return stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        except OSError:
            return False
