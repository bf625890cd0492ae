"""How much an account's folder holds: a process with the account's rights to files measures it. Standard library only.

The process keeps the daemon's uid, so a job cannot stop it to escape its limit.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
from collections.abc import Iterator
from typing import NoReturn

from stoker.worker.runas.capabilities import files_as_for_good

WITHIN = 60  # seconds
UNKNOWN = -1
_BLOCK = 512  # bytes of st_blocks


def begin_measuring(folder: str, uid: int, gid: int) -> tuple[int, int]:
    """Start a process that measures the folder, and return its pid, and a descriptor for ``result_of`` when it has exited.
    Raises OSError."""
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.fork()
    except OSError:
        os.close(read_fd)
        os.close(write_fd)
        raise
    if pid == 0:
        _measure(folder, uid, gid, write_fd)
    os.close(write_fd)
    return pid, read_fd


def result_of(descriptor: int) -> int:
    """Return the bytes on disk that a process has measured, UNKNOWN if it failed; close the descriptor."""
    try:
        said = os.read(descriptor, 32)
    finally:
        os.close(descriptor)
    return int(said) if said.isdigit() else UNKNOWN


def _measure(folder: str, uid: int, gid: int, answer: int) -> NoReturn:
    with contextlib.suppress(BaseException):
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        signal.alarm(WITHIN)
        os.closerange(0, answer)
        os.closerange(answer + 1, os.sysconf("SC_OPEN_MAX"))
        os.nice(10)
        files_as_for_good(uid, gid)
        os.write(answer, str(sum(_sizes(folder))).encode())
    os._exit(0)


def _sizes(folder: str) -> Iterator[int]:
    """Yield the bytes of all that is in the folder. A file with several names counts once, what is mounted there does not
    count, and links are not followed."""
    device = os.lstat(folder).st_dev
    seen: set[int] = set()
    todo = [folder]
    while todo:
        try:
            entries = list(os.scandir(todo.pop()))
        except OSError:
            continue
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if status.st_dev != device or status.st_ino in seen:
                continue
            if stat.S_ISDIR(status.st_mode):
                todo.append(entry.path)
            elif status.st_nlink > 1:
                seen.add(status.st_ino)
            yield status.st_blocks * _BLOCK
