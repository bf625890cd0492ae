"""The daemons that run on this machine, as /proc shows them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")


class RunningDaemon(NamedTuple):
    kind: str  # master or worker
    pid: int
    uid: int
    files: int  # open descriptors; -1: not readable
    file_limit: int  # soft limit of descriptors; -1: not readable


def running_daemons(proc: Path = PROC) -> list[RunningDaemon]:
    """Return the masters and workers of this machine, by process id. An empty list where there is no /proc."""
    return sorted(_look(proc), key=lambda daemon: daemon.pid)


def _look(proc: Path) -> Iterator[RunningDaemon]:
    for folder in proc.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            kind = _kind((folder / "cmdline").read_bytes().decode(errors="replace").split("\0"))
            if kind:
                yield RunningDaemon(kind, int(folder.name), folder.stat().st_uid, _open_files(folder), _limit(folder))


def _kind(words: list[str]) -> str:
    for word, following in pairwise(words):
        if (word == "stoker" or word.endswith("/stoker")) and following in ("master", "worker"):
            return following
    return ""


def _open_files(folder: Path) -> int:
    try:
        return sum(1 for _ in (folder / "fd").iterdir())
    except OSError:
        return -1


def _limit(folder: Path) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (folder / "limits").read_text().splitlines():
            if line.startswith("Max open files"):
                return int(line.split()[3])
    return -1
