"""Order and limits of pools, from a view of the cluster: for people who ask why a job waits. The limits are those of
``limits``, which the scheduling pass asks, too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stoker.core.master.scheduling.limits import Held, refusals
from stoker.core.model.pools import DEFAULT_POOL, Pool
from stoker.core.model.views import AppView, ClusterView, DriverView, PoolView, PrincipalView


class Shares:
    """Without pools nothing is limited, and jobs are in the order they came."""

    def __init__(self, cluster: ClusterView, *, usable_cores: int) -> None:
        self._pools = {pool.name: pool for pool in cluster.pools}
        self._people = {
            (pool.name, principal.name): principal for pool in cluster.pools for principal in pool.principals
        }
        self._cores = usable_cores

    @property
    def names(self) -> list[str]:
        return list(self._pools)

    def limits(self, job: DriverView | AppView, *, cores: int, pool: str | None = None) -> list[str]:
        """Return each limit that keeps the job from getting so many cores (with its memory), in words."""
        name = job.pool or DEFAULT_POOL if pool is None else pool
        view = self._pools.get(name)
        if view is None:
            return []
        person = self._person(name, job.principal)
        of_pool = Held(view.cores, view.memory_mib, view.drivers, view.driver_cores, view.resources)
        of_principal = Held(person.cores, person.memory_mib, person.drivers, resources=person.resources)
        return list(self._refusals(view.settings, of_pool, of_principal, job, cores))

    def exceeds(self, job: DriverView | AppView, *, cores: int) -> str:
        """Return the limit that the job breaks even when nothing else runs; "" if none."""
        view = self._pools.get(job.pool or DEFAULT_POOL)
        return "" if view is None else next(self._refusals(view.settings, Held(), Held(), job, cores), "")

    def _refusals(
        self, pool: Pool, of_pool: Held, of_principal: Held, job: DriverView | AppView, cores: int
    ) -> Iterator[str]:
        return refusals(
            pool,
            of_pool,
            of_principal,
            principal=job.principal,
            cores=cores,
            memory_mib=job.memory_mib,
            is_driver=isinstance(job, DriverView),
            cluster_cores=self._cores,
            resources=job.resources,
        )

    def rank(self, job: DriverView | AppView) -> tuple[Any, ...]:
        """Return the key by which the job is served; the smallest is next."""
        name = job.pool or DEFAULT_POOL
        view = self._pools.get(name)
        own = (-job.priority, job.submitted, job.id)
        if view is None:
            return (True, 0.0, 0.0, *own)
        person = self._person(name, job.principal).part if view.settings.policy == "fair" else 0.0
        return (not view.is_below_min, (view.part_now + view.part_past) / view.settings.weight, person, *own)

    def _person(self, pool: str, principal: str) -> PrincipalView:
        return self._people.get((pool, principal)) or PrincipalView(name=principal)

    def pool(self, name: str) -> PoolView | None:
        return self._pools.get(name or DEFAULT_POOL)

    def admits(self, name: str, principal: str) -> bool:
        pool: Pool | None = self._pools[name].settings if name in self._pools else None
        return pool is not None and pool.admits(principal)


# Why somebody is ahead, by the first part of the key that differs.
AHEAD = (
    "of pools below their min_share",
    "of pools with a smaller part",
    "of users with a smaller part",
    "of a higher priority",
    "that came earlier",
    "that came earlier",
)


def ahead_by(rank: tuple[Any, ...], other: tuple[Any, ...]) -> str:
    """Return by what ``other`` is ahead of ``rank``."""
    return next(words for mine, its, words in zip(rank, other, AHEAD, strict=True) if mine != its)
