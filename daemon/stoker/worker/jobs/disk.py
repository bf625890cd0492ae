"""Disk limits of jobs: how much their folders hold, measured now and then in a thread of its own."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from stoker.core.model.states import JobPhase
from stoker.core.worker.jobs import AnyJob, ExecutorJob
from stoker.worker.jobs.folders import NotMeasured, disk_used
from stoker.worker.jobs.others import OthersFolders

LOG = logging.getLogger("stoker.worker")
FIRST = 1.0  # seconds after a job's start of its first measurement; then after twice the time, and so on up to
EVERY = 10.0  # seconds
PART = 20  # a job is measured at most a 20th of the time: one with a million files more rarely
WITHIN = 60.0  # seconds that one measurement may take


class LimitedJob(NamedTuple):
    """A job whose disk is limited. ``scratch`` is its application's, of which it has one of ``sharers`` equal parts."""

    key: str
    folder: Path
    scratch: tuple[Path, ...] = ()
    sharers: int = 1


class DiskWatch:
    """``used(key, bytes)`` is called in the loop's thread. Without limited jobs there is no thread, and no cost. ``others``
    measures where other accounts have folders."""

    def __init__(
        self,
        *,
        used: Callable[[str, int], None],
        in_loop: Callable[[Callable[[], None]], None],
        others: OthersFolders | None = None,
    ) -> None:
        self._used, self._in_loop, self._others = used, in_loop, others
        self._due: dict[str, float] = {}  # when each job is measured next
        self._pause: dict[str, float] = {}  # seconds until the measurement after that
        self._unmeasured: set[str] = set()  # of which that was said
        self._thread: threading.Thread | None = None
        self._look_at = 0.0
        self._has_limits = False
        self._stopping = False

    def look(self, now: float, jobs: Callable[[], list[LimitedJob]]) -> None:
        """Measure the jobs that are due, unless a measurement is under way. ``now`` is monotonic."""
        if now < self._look_at or (self._thread is not None and self._thread.is_alive()):
            return
        self._look_at = now + FIRST / 2
        limited = jobs()
        self._has_limits = bool(limited)
        keys = {job.key for job in limited}
        self._due = {key: at for key, at in self._due.items() if key in keys}
        self._pause = {key: pause for key, pause in self._pause.items() if key in keys}
        self._unmeasured &= keys
        due = [job for job in limited if now >= self._due.setdefault(job.key, now + FIRST)]
        if due:
            self._thread = threading.Thread(target=self._measure, args=(due,), name="disk", daemon=True)
            self._thread.start()

    def next_deadline(self) -> float:
        return self._look_at if self._has_limits else math.inf

    def close(self) -> None:
        self._stopping = True

    # --- the thread ---

    def _measure(self, jobs: Iterable[LimitedJob]) -> None:
        for job in jobs:
            if self._stopping:
                return
            began = time.monotonic()
            try:
                measure = disk_used if self._others is None else self._others.disk_used
                scratch = sum(measure(path, within=WITHIN) for path in job.scratch)
                self._report(job.key, measure(job.folder, within=WITHIN) + scratch // job.sharers)
            except NotMeasured as error:
                self._say_once(job.key, error)
            now = time.monotonic()
            pause = self._pause[job.key] = min(2 * self._pause.get(job.key, FIRST), EVERY)
            self._due[job.key] = now + max(pause, PART * (now - began))

    def _report(self, key: str, used: int) -> None:
        self._in_loop(lambda: None if self._stopping else self._used(key, used))

    def _say_once(self, key: str, error: NotMeasured) -> None:
        if key not in self._unmeasured:
            self._unmeasured.add(key)
            LOG.warning("the disk limit of %s is not enforced for now: %s", key, error)


def limited(
    jobs: Iterable[AnyJob], folder_of: Callable[[AnyJob], Path], scratch_of: Callable[[str], Iterable[Path]]
) -> list[LimitedJob]:
    """Return the running jobs that have a disk limit."""
    running = [job for job in jobs if job.phase is JobPhase.RUNNING]
    sharers = Counter(job.app_id for job in running if isinstance(job, ExecutorJob))
    found = []
    for job in running:
        if not job.max_disk_mib:
            continue
        if isinstance(job, ExecutorJob):
            scratch = tuple(scratch_of(job.app_id))
            found.append(LimitedJob(job.key, folder_of(job), scratch, sharers[job.app_id]))
        else:
            found.append(LimitedJob(job.key, folder_of(job)))
    return found
