"""How many executors of an application fit, from a view of the cluster: for those that begin with several at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from stoker.core.master.scheduling.reserved import Reserved
from stoker.core.model.resources import counted, times
from stoker.core.model.views import AppView, DriverView, WorkerView


def at_once(job: DriverView | AppView) -> int:
    """Return how many places the job needs at the same time: 1 unless it is a gang that has not begun."""
    return max(1, job.at_once) if isinstance(job, AppView) else 1


def whole(job: DriverView | AppView) -> DriverView | AppView:
    """Return the job with the memory and the named resources of all that it needs at once."""
    count = at_once(job)
    if count == 1:
        return job
    return msgspec.structs.replace(job, memory_mib=count * job.memory_mib, resources=times(job.resources, count))


def fitting(workers: Iterable[WorkerView], app: AppView, reserved: Reserved) -> int:
    """Return how many of its executors fit now on these workers, all of them usable."""
    return sum(_on(worker, app, reserved) for worker in workers)


def possible(workers: Iterable[WorkerView], app: AppView) -> int:
    """Return how many of its executors fit on these workers when they are empty."""
    return sum(_count(app, worker.cores, worker.memory_mib, dict(counted(worker.resources))) for worker in workers)


def shortage(workers: Iterable[WorkerView], app: AppView, reserved: Reserved) -> str:
    """Return that fewer executors fit now than it needs at once, in words; "" if enough do."""
    fit = fitting(workers, app, reserved)
    return f"needs {app.at_once} executors at once, {fit} fit{'s' * (fit == 1)} now" if fit < app.at_once else ""


def _on(worker: WorkerView, app: AppView, reserved: Reserved) -> int:
    used = dict(counted(worker.resources_used))
    named = {name: count - used.get(name, 0) for name, count in counted(worker.resources)}
    free = _count(app, worker.cores - worker.cores_used, worker.memory_mib - worker.memory_used_mib, named)
    place = reserved.kept_from(worker.id, app)
    if place is None:
        return free
    return min(free, _count(app, place.spare_cores, place.spare_memory_mib, dict(place.spare_resources)))


def _count(app: AppView, cores: int, memory_mib: int, named: Mapping[str, int]) -> int:
    counts = [cores // (app.cores_per_executor or 1)]
    if app.memory_mib:
        counts.append(memory_mib // app.memory_mib)
    counts += [named.get(name, 0) // amount for name, amount in app.resources]
    return max(0, min(counts))
