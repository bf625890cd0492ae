"""What a worker's jobs use of it, and whether another job has room."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from stoker.core.model.resources import Addresses, address_words, grouped, pairs
from stoker.core.model.states import JobPhase
from stoker.core.worker.jobs import AnyJob
from stoker.core.worker.registration import WorkerIdentity


class Used(NamedTuple):
    """Memory in MiB. A job uses its share until nothing is left of its processes."""

    cores: int
    memory_mib: int
    resources: Addresses


def used_by(jobs: Iterable[AnyJob]) -> Used:
    running = [job for job in jobs if job.phase is not JobPhase.ENDED]
    return Used(
        sum(job.cores for job in running),
        sum(job.memory_mib for job in running),
        grouped(pair for job in running for pair in pairs(job.resources)),
    )


def lack_for(job: AnyJob, identity: WorkerIdentity, used: Used) -> str:
    """Return why the worker has no room for the job beside what it runs; "" if it has."""
    if used.cores + job.cores > identity.cores or used.memory_mib + job.memory_mib > identity.memory_mib:
        return f"it needs {job.cores} cores and {job.memory_mib} MiB, which are not free on this worker"
    free = set(pairs(identity.resources)) - set(pairs(used.resources))
    lacking = [pair for pair in pairs(job.resources) if pair not in free]
    return f"it needs {address_words(grouped(lacking))}, not free on this worker" if lacking else ""
