"""Figures of a process from /proc, and waiting with the precision that a measurement needs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def rss_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_seconds(pid: int) -> float:
    """Return user plus system time of the process, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@dataclass(frozen=True)
class Use:
    """The resources that a process has used so far."""

    rss_mib: float
    descriptors: int
    cpu_s: float

    @classmethod
    def of(cls, pid: int) -> Use:
        return cls(rss_mib(pid), descriptors(pid), cpu_seconds(pid))


def until(condition: Callable[[], object], *, within: float = 60.0, every: float = 0.001) -> None:
    """Wait until the condition holds, and poll every millisecond. Raises TimeoutError after ``within`` seconds."""
    end = time.monotonic() + within
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {within:g} s: {condition}")
        time.sleep(every)
