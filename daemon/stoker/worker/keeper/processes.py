"""Processes of this machine, from /proc, and those that a killed keeper left behind. Standard library only, as all the
keeper imports."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable

from stoker.worker.runas.capabilities import files_as

MARK = b"STOKER_JOB="  # every process of a job carries its key in its environment
KEEPER = "STOKER_KEEPER"  # and its keeper's journal: another keeper of this machine may have a job of that key


def group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return False
    return True


def group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def environment(pid: int) -> list[bytes]:
    """Return the environment of a process; that of another account only if this process may become that account."""
    path = f"/proc/{pid}/environ"
    with contextlib.suppress(OSError):
        try:
            return _words_of(path)
        except PermissionError:
            status = os.stat(path)  # noqa: PTH116
            with files_as(status.st_uid, status.st_gid):
                return _words_of(path)
    return []


def _words_of(path: str) -> list[bytes]:
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read().split(b"\0")


def mark_of(pid: int) -> bytes:
    """Return KEY of ``STOKER_JOB=KEY`` in its environment; empty if the environment was cleared or overwritten by a
    title."""
    return next((entry for entry in environment(pid) if entry.startswith(MARK)), b"")


def is_in_an_environment(entry: bytes) -> bool:
    """Return whether a process has ``entry`` (NAME=VALUE) in its environment."""
    return any(entry in environment(pid) for pid in _pids())


def start_time(pid: int) -> int:
    """Return the start time in clock ticks since boot; 0 for a process that has exited or is a zombie (unless other
    threads of it run). Until the next boot, pid and start time together identify a process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            fields = file.read().rsplit(b")", 1)[1].split()
    except OSError:
        return 0
    return 0 if fields[0] == b"Z" and int(fields[17]) <= 1 else int(fields[19])


def is_ours(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:  # noqa: PTH123
                found += map(int, file.read().split())
    return found


def tree(roots: Iterable[int]) -> dict[int, int]:
    """Return the living processes among ``roots`` and their descendants, with start times. Other processes are not
    read."""
    found: dict[int, int] = {}
    todo = list(roots)
    while todo:
        pid = todo.pop()
        started = start_time(pid)
        if started and pid not in found:
            found[pid] = started
            todo += children(pid)
    return found


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208


def end_survivors(journal: str, grace: float, least_uid: int = 0) -> None:
    """Kill the processes that a killed keeper left: those in its journal, their descendants, and all that carry a key in it
    and its path. A keeper that may signal other accounts leaves those with a uid below ``least_uid`` alone, whatever the
    journal says: the daemon could have written it."""
    try:
        with open(journal, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            lines = [line.split() for line in file]
    except OSError:
        return
    alive: dict[str, tuple[int, int]] = {}
    begun: set[str] = set()  # their pids are not in it yet
    for words in lines:
        if len(words) == 4 and words[0] == "+" and words[2].isdigit() and words[3].isdigit():
            alive[words[1]] = (int(words[2]), int(words[3]))
        elif len(words) == 4 and words[0] == "?":
            begun.add(words[1])
        elif len(words) == 2 and words[0] in ("-", "."):
            begun.discard(words[1])
            if words[0] == "-":
                alive.pop(words[1], None)
    marks = {MARK + key.encode() for key in begun.union(alive)}
    keeper = os.fsencode(f"{KEEPER}={os.path.realpath(journal)}")
    known = set(alive.values())
    deadline = time.monotonic() + grace
    number = signal.SIGTERM
    while survivors := _survivors(known, marks, keeper, least_uid):
        for pid in survivors:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        known |= set(survivors.items())
        if time.monotonic() > deadline:
            number = signal.SIGKILL
        time.sleep(0.02)


def _survivors(known: set[tuple[int, int]], marks: set[bytes], keeper: bytes, least_uid: int) -> dict[int, int]:
    if not marks:
        return {}
    roots = {pid for pid, start in known if start_time(pid) == start}
    for pid in _pids():
        carried = environment(pid)
        if keeper in carried and not marks.isdisjoint(carried) and pid != os.getpid():
            roots.add(pid)
    # A process that runs as another user now cannot be signalled.
    return {pid: start for pid, start in tree(roots).items() if is_ours(pid) and _is_of_jobs(pid, least_uid)}


def _is_of_jobs(pid: int, least_uid: int) -> bool:
    """Return whether the process is of this account, or of one that jobs may run as."""
    try:
        owner = os.stat(f"/proc/{pid}").st_uid  # noqa: PTH116
    except OSError:
        return False
    return not least_uid or owner == os.getuid() or owner >= least_uid
