"""Processes of this machine as /proc tells of them, and what a killed keeper left of its own. Standard library only, as
all the keeper imports."""

from __future__ import annotations

import contextlib
import os
import signal
import time

MARK = b"STOKER_JOB="  # every process of a job carries its key in its environment


def group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return False
    return True


def session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def environment(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
            return file.read().split(b"\0")
    except OSError:
        return []


def start_time(pid: int) -> str:
    """Field 22 of /proc/PID/stat: with the pid it names a process for as long as the machine is up."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            return file.read().rsplit(b")", 1)[1].split()[19].decode()
    except OSError:
        return "0"


def end_survivors(journal: str, grace: float) -> None:
    """End what a killed keeper left: processes its journal names, and all that carry their keys."""
    try:
        with open(journal, encoding="utf-8") as file:  # noqa: PTH123
            lines = [line.split() for line in file]
    except OSError:
        return
    alive: dict[str, tuple[int, str]] = {}
    for words in lines:
        if len(words) == 4 and words[0] == "+":
            alive[words[1]] = (int(words[2]), words[3])
        elif len(words) == 2 and words[0] == "-":
            alive.pop(words[1], None)
    marks = {MARK + key.encode() for key in alive}
    deadline = time.monotonic() + grace
    number = signal.SIGTERM
    while survivors := _survivors(alive, marks):
        for pid in survivors:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        if time.monotonic() > deadline:
            number = signal.SIGKILL
        time.sleep(0.02)
    os.unlink(journal)  # noqa: PTH108


def _survivors(alive: dict[str, tuple[int, str]], marks: set[bytes]) -> list[int]:
    if not alive:
        return []
    mains = {pid for pid, start in alive.values() if start_time(pid) == start and not _is_zombie(pid)}
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
    marked = {pid for pid in pids if pid != os.getpid() and marks.intersection(environment(pid))}
    return list(mains | marked)


def _is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            return file.read().rsplit(b")", 1)[1].split()[0] == b"Z"
    except OSError:
        return True
