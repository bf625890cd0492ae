"""Textbook schedulers over plain processors, to compare with: strict FIFO, first fit, and EASY backfilling (Lifka 1995)."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Literal

from tests.support.traces import TracedJob

Algorithm = Literal["fifo", "first fit", "easy"]


def starts(jobs: Sequence[TracedJob], cores: int, algorithm: Algorithm) -> list[float]:
    """Return when each job starts on a machine of so many processors. Raises ValueError for a job that is wider."""
    if any(job.cores > cores for job in jobs):
        raise ValueError(f"a job is wider than {cores} processors")
    found = [0.0] * len(jobs)
    running: list[tuple[float, float, int]] = []  # (end, end by its limit, processors)
    waiting: list[int] = []  # in order of submission
    arrivals = sorted(range(len(jobs)), key=lambda index: jobs[index].submitted)
    free, at = cores, 0

    def begin(index: int, now: float) -> None:
        nonlocal free
        job = jobs[index]
        found[index], free = now, free - job.cores
        heapq.heappush(running, (now + job.seconds, now + max(job.limit, job.seconds), job.cores))

    while at < len(arrivals) or running:
        now = min(
            jobs[arrivals[at]].submitted if at < len(arrivals) else float("inf"),
            running[0][0] if running else float("inf"),
        )
        while running and running[0][0] <= now:
            free += heapq.heappop(running)[2]
        while at < len(arrivals) and jobs[arrivals[at]].submitted <= now:
            waiting.append(arrivals[at])
            at += 1
        while waiting and jobs[waiting[0]].cores <= free:
            begin(waiting.pop(0), now)
        if waiting and free and algorithm != "fifo":
            shadow, extra = _shadow(jobs[waiting[0]].cores, free, running) if algorithm == "easy" else (0.0, free)
            left = [waiting[0]]
            for index in waiting[1:]:
                job = jobs[index]
                lasts = now + max(job.limit, job.seconds) > shadow
                if job.cores <= (min(free, extra) if lasts else free):
                    extra -= job.cores if lasts else 0
                    begin(index, now)
                else:
                    left.append(index)
            waiting = left
    return found


def _shadow(wanted: int, free: int, running: list[tuple[float, float, int]]) -> tuple[float, int]:
    """Return when the first in the queue can start at the latest, and how many processors it then leaves free."""
    for end, cores in sorted((end, cores) for _, end, cores in running):
        free += cores
        if free >= wanted:
            return end, free - wanted
    raise AssertionError("what runs has more processors than the machine")
