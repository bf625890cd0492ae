"""What this machine, or the container or unit this process runs in, has to offer: cores and memory."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

MIB = 2**20
MEMBERSHIP, TREE = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def total_memory_mib() -> int:
    """Return the machine's RAM, or the limit of this process's control group where that is lower; 2 GiB if RAM cannot be
    read."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MIB
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return 2048
    return min([total, *memory_limits_mib()])


def usable_cores() -> int:
    """Return the cores this process may run on, or its control group's quota, rounded up, where that is lower."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # Linux has it
    return max(1, min([own, *map(math.ceil, cpu_quotas())]))


def memory_limits_mib(membership: Path = MEMBERSHIP, tree: Path = TREE) -> list[int]:
    """Return the memory limits of this process's control group and of the groups around it, v2 and v1."""
    limits = []
    for group, is_v2 in _groups("memory", membership, tree):
        text = _read(group / ("memory.max" if is_v2 else "memory.limit_in_bytes"))
        if text.isdigit():  # not "max"
            limits.append(int(text) // MIB)
    return limits


def cpu_quotas(membership: Path = MEMBERSHIP, tree: Path = TREE) -> list[float]:
    """Return the CPU quotas, in cores, of this process's control group and of the groups around it, v2 and v1."""
    quotas = []
    for group, is_v2 in _groups("cpu", membership, tree):
        if is_v2:
            words = _read(group / "cpu.max").split()
        else:
            words = [_read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us")]
        if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]) > 0:  # not "max", not -1
            quotas.append(int(words[0]) / int(words[1]))
    return quotas


def _groups(controller: str, membership: Path, tree: Path) -> Iterator[tuple[Path, bool]]:
    """Yield (folder, whether it is of v2) of this process's group and of each group around it. In a container's view the
    innermost ones may not exist."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        # Where v1 mounts two controllers together, as cpu,cpuacct, each has a link of its own.
        root = tree / controller if controllers else tree
        folder = root / group.lstrip("/")
        for around in (folder, *folder.parents):
            if not around.is_relative_to(root):
                break
            yield around, not controllers


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
