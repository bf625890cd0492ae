"""Pools as views: what their jobs use, what waits, and the parts that decide whose turn it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from stoker.core.master.context import Context
from stoker.core.master.sharing.accounts import Account, Use
from stoker.core.model.resources import Amounts, added, counted
from stoker.core.model.states import ApplicationState, DriverState
from stoker.core.model.views import PoolView, PrincipalView


def pool_views(ctx: Context) -> tuple[PoolView, ...]:
    """Return a view of each pool that the file names, or that has jobs or past use; none without a file."""
    if not ctx.pools.is_configured:
        return ()
    books = ctx.books
    waiting: Counter[Account] = Counter()
    oldest: dict[str, float] = {}
    apps: Counter[str] = Counter()
    for driver in books.drivers.values():
        if driver.record.state is DriverState.SUBMITTED:
            count = 1 if driver.tasks is None else driver.tasks.left
            waiting[driver.account] += count
            if count:
                _note(oldest, driver.account[0], driver.queued_at)
    idle_apps: Counter[str] = Counter()
    for app in books.apps.values():
        apps[app.pool] += 1
        if app.record.state is ApplicationState.WAITING:
            idle_apps[app.pool] += 1
            _note(oldest, app.pool, app.record.submitted)
    people: dict[str, set[str]] = {name: set() for name in ctx.pools.pools}
    for pool, principal in (*books.accounts.used, *waiting):
        people.setdefault(pool, set()).add(principal)
    for pool in apps:
        people.setdefault(pool, set())
    parts = _Parts(ctx)
    past, past_named = books.accounts.past_of_pools(), books.accounts.past_resources_of_pools()
    views = []
    for name, principals in people.items():
        use = books.accounts.of_pool(name)
        views.append(
            PoolView(
                name=name,
                settings=ctx.pools.of(name),
                cores=use.cores,
                memory_mib=use.memory_mib,
                drivers=use.drivers,
                driver_cores=use.driver_cores,
                applications=apps[name],
                waiting=sum(waiting[name, who] for who in principals) + idle_apps[name],
                oldest=oldest.get(name, 0.0),
                part_now=parts.present(use),
                part_past=parts.past(*past.get(name, (0, 0)), past_named.get(name, ())),
                principals=tuple(_principal(ctx, parts, (name, who), waiting) for who in sorted(principals)),
                resources=use.resources,
            )
        )
    return tuple(views)


def _principal(ctx: Context, parts: _Parts, account: Account, waiting: Counter[Account]) -> PrincipalView:
    accounts = ctx.books.accounts
    use = accounts.of(account)
    return PrincipalView(
        name=account[1],
        cores=use.cores,
        memory_mib=use.memory_mib,
        drivers=use.drivers,
        waiting=waiting[account],
        part=parts.both(use, *accounts.past(use), accounts.past_resources(use)),
        resources=use.resources,
    )


class _Parts:
    """Parts of the cluster, as numbers for people; ``turns`` decides by exact ones."""

    def __init__(self, ctx: Context) -> None:
        usable = [worker.record for worker in ctx.books.workers.values() if worker.is_usable]
        self._cores = max(1, sum(record.cores for record in usable))
        self._memory = max(1, sum(record.memory_mib for record in usable))
        named: Amounts = ()
        for record in usable:
            named = added(named, counted(record.resources))
        self._named = dict(named)
        self._life = ctx.books.accounts.life

    def present(self, use: Use) -> float:
        return max(use.cores / self._cores, use.memory_mib / self._memory, self._of_named(dict(use.resources)))

    def past(self, cores: int, memory: int, resources: Amounts) -> float:
        named = {name: amount / self._life for name, amount in resources}
        return max(cores / self._life / self._cores, memory / self._life / self._memory, self._of_named(named))

    def both(self, use: Use, cores: int, memory: int, resources: Amounts) -> float:
        """Return the largest sum, which is not the sum of the largest ones."""
        named: dict[str, float] = dict(use.resources)
        for name, amount in resources:
            named[name] = named.get(name, 0) + amount / self._life
        return max(
            (use.cores + cores / self._life) / self._cores,
            (use.memory_mib + memory / self._life) / self._memory,
            self._of_named(named),
        )

    def _of_named(self, amounts: Mapping[str, float]) -> float:
        """Return the largest part of a named resource; those that no usable worker has do not count."""
        return max((amounts.get(name, 0) / there for name, there in self._named.items()), default=0.0)


def _note(oldest: dict[str, float], pool: str, at: float) -> None:
    oldest[pool] = min(oldest.get(pool, at), at)
