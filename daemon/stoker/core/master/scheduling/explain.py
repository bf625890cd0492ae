"""Explain why a driver or an application waits, from a view of the cluster."""

from __future__ import annotations

from bisect import bisect_left

from stoker.core.master.scheduling.explanation import (
    Explanation,
    awaited,
    explain,
    held,
    helps,
    release,
    sized_for_next,
    unserved,
)
from stoker.core.master.scheduling.gangs import at_once, shortage, whole
from stoker.core.master.scheduling.reserved import Reserved
from stoker.core.master.scheduling.shares import Shares
from stoker.core.model.arrays.ids import runs_tasks
from stoker.core.model.resources import Amounts, words
from stoker.core.model.states import ApplicationState, DriverState, MasterState, WorkerState
from stoker.core.model.views import AppView, ClusterView, DriverView, WorkerView

_SCANS = 25_000  # workers looked at for helps, in one state of the cluster; always enough for three kinds of jobs


class Waiting:
    """Scans the cluster once; each answer is then cheap, even with 10,000 workers and drivers."""

    def __init__(self, cluster: ClusterView) -> None:
        self._cluster, self._master = cluster, cluster.state
        self._alive = [worker for worker in cluster.workers if worker.state is WorkerState.ALIVE]
        self._usable = [worker for worker in self._alive if not worker.draining and not worker.trouble]
        self._avoided = [worker for worker in self._alive if worker.trouble and not worker.draining]
        self._helps: dict[tuple[object, ...], tuple[str, ...]] = {}
        self._reserved = Reserved(cluster)
        self._shares = Shares(cluster, usable_cores=sum(worker.cores for worker in self._usable))
        self._queue = sorted(self._shares.rank(driver) for driver in cluster.active_drivers if driver.is_queued)
        self._most_cores = max((worker.cores for worker in self._usable), default=0)
        self._most_memory = max((worker.memory_mib for worker in self._usable), default=0)
        self._free_cores = max((_cores_free(worker) for worker in self._usable), default=0)
        self._free_memory = max((_memory_free(worker) for worker in self._usable), default=0)

    def driver(self, driver: DriverView) -> str:
        """Return why the driver waits; "" if it does not wait for a worker."""
        if driver.state is not DriverState.SUBMITTED:
            return ""
        if driver.hold is not None or driver.awaits:
            let_go = f": {release(driver)} lets it go on" if driver.hold is not None else ""
            return "; ".join(filter(None, [held(driver) + let_go, awaited(driver, self._cluster)]))
        ahead = bisect_left(self._queue, self._shares.rank(driver))
        queue = f"; {ahead} driver{'s' * (ahead != 1)} ahead of it" if ahead else ""
        # A worker with room may have refused it, or was lost with it.
        limits = self._shares.limits(driver, cores=driver.cores)
        lack = self._why(driver.cores, driver.memory_mib, driver.resources)
        if driver.array is not None and not lack and not any(runs_tasks(worker.version) for worker in self._usable):
            lack = "the release of every usable worker runs no tasks of arrays: upgrade one"
        lack = lack or self._kept(driver, driver.cores, driver.memory_mib, driver.resources) or driver.reason
        why = "; ".join(filter(None, [*limits, lack, self._reserved.for_job(driver.id)]))
        return (why or "a worker has room: it is waiting for its turn (spark.deploy.maxDrivers?)") + queue

    def app(self, app: AppView) -> str:
        """Return why the application waits, for an executor or for one of a further resource profile; "" if it does not."""
        profile = unserved(app)
        if app.state.is_final or (app.state is not ApplicationState.WAITING and profile is None):
            return ""
        if app.hold is not None:
            return f"{held(app)}: {release(app)} lets it go on"
        sizes = app if profile is None else profile
        cores = sizes.cores_per_executor or 1
        lack = self._why(cores, sizes.memory_mib, sizes.resources)
        lack = lack or self._kept(app, cores, sizes.memory_mib, sizes.resources)
        if app.at_once:
            lack = "; ".join(filter(None, [shortage(self._usable, app, self._reserved), lack]))
        if lack and profile is not None:
            lack = f"resource profile {profile.id} {lack}"
        limits = self._shares.limits(whole(app), cores=cores * at_once(app))
        why = "; ".join(filter(None, [*limits, lack, self._reserved.for_job(app.id)]))
        if app.state is not ApplicationState.WAITING:
            return why
        return why or "a worker has room: its next executor waits for a pause after failures, or for its own program"

    def why(self, job: DriverView | AppView) -> str:
        """Return why the job waits; "" if it does not."""
        return self.driver(job) if isinstance(job, DriverView) else self.app(job)

    def helps(self, job: DriverView | AppView) -> tuple[str, ...]:
        """Return what would let a waiting job start, each by itself. Jobs that ask for the same share one answer. On a large
        cluster only the first few kinds of jobs get one: a page shows many jobs, ``explain`` answers for each."""
        if job.hold is not None or (isinstance(job, DriverView) and job.awaits):  # ``why`` says what it waits for
            return ()
        if not self.why(job):
            return ()
        job = sized_for_next(job)
        cores = job.cores if isinstance(job, DriverView) else job.cores_per_executor
        kind = (type(job), cores, job.memory_mib, job.resources, job.pool, job.principal)
        if kind not in self._helps:
            if len(self._helps) >= max(3, _SCANS // max(1, len(self._alive))):
                return ()
            self._helps[kind] = helps(self._cluster, job)
        return self._helps[kind]

    def explain(self, job: DriverView | AppView) -> Explanation:
        """Explain it in full: every filter that refuses it, who is ahead, and what would help."""
        return explain(self._cluster, job)

    def _kept(self, job: DriverView | AppView, cores: int, memory: int, named: Amounts) -> str:
        """Return for whom all workers with room for the job are reserved; "" if one is not."""
        wanted = cores, memory, named
        refusals = [
            self._reserved.refusal(worker.id, job, *wanted) for worker in self._usable if _has_free(worker, *wanted)
        ]
        return f"the worker with room is {refusals[0]}" if refusals and all(refusals) else ""

    def _why(self, cores: int, memory: int, named: Amounts) -> str:
        """Return why no worker has room for a job of that size; "" if one has."""
        if self._master is not MasterState.ALIVE:
            return f"the master is {self._master.value} and places nothing yet"
        if not self._alive:
            return "the cluster has no live worker: start one with 'stoker worker' or playbooks/start-workers.yml"
        if not self._usable and self._avoided:
            first = self._avoided[0]
            more = f", and {len(self._avoided) - 1} more like it" if len(self._avoided) > 1 else ""
            return f"{first.id} {first.trouble}{more}"
        if not self._usable:
            return "every live worker is draining: 'stoker undrain HOST' lets one work again"
        lack = self._lack(cores, memory, named)
        needs = f"{_cores(cores)}, {memory} MiB and {words(named)}" if named else f"{_cores(cores)} and {memory} MiB"
        return f"needs {needs} on one worker, {lack}" if lack else ""

    def _left_out(self) -> str:
        draining = len(self._alive) - len(self._usable) - len(self._avoided)
        words = [f"{draining} more draining"] if draining else []
        words += [f"{worker.id} {worker.trouble}" for worker in self._avoided[:1]]
        return f" ({'; '.join(words)})" if words else ""

    def _lack(self, cores: int, memory: int, named: Amounts) -> str:
        besides = self._left_out()
        if not any(_is_as_large(worker, cores, memory, named) for worker in self._usable):
            return self._none_that_large(cores, memory, named)
        if self._free_cores < cores:
            return f"the largest has {_cores(self._free_cores)} free{besides}"
        if self._free_memory < memory:
            return f"the largest has {self._free_memory} MiB free{besides}"
        for name, amount in named:
            if (most := max(_named_free(worker, name) for worker in self._usable)) < amount:
                return f"the most that one has free is {most} {name}{besides}"
        if not any(_has_free(worker, cores, memory, named) for worker in self._usable):
            return f"and none has {'all of it' if named else 'both'} free{besides}"
        return ""

    def _none_that_large(self, cores: int, memory: int, named: Amounts) -> str:
        for worker in self._avoided:
            if _is_as_large(worker, cores, memory, named):
                return f"and {worker.id} {worker.trouble}"
        draining = sum(_is_as_large(worker, cores, memory, named) for worker in self._alive)
        if draining:
            return f"and the {draining} of that size are draining: 'stoker undrain' lets them work again"
        for name, amount in named:
            if (most := max(_named(worker, name) for worker in self._usable)) < amount:
                return f"and no worker offers {amount} {name} (the most is {most}): submit it with less"
        if named and any(_is_as_large(worker, cores, memory, ()) for worker in self._usable):
            return "and no worker has all of that: submit it with less"
        has = f"{_cores(self._most_cores)}, and the most memory is {self._most_memory} MiB"
        return f"and no worker is that large (the largest has {has}): submit it with less"


def _cores(count: int) -> str:
    return f"{count} core{'s' * (count != 1)}"


def _cores_free(worker: WorkerView) -> int:
    return worker.cores - worker.cores_used


def _memory_free(worker: WorkerView) -> int:
    return worker.memory_mib - worker.memory_used_mib


def _named(worker: WorkerView, name: str) -> int:
    return len(dict(worker.resources).get(name, ()))


def _named_free(worker: WorkerView, name: str) -> int:
    used = dict(worker.resources_used).get(name, ())
    return sum(address not in used for address in dict(worker.resources).get(name, ()))


def _has_free(worker: WorkerView, cores: int, memory: int, named: Amounts) -> bool:
    if _cores_free(worker) < cores or _memory_free(worker) < memory:
        return False
    return all(_named_free(worker, name) >= amount for name, amount in named)


def _is_as_large(worker: WorkerView, cores: int, memory: int, named: Amounts) -> bool:
    if worker.cores < cores or worker.memory_mib < memory:
        return False
    return all(_named(worker, name) >= amount for name, amount in named)
