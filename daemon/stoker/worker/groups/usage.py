"""What a job without a group of its own uses, by its processes. Standard library only, as all the keeper imports."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable

EVERY = 1.0  # seconds between two samples of memory
MOST_SHARE = 0.05  # of the keeper's time for samples
_PAGE = os.sysconf("SC_PAGE_SIZE")


class ProcessUsage:
    """Memory is sampled; the kernel adds the largest process, however short it lived. CPU seconds are those of the main
    process and of all descendants that were waited for."""

    def __init__(self) -> None:
        self.peak = 0  # bytes
        self.cpu = 0.0  # seconds

    def sample(self, pids: Iterable[int]) -> None:
        """Note the memory of these processes. Pages that they share count for each of them."""
        self.peak = max(self.peak, sum(map(resident, pids)))

    def reaped(self, used: resource.struct_rusage) -> None:
        """Note what the kernel counted for the main process."""
        self.peak = max(self.peak, used.ru_maxrss * 1024)
        self.cpu = used.ru_utime + used.ru_stime


class Rhythm:
    """When to sample: every ``EVERY`` seconds, less often where one round takes long. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.due = 0.0

    def took(self, start: float, end: float) -> None:
        self.due = end + max(EVERY, (end - start) / MOST_SHARE)


def resident(pid: int) -> int:
    """Return the bytes that a process has in memory; 0 if it has exited."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0
