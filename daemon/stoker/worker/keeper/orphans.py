"""Find the job an orphaned process belongs to. Standard library only, as all the keeper imports."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Container, Mapping

from stoker.worker.keeper.job import KeptJob
from stoker.worker.keeper.processes import MARK, children, is_ours, mark_of, start_time


class Orphans:
    """The present children of this process that are neither a job's main process nor a helper of this process (``mains``).
    They keep their pids until this process reaps them. Each child is examined once, however many jobs there are."""

    def __init__(self, jobs: Mapping[str, KeptJob], mains: Container[int]) -> None:
        self._jobs = jobs
        self._running = sorted((job for job in jobs.values() if job.exit is None), key=lambda job: job.start_time)
        self._starts = [job.start_time for job in self._running]
        self._ended = [job for job in jobs.values() if job.exit is not None and not job.is_clean]
        self._stopped = [job for job in jobs.values() if job.known]
        self._of: dict[str, list[int]] = {}
        listed = children(os.getpid())
        for pid in listed:
            if pid not in mains:
                for job in self._owners(pid):
                    self._of.setdefault(job.key, []).append(pid)
        # A child that ended before it was examined left its own children to this process; they are not in the list yet.
        self.is_whole: bool = set(listed).issuperset(children(os.getpid()))

    def of(self, job: KeptJob) -> list[int]:
        return self._of.get(job.key, [])

    def _owners(self, pid: int) -> list[KeptJob]:
        marked = self._jobs.get(mark_of(pid)[len(MARK) :].decode(errors="replace"))
        if marked is not None:
            return [marked]
        started = start_time(pid)  # it has no mark, or the mark of a Stoker that ran inside a job
        if not started or not is_ours(pid):  # it has exited, or runs as another user
            return []
        known = [job for job in self._stopped if job.known.get(pid) == started]
        if known:
            return known
        older = bisect_right(self._starts, started)
        if older:  # running jobs that may have started it; with several, the owner is unknown
            return self._running[:1] if older == 1 else []
        return [job for job in self._ended if job.start_time <= started]
