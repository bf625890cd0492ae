"""The pool of a submission: which one it names, and whether its principal may submit there."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import msgspec

from stoker.core.model.limits import disk, span
from stoker.core.model.pools import DEFAULT_POOL, PoolRequest, Pools
from stoker.core.model.principal import Asker
from stoker.core.model.values import ApplicationDescription, DriverDescription
from stoker.errors import did_you_mean

D = TypeVar("D", DriverDescription, ApplicationDescription)


class Admitted(NamedTuple):
    pool: str
    priority: int


def admit(pools: Pools, request: PoolRequest, by: Asker) -> Admitted | str:
    """Return the pool and the priority of a submission, or in one line why it is refused."""
    name = request.pool or (request.queue if pools.is_configured else "") or DEFAULT_POOL
    pool = pools.pools.get(name)
    if pool is None:
        return _unknown(pools, name, is_named=bool(request.pool or request.queue))
    if pools.is_configured and not by.is_admin and not pool.admits(by.principal):
        return f"{by.principal or 'who has proved no name'} may not submit to pool {name}: {_others(pools, by)}"
    priority = pool.default_priority if request.priority is None else request.priority
    if priority > pool.max_priority:
        where = f"pool {name}" if pools.is_configured else "a cluster without pools"
        return f"priority {priority} is higher than {where} permits: the highest is {pool.max_priority}"
    return Admitted(name, priority)


def assigned(pools: Pools, job: D, request: PoolRequest, by: Asker) -> D | str:
    """Return the description with its pool, priority and limits, or why it is refused. Without pools nothing of it
    changes."""
    admitted = admit(pools, request, by)
    if isinstance(admitted, str):
        return admitted
    if not pools.is_configured:
        return msgspec.structs.replace(job, priority=admitted.priority) if admitted.priority else job
    limit = job.time_limit or pools.of(admitted.pool).default_time_limit
    disk_mib = job.max_disk_mib or pools.of(admitted.pool).default_disk_mib
    if why := too_long(pools, admitted.pool, limit) or too_large(pools, admitted.pool, disk_mib):
        return why
    return msgspec.structs.replace(
        job, pool=admitted.pool, priority=admitted.priority, time_limit=limit, max_disk_mib=disk_mib
    )


def too_long(pools: Pools, name: str, limit: float) -> str:
    """Return why a pool does not permit this time limit, in seconds (0: none); "" if it does."""
    most = pools.of(name).max_time_limit
    if not most or 0 < limit <= most:
        return ""
    what = f"a time limit of {span(limit)} is longer than" if limit else "no time limit is more than"
    return f"{what} pool {name} permits: the longest is {span(most)}"


def too_large(pools: Pools, name: str, limit_mib: int) -> str:
    """Return why a pool does not permit this disk limit (0: none); "" if it does."""
    most = pools.of(name).max_disk_mib
    if not most or 0 < limit_mib <= most:
        return ""
    what = f"a disk limit of {disk(limit_mib)}" if limit_mib else "no disk limit"
    return f"{what} is more than pool {name} permits: the highest is {disk(most)}"


def too_many_queued(pools: Pools, name: str, principal: str, *, in_pool: int, of_principal: int, more: int = 1) -> str:
    """Return why a pool takes no ``more`` drivers that wait; "" if it does. The other numbers are of those that wait now."""
    pool = pools.of(name)
    whose = f"drivers of {principal or 'nobody in particular'}"
    for what, waiting, most, limit in (
        ("drivers", in_pool, pool.most.queued, "max: queued"),
        (whose, of_principal, pool.most_per_user.queued, "max_per_user: queued"),
    ):
        if most is None or waiting + more <= most:
            continue
        if waiting >= most:
            return f"{waiting} {what} wait in pool {name} already, which is the most ({limit})"
        return f"{waiting} {what} wait in pool {name}, and at most {most} may ({limit}): {more} tasks are too many"
    return ""


def may_change(pools: Pools, by: Asker, principal: str | None, pool: str) -> bool:
    """Return whether the asker may change a job: its own, or one of a pool that it is an operator of."""
    return by.may_change(principal) or (pools.is_configured and pools.of(pool).is_operator(by.principal))


def _unknown(pools: Pools, name: str, *, is_named: bool) -> str:
    if not pools.is_configured:
        return f"there is no pool {name}: this cluster has no pools (no pools.yml on its master)"
    known = ", ".join(pools.pools)
    if not is_named:
        return f"name a pool, with --pool or spark.stoker.pool: this cluster has {known}"
    return f"there is no pool {name}: {did_you_mean(name, pools.pools) or f'use one of {known}'}"


def _others(pools: Pools, by: Asker) -> str:
    open_to = [pool.name for pool in pools.pools.values() if pool.admits(by.principal)]
    return f"use one of {', '.join(open_to)}" if open_to else "no pool admits this name; ask the cluster's operators"
