"""What one job may use and has used, by its group or by its processes. Standard library only, as all the keeper imports."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypedDict

from stoker.worker.groups.group import JobGroup
from stoker.worker.groups.usage import ProcessUsage

MIB = 1 << 20


class JobLimits(TypedDict, total=False):
    """How a job is measured, and what it may use. Without a ``tree`` there are no limits."""

    tree: str  # the worker's control groups
    enforce: bool  # the job must not run without its limits
    memory: int  # bytes; 0: no limit
    weight: int  # share of a busy machine, 100 for a core; 0: as any other
    cpus: float  # cores; 0: no limit
    processes: int  # and threads; 0: no limit


class JobUse(NamedTuple):
    """What an ended job used."""

    peak_mib: int
    cpu_seconds: float
    limit_mib: int  # the memory that it was held to; 0: no limit


class GroupFailed(OSError):
    """A job's group cannot be made, or its limits cannot be set: the worker's fault."""


class JobAccount:
    """``group`` is None for a job that is measured by its processes."""

    def __init__(self, group: JobGroup | None, limits: JobLimits) -> None:
        self.group = group
        self._limits = limits
        self._processes = ProcessUsage()

    @classmethod
    def open(cls, key: str, limits: JobLimits) -> JobAccount:
        """Make the job's group, if it has one. Raises GroupFailed if it must have one and cannot: a job that is only measured
        then goes without."""
        tree = limits.get("tree", "")
        if not tree:
            return cls(None, limits)
        group = JobGroup(tree, key)
        try:
            group.make()
        except OSError as error:
            if limits.get("enforce"):
                raise GroupFailed(error.errno, error.strerror, error.filename) from error
            return cls(None, limits)
        return cls(group, limits)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Start the job's main process in this context. Raises GroupFailed; then nothing of the job is left."""
        group = self.group
        if group is None:
            yield
            return
        with self._failing():
            group.enter()
        try:
            yield
        except BaseException:
            group.leave()
            with contextlib.suppress(OSError):
                group.clear()
            raise
        group.leave()
        if self._limits.get("enforce"):
            with self._failing():
                group.restrict(
                    memory=self._limits.get("memory", 0),
                    weight=self._limits.get("weight", 0),
                    cpus=self._limits.get("cpus", 0.0),
                    processes=self._limits.get("processes", 0),
                )

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Kill what is in the group when its limits cannot be set. Raises GroupFailed."""
        try:
            yield
        except OSError as error:
            if self.group is not None:
                with contextlib.suppress(OSError):
                    self.group.clear()
            raise GroupFailed(error.errno, error.strerror, error.filename) from error

    def sample(self, pids: Callable[[], Iterable[int]]) -> None:
        """Note the present use. ``pids`` returns the job's processes."""
        if self.group is not None:
            self.group.sample()
        else:
            self._processes.sample(pids())

    def reaped(self, used: resource.struct_rusage) -> None:
        """Note what the kernel counted for the main process, which has ended."""
        self._processes.reaped(used)

    def close(self) -> JobUse:
        """Return what the job used, of which nothing is left, and remove its group."""
        if self.group is None:
            peak, cpu = self._processes.peak, self._processes.cpu
        else:
            peak, cpu = self.group.used()
            with contextlib.suppress(OSError):  # the next keeper of this worker tries again
                self.group.remove()
        limit = self.group.limit if self.group is not None else 0
        return JobUse(peak_mib=-(-peak // MIB), cpu_seconds=round(cpu, 3), limit_mib=-(-limit // MIB))


def clear_groups(tree: str, keys: Iterable[str]) -> None:
    """Kill and remove the groups that a killed keeper left. Never raises."""
    for key in keys:
        group = JobGroup(tree, key)
        with contextlib.suppress(OSError):
            group.clear()
