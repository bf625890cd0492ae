"""What a pool does not permit now: its limits, and those of each of its principals. They hold for what is granted; nothing
that runs is ever stopped by them.

The scheduling pass and ``explain`` ask the same function, so the reason that is shown is the one that counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from stoker.core.model.pools import Pool, Quota
from stoker.core.model.resources import Amounts


class Held(NamedTuple):
    """What a pool, or a principal in it, holds now."""

    cores: int = 0
    memory_mib: int = 0
    drivers: int = 0
    driver_cores: int = 0
    resources: Amounts = ()


def refusals(
    pool: Pool,
    of_pool: Held,
    of_principal: Held,
    *,
    principal: str,
    cores: int,
    memory_mib: int,
    is_driver: bool,
    cluster_cores: int,
    resources: Amounts = (),
) -> Iterator[str]:
    """Yield each limit that a grant of so much would break, in words. ``cluster_cores``: of all usable workers."""
    wanted = Held(cores, memory_mib, 1 if is_driver else 0, resources=resources)
    yield from _over(f"pool {pool.name}", pool.most, of_pool, wanted)
    whom = f"{principal or 'nobody in particular'} in pool {pool.name}"
    yield from _over(whom, pool.most_per_user, of_principal, wanted)
    if is_driver and pool.max_driver_share is not None:
        own = cluster_cores if pool.most.cores is None else pool.most.cores
        most = int(pool.max_driver_share * own)
        if cores and of_pool.driver_cores + cores > most:
            yield (
                f"drivers of pool {pool.name} hold {of_pool.driver_cores} cores of at most {most}"
                f" (max_driver_share {pool.max_driver_share:g} of {own}): the others are for executors"
            )


def _over(whom: str, most: Quota, held: Held, wanted: Held) -> Iterator[str]:
    cores, memory_mib, drivers = wanted[:3]
    if most.cores is not None and cores and held.cores + cores > most.cores:
        yield f"{whom} has {held.cores} of at most {most.cores} cores"
    if most.memory_mib is not None and memory_mib and held.memory_mib + memory_mib > most.memory_mib:
        yield f"{whom} has {held.memory_mib} of at most {most.memory_mib} MiB"
    if most.drivers is not None and drivers and held.drivers + drivers > most.drivers:
        yield f"{whom} has {held.drivers} of at most {most.drivers} running drivers"
    if wanted.resources:
        more, has = dict(wanted.resources), dict(held.resources)
        for name, limit in most.resources:
            if name in more and has.get(name, 0) + more[name] > limit:
                yield f"{whom} has {has.get(name, 0)} of at most {limit} {name}"
