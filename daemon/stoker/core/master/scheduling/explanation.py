"""Explain one job in full: what it needs, every filter that refuses it, who is ahead, and what would help.

Works on a view of the cluster, so clients, pages and the API give the same answer. What is shown as a help has been tried:
with it, no filter refuses the job.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal

import msgspec

from stoker.core.master.scheduling.gangs import at_once, fitting, possible, shortage, whole
from stoker.core.master.scheduling.reserved import Reserved
from stoker.core.master.scheduling.shares import Shares, ahead_by
from stoker.core.model.arrays.ids import runs_tasks
from stoker.core.model.profiles import DEFAULT_PROFILE, Profile
from stoker.core.model.resources import counted, words
from stoker.core.model.states import DriverState, MasterState, WorkerState
from stoker.core.model.values import Value
from stoker.core.model.views import AppView, ClusterView, DriverView, WorkerView

Verdict = Literal["now", "wait", "never"]


class Explanation(Value, frozen=True):
    """``verdict``: nothing refuses it now; something does, which may end; or it can never run on this cluster as it is.
    ``refusals``: of workers, counted, and of limits. ``ahead``: waiting drivers that are served first. ``helps``: each alone
    would let it start."""

    verdict: Verdict
    needs: str
    refusals: tuple[str, ...] = ()
    ahead: tuple[str, ...] = ()
    helps: tuple[str, ...] = ()
    reserved: str = ""  # where room is reserved for it, and until when that is free at the latest

    @property
    def lines(self) -> list[str]:
        """As people read it."""
        heads = {"now": "nothing refuses it now", "wait": "it waits", "never": "it can never run here as it is"}
        found = [f"needs {self.needs}: {heads[self.verdict]}"]
        for title, texts in (("refused", self.refusals), ("ahead", self.ahead), ("would help", self.helps)):
            found += [f"{title}: {text}" for text in texts]
        return [*found, self.reserved] if self.reserved else found


def explain(cluster: ClusterView, job: DriverView | AppView) -> Explanation:
    """Explain why a driver that waits, or the next executor of an application, is not placed now."""
    return _Case(cluster, job).explanation()


def helps(cluster: ClusterView, job: DriverView | AppView) -> tuple[str, ...]:
    """Return what alone would let a waiting job start: the part of ``explain`` that pages show wherever something waits."""
    return tuple(_Case(cluster, job).helps())


def unserved(app: AppView) -> Profile | None:
    """Return the first resource profile of which the application wants executors and has none; None if that is the default
    one, or none at all."""
    served = {executor.profile for executor in app.executors}
    if app.executor_limit != 0 and DEFAULT_PROFILE not in served:
        return None
    return next((each for each in app.profiles if each.executor_limit and each.id not in served), None)


def sized_for_next(job: DriverView | AppView) -> DriverView | AppView:
    """Return the job with the sizes of what is to be placed next."""
    profile = unserved(job) if isinstance(job, AppView) else None
    if profile is None:
        return job
    return msgspec.structs.replace(
        job,
        cores_per_executor=profile.cores_per_executor,
        memory_mib=profile.memory_mib,
        resources=profile.resources,
    )


class _Case:
    def __init__(self, cluster: ClusterView, job: DriverView | AppView) -> None:
        job = sized_for_next(job)
        self._cluster, self._job = cluster, job
        self._cores = job.cores if isinstance(job, DriverView) else (job.cores_per_executor or 1)
        self._count = at_once(job)
        self._alive = [worker for worker in cluster.workers if worker.state is WorkerState.ALIVE]
        self._usable = [worker for worker in self._alive if not worker.draining and not worker.trouble]
        self._shares = Shares(cluster, usable_cores=sum(worker.cores for worker in self._usable))
        self._reserved = Reserved(cluster)

    def explanation(self) -> Explanation:
        refusals = list(self._refusals())
        verdict: Verdict = "now" if not refusals else "never" if self._is_hopeless() else "wait"
        return Explanation(
            verdict=verdict,
            needs=self._needs(),
            refusals=tuple(refusals),
            ahead=tuple(self._ahead()) if verdict != "now" else (),
            helps=tuple(self.helps()) if verdict != "now" else (),
            reserved=self._reserved.for_job(self._job.id),
        )

    def _needs(self) -> str:
        amounts = ", ".join(filter(None, [_count(self._cores, "core"), f"{self._job.memory_mib} MiB"]))
        named = words(self._job.resources)
        if self._count > 1:
            return f"{self._count} executors at once, each with {amounts}{', ' + named if named else ''} on one worker"
        what = "" if isinstance(self._job, DriverView) else " for an executor"
        return f"{amounts}{', ' + named if named else ''} on one worker{what}"

    def _refusals(self) -> Iterator[str]:
        if self._job.hold is not None:
            yield held(self._job)
        if isinstance(self._job, DriverView) and self._job.awaits:
            yield awaited(self._job, self._cluster)
        if (
            isinstance(self._job, DriverView)
            and (array := self._job.array) is not None
            and not self._job.state.is_final
        ):
            if not array.waiting:
                yield "none of its tasks waits"
            elif 0 < array.limit <= array.running:
                yield f"{array.running} of its tasks run, which is its limit (--array ...%{array.limit})"
        yield from self._refusals_of_cluster()

    def _refusals_of_cluster(self) -> Iterator[str]:
        if self._cluster.state is not MasterState.ALIVE:
            yield f"the master is {self._cluster.state.value} and places nothing yet"
        yield from self._limits()
        if self._has_no_slot():
            yield f"{self._cluster.max_drivers} drivers run, which is the most (spark.deploy.maxDrivers)"
        reasons = [self._refusal(worker) for worker in self._alive]
        if not reasons:
            yield "the cluster has no live worker"
        elif all(reasons) or self._gang_lack():
            yield from filter(None, [self._gang_lack()])
            for reason, count in Counter(filter(None, reasons)).most_common():
                yield f"{_count(count, 'worker')}: {reason}"

    def _limits(self, pool: str | None = None) -> list[str]:
        return self._shares.limits(whole(self._job), cores=self._count * self._cores, pool=pool)

    def _gang_lack(self) -> str:
        """Return that fewer executors fit than it needs at once; "" if enough do, or one is enough."""
        if self._count == 1 or not isinstance(self._job, AppView):
            return ""
        return shortage(self._usable, self._job, self._reserved)

    def _has_no_slot(self) -> bool:
        most = self._cluster.max_drivers
        if most is None or not isinstance(self._job, DriverView):
            return False
        waiting = (DriverState.SUBMITTED, DriverState.RELAUNCHING)
        return sum(driver.state not in waiting for driver in self._cluster.active_drivers) >= most

    def _refusal(self, worker: WorkerView, *, cores: int | None = None, memory: int | None = None) -> str:
        """Return why the job cannot be placed on the worker; "" if it can."""
        cores = self._cores if cores is None else cores
        memory = self._job.memory_mib if memory is None else memory
        if not self._is_large_enough(worker, cores, memory):
            return "too small for it, also when empty"
        if why := self._closed(worker):
            return why
        if worker.cores - worker.cores_used < cores:
            return "too few free cores"
        if worker.memory_mib - worker.memory_used_mib < memory:
            return "too little free memory"
        used = dict(counted(worker.resources_used))
        for name, offered in counted(worker.resources):
            if offered - used.get(name, 0) < dict(self._job.resources).get(name, 0):
                return f"too few free {name}"
        return self._reserved.refusal(worker.id, self._job, cores, memory, self._job.resources)

    def _closed(self, worker: WorkerView) -> str:
        """Return why nothing of the kind is placed on the worker, whatever is free there; "" if it is."""
        if worker.draining or worker.trouble:
            return "draining" if worker.draining else worker.trouble
        of_array = isinstance(self._job, DriverView) and self._job.array is not None
        return "" if not of_array or runs_tasks(worker.version) else "its release runs no tasks of arrays: upgrade it"

    def _is_large_enough(self, worker: WorkerView, cores: int, memory: int) -> bool:
        offered = dict(counted(worker.resources))
        has_named = all(offered.get(name, 0) >= amount for name, amount in self._job.resources)
        return has_named and worker.cores >= cores and worker.memory_mib >= memory

    def _is_hopeless(self) -> bool:
        """Return whether neither an end of what runs nor an undrained worker would help."""
        if self._shares.exceeds(whole(self._job), cores=self._count * self._cores):
            return True
        if isinstance(self._job, AppView) and possible(self._alive, self._job) < self._count:
            return True
        return not any(self._is_large_enough(worker, self._cores, self._job.memory_mib) for worker in self._alive)

    def _ahead(self) -> Iterator[str]:
        if not isinstance(self._job, DriverView):
            return
        rank = self._shares.rank(self._job)
        by: Counter[str] = Counter()
        for driver in self._cluster.active_drivers:
            if driver.is_queued and driver.id != self._job.id:
                other = self._shares.rank(driver)
                if other < rank:
                    by[ahead_by(rank, other)] += 1
        for words_, count in by.most_common():
            yield f"{_count(count, 'driver')} {words_}"

    # --- what would help -------------------------------------------------------------------------------------------

    def helps(self) -> Iterator[str]:
        if self._job.hold is not None:
            others = getattr(self._job, "awaits", ()) or any(self._refusals_of_cluster())
            if not others:
                yield release(self._job)
            return
        if isinstance(self._job, DriverView) and self._job.awaits:
            return
        if self._cluster.state is not MasterState.ALIVE or self._has_no_slot():
            return
        limited = bool(self._limits())
        fits = any(not self._refusal(worker) for worker in self._alive) and not self._gang_lack()
        if limited:
            if fits:
                yield from self._other_pools()
            return
        if self._count > 1 and isinstance(self._job, AppView):
            yield from self._helps_of_gang(self._job)
            return
        free = [
            cores
            for worker in self._alive
            if (cores := worker.cores - worker.cores_used) and not self._refusal(worker, cores=min(cores, self._cores))
        ]
        if not fits and free and 0 < max(free) < self._cores:
            yield f"{_count(max(free), 'core')} instead of {self._cores}"
        wanted = self._job.memory_mib
        memory = [
            left
            for worker in self._alive
            if (left := worker.memory_mib - worker.memory_used_mib)
            and not self._refusal(worker, memory=min(left, wanted))
        ]
        if not fits and memory and 0 < max(memory) < wanted:
            yield f"{max(memory)} MiB instead of {wanted}"
        if not fits:
            for worker in self._alive:
                if worker.draining and not self._refusal(msgspec.structs.replace(worker, draining=False)):
                    yield f"'stoker undrain {worker.address}'"
                    return

    def _helps_of_gang(self, app: AppView) -> Iterator[str]:
        fit = fitting(self._usable, app, self._reserved)
        if 0 < fit < self._count:
            yield f"'--min-executors {fit}'"
        for worker in self._alive:
            undrained = msgspec.structs.replace(worker, draining=False)
            if fit < self._count <= fit + worker.draining * fitting([undrained], app, self._reserved):
                yield f"'stoker undrain {worker.address}'"
                return

    def _other_pools(self) -> Iterator[str]:
        for name in self._shares.names:
            if not self._shares.admits(name, self._job.principal) or name == self._job.pool:
                continue
            if not self._limits(name):
                yield f"pool {name} (--pool {name})"
                return


def held(job: DriverView | AppView) -> str:
    """Return who holds the job; "" if nobody does."""
    return "" if job.hold is None else job.hold.words("held")


def awaited(driver: DriverView, cluster: ClusterView) -> str:
    """Return which parents of the driver have not ended; "" if all have."""
    if not driver.awaits:
        return ""
    first = driver.awaits[0]
    state = next((f" ({each.state.value})" for each in cluster.active_drivers if each.id == first), "")
    more = f", and {len(driver.awaits) - 1} more of its parents" if len(driver.awaits) > 1 else ""
    return f"it starts after {first}{state}{more}"


def release(job: DriverView | AppView) -> str:
    """Return the command that lets a held job go on."""
    return f"'stoker release {job.id}'"


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
