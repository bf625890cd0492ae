"""Real and modelled workloads (tests/data/traces), and what users notice of a schedule."""

from __future__ import annotations

import lzma
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

FOLDER = Path(__file__).parents[1] / "data" / "traces"
SHORTEST = 10.0  # seconds: bounded slowdown takes a shorter job for one of this length
Limits = Literal["exact", "loose", "unknown"]


class TracedJob(NamedTuple):
    """One job of a trace; times in seconds. ``limit``: the run time that its user asked for; 0: unknown."""

    submitted: float
    seconds: float
    cores: int
    user: str
    limit: float


class Trace(NamedTuple):
    """``cores``: of the machine it is for. ``factor``: for its submit times, so that jobs have to wait."""

    name: str
    file: str
    cores: int
    factor: float = 1.0
    users: int = 0  # to draw, where the file has none: the n-th is 1/n as busy as the first


LUBLIN = Trace("Lublin", "lublin_256.swf.xz", 256, users=20)
NASA = Trace("NASA", "NASA-iPSC-1993-3.1-cln.swf.xz", 128, factor=0.45)


def read(trace: Trace, *, limits: Limits = "exact", seed: int = 1, most: int | None = None) -> list[TracedJob]:
    """Return the trace's jobs (the first ``most``), without those that take no time. ``loose`` limits are 1 to 10 times the
    run time, as users' limits are known to be."""
    rng = random.Random(seed)
    weights = [1 / rank for rank in range(1, trace.users + 1)]
    jobs = []
    with lzma.open(FOLDER / trace.file, "rt") as file:
        for line in file:
            fields = line.split()
            if not fields or fields[0].startswith(";") or float(fields[3]) <= 0:
                continue
            seconds = float(fields[3])
            user = f"u{rng.choices(range(trace.users), weights)[0]}" if trace.users else f"u{fields[11]}"
            limit = {"exact": seconds, "loose": seconds * rng.uniform(1, 10), "unknown": 0.0}[limits]
            jobs.append(TracedJob(float(fields[1]) * trace.factor, seconds, int(fields[4]), user, limit))
            if len(jobs) == most:
                break
    return jobs


class Figures(NamedTuple):
    """Times in seconds. ``slowdown``: the mean bounded slowdown. ``jain``: Jain's index over the users' mean slowdowns."""

    mean: float
    p95: float
    largest: float
    slowdown: float
    utilisation: float
    jain: float

    def row(self) -> list[str]:
        """As a line of the table in docs/scheduling.md."""
        waits = [f"{value:,.0f}" for value in self[:4]]
        return [*waits, f"{self.utilisation:.3f}", f"{self.jain:.2f}"]


def figures(jobs: Sequence[TracedJob], starts: Sequence[float], cores: int) -> Figures:
    """Return what a schedule is worth on a machine of so many cores."""
    waits = [start - job.submitted for job, start in zip(jobs, starts, strict=True)]
    of_user: dict[str, list[float]] = defaultdict(list)
    for job, wait in zip(jobs, waits, strict=True):
        of_user[job.user].append(max(1.0, (wait + job.seconds) / max(SHORTEST, job.seconds)))
    slowdowns = [slowdown for own in of_user.values() for slowdown in own]
    means = [sum(own) / len(own) for own in of_user.values()]
    end = max(start + job.seconds for job, start in zip(jobs, starts, strict=True))
    span = end - min(job.submitted for job in jobs)
    return Figures(
        mean=sum(waits) / len(waits),
        p95=sorted(waits)[int(0.95 * len(waits))],
        largest=max(waits),
        slowdown=sum(slowdowns) / len(slowdowns),
        utilisation=sum(job.cores * job.seconds for job in jobs) / cores / span,
        jain=sum(means) ** 2 / len(means) / sum(mean * mean for mean in means),
    )


def waits_by_width(jobs: Sequence[TracedJob], starts: Sequence[float]) -> dict[int, float]:
    """Return the longest wait in seconds of the jobs of up to 1, 2, 4, 8 ... cores."""
    waits: dict[int, list[float]] = defaultdict(list)
    for job, start in zip(jobs, starts, strict=True):
        waits[1 << (job.cores - 1).bit_length()].append(start - job.submitted)
    return {width: max(own) for width, own in sorted(waits.items())}
