"""The control group of one job. Standard library only, as all the keeper imports."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time

from stoker.worker.groups.files import read, write

LEAF = "stoker-daemon"  # the group of the daemon and its keeper, beside those of the jobs
PREFIX = "job-"
CLEAR_WITHIN = 5.0  # seconds; a killed process may hang in a disk for longer
PERIOD = 100_000  # microseconds in which cpu.max holds


class JobGroup:
    """The group of the job ``key`` in ``tree``. Methods raise OSError where they do not say otherwise."""

    def __init__(self, tree: str, key: str) -> None:
        self._tree = tree
        self.path = os.path.join(tree, PREFIX + key.replace("/", "_"))  # noqa: PTH118 - no pathlib in the keeper
        self.peak = 0  # bytes, the highest sample
        self.limit = 0  # bytes of memory; 0: none
        self._has_peak = False

    def make(self) -> None:
        """Make the group. One of that name is what a killed keeper left: all in it is killed first."""
        try:
            os.mkdir(self.path)  # noqa: PTH102
        except FileExistsError:
            self.clear()
            os.mkdir(self.path)  # noqa: PTH102
        self._has_peak = os.path.exists(f"{self.path}/memory.peak")  # noqa: PTH110 - since Linux 5.19

    def enter(self) -> None:
        """Move this process to the group, so that a process that it starts is in it from its first instruction. That is
        faster than a fork whose child moves itself. Limits must wait until ``leave``: they would hold for this process."""
        write(f"{self.path}/cgroup.procs", "0")

    def leave(self) -> None:
        """Move this process back to the leaf for daemons."""
        write(f"{self._tree}/{LEAF}/cgroup.procs", "0")

    def restrict(self, *, memory: int, weight: int, cpus: float, processes: int) -> None:
        """Set the limits: bytes, share of a busy machine (100 for a core), cores, processes and threads. 0: no limit."""
        if memory:
            self.limit = memory
            write(f"{self.path}/memory.oom.group", "1")
            with contextlib.suppress(FileNotFoundError):  # a kernel without swap
                write(f"{self.path}/memory.swap.max", "0")
            write(f"{self.path}/memory.max", str(memory))
        if weight:
            write(f"{self.path}/cpu.weight", str(min(max(weight, 1), 10000)))
        if cpus:
            write(f"{self.path}/cpu.max", f"{int(cpus * PERIOD)} {PERIOD}")
        if processes:
            write(f"{self.path}/pids.max", str(processes))

    # --- its processes ---

    @property
    def is_empty(self) -> bool:
        """Whether no process is left in it or in groups that the job made in it. Never raises."""
        return _counter(read(f"{self.path}/cgroup.events"), "populated") == 0

    def signal(self, number: int) -> None:
        """Send a signal to each of its processes; KILL reaches even those that are just being started, and those of other
        users. Never raises."""
        if number == signal.SIGKILL:
            try:
                write(f"{self.path}/cgroup.kill", "1")
            except OSError:  # Linux before 5.14
                pass
            else:
                return
        for folder, _, _ in os.walk(self.path):
            for pid in read(f"{folder}/cgroup.procs").split():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(int(pid), number)

    def clear(self) -> None:
        """Kill all in it, wait until that has gone, and remove it. A group that does not exist is no error."""
        self.signal(signal.SIGKILL)
        deadline = time.monotonic() + CLEAR_WITHIN
        while not self.is_empty and time.monotonic() < deadline:
            time.sleep(0.005)
        self.remove()

    def remove(self) -> None:
        """Remove the group once it is empty, with the groups that the job made in it."""
        for folder, _, _ in os.walk(self.path, topdown=False):
            try:
                os.rmdir(folder)  # noqa: PTH106
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                    raise

    # --- what it used ---

    def sample(self) -> None:
        """Note the present memory, where the kernel does not keep the peak itself. Never raises."""
        if not self._has_peak:
            self.peak = max(self.peak, int(read(f"{self.path}/memory.current") or 0))

    def used(self) -> tuple[int, float]:
        """Return the peak of its memory in bytes and its CPU seconds. Never raises."""
        peak = max(self.peak, int(read(f"{self.path}/memory.peak") or 0))
        return peak, _counter(read(f"{self.path}/cpu.stat"), "usage_usec") / 1e6

    @property
    def is_out_of_memory(self) -> bool:
        """Whether the kernel has killed a process of it because memory ran out."""
        return _counter(read(f"{self.path}/memory.events"), "oom_kill") > 0


def _counter(text: str, name: str) -> int:
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} ")), 0)
