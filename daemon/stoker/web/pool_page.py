"""The page of the pools: what each has and had, its limits, and what waits in it (docs/scheduling.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from stoker.core.model.limits import disk, span
from stoker.core.model.pools import Pool, Quota, ShadowPool
from stoker.core.model.views import ClusterView, PoolView, PrincipalView
from stoker.web.listing import Column, Listing, Table
from stoker.web.show import show_mib

LAST = 1e11  # seconds since the Unix epoch: sorts pools in which nothing waits behind all others


class Person(NamedTuple):
    """One principal in one pool."""

    id: str  # of its row
    pool: PoolView
    view: PrincipalView

    @property
    def name(self) -> str:
        return self.view.name or "(nobody in particular)"


POOLS: Table[PoolView] = Table(
    "pools",
    "Pools",
    (
        Column("Pool", "name", lambda pool: pool.name),
        Column("Weight", "weight", lambda pool: pool.settings.weight, number=True),
        Column("Part now", "now", lambda pool: pool.part_now),
        Column("Past part", "past", lambda pool: pool.part_past),
        Column("Uses", "cores", lambda pool: (pool.cores, pool.memory_mib)),
        Column("Running", "running", lambda pool: (pool.drivers + pool.applications, pool.drivers), number=True),
        Column("Waiting", "waiting", lambda pool: pool.waiting, number=True),
        Column("Oldest wait", "oldest", lambda pool: pool.oldest or LAST, number=True),
        Column("Limits"),
    ),
    lambda pool: " ".join((pool.name, *pool.settings.operators, *(pool.settings.users or ()))),
    None,
)
PEOPLE: Table[Person] = Table(
    "people",
    "Users",
    (
        Column("Pool", "pool", lambda person: person.pool.name),
        Column("User", "user", lambda person: person.view.name),
        Column("Part", "part", lambda person: person.view.part),
        Column("Cores", "cores", lambda person: person.view.cores, number=True),
        Column("Memory", "memory", lambda person: person.view.memory_mib, number=True),
        Column("Drivers running", "drivers", lambda person: person.view.drivers, number=True),
        Column("Drivers waiting", "waiting", lambda person: person.view.waiting, number=True),
    ),
    lambda person: f"{person.pool.name} {person.view.name}",
    None,
    "Nobody has submitted a job.",
    lambda person: person.pool.name,
)


SHADOW: Table[ShadowPool] = Table(
    "shadow",
    "Shadow",
    (
        Column("Pool", "name", lambda pool: pool.name),
        Column("Waiting", "waiting", lambda pool: pool.waiting, number=True),
        Column("Never start", "never", lambda pool: pool.never, number=True),
        Column("Never by the shadow", "shadow_never", lambda pool: pool.shadow_never, number=True),
        Column("Mean wait", "wait", lambda pool: pool.wait, number=True),
        Column("Mean wait by the shadow", "shadow_wait", lambda pool: pool.shadow_wait, number=True),
    ),
    lambda pool: pool.name,
    None,
    "Nothing has waited.",
)


def pool_page(cluster: ClusterView) -> dict[str, object]:
    """Return what the template shows."""
    people = [
        Person(f"{pool.name}/{number}", pool, person)
        for pool in cluster.pools
        for number, person in enumerate(pool.principals)
    ]
    return {
        "title": "Pools",
        "pools": Listing(POOLS, cluster.pools),
        "people": Listing(PEOPLE, people, pools=[pool.name for pool in cluster.pools]),
        "shadow": Listing(SHADOW, cluster.shadow.pools if cluster.shadow is not None else ()),
        "limits": {pool.name: list(limits(pool.settings)) for pool in cluster.pools},
    }


def limits(pool: Pool) -> Iterator[str]:
    """Yield a line for each kind of limit and right that the pool's settings name."""
    for quota, before in (
        (pool.min_share, "at least"),
        (pool.most, "at most"),
        (pool.most_per_user, "each user at most"),
    ):
        if amounts := list(_amounts(quota)):
            yield f"{before} {', '.join(amounts)}"
    if pool.max_driver_share is not None:
        yield f"drivers at most {pool.max_driver_share:.0%} of its cores"
    if pool.default_priority or pool.max_priority:
        yield f"priority {pool.default_priority}, at most {pool.max_priority}"
    if pool.default_time_limit:
        yield f"time limit {span(pool.default_time_limit)} if none is given"
    if pool.max_time_limit:
        yield f"time limit at most {span(pool.max_time_limit)}"
    if pool.default_disk_mib:
        yield f"disk limit {disk(pool.default_disk_mib)} if none is given"
    if pool.max_disk_mib:
        yield f"disk limit at most {disk(pool.max_disk_mib)}"
    if pool.policy == "fifo":
        yield "fifo: by priority, then order of submission"
    if pool.users is not None:
        yield f"users {', '.join(pool.users) or 'nobody'}"
    if pool.operators:
        yield f"operators {', '.join(pool.operators)}"


def _amounts(quota: Quota) -> Iterator[str]:
    if quota.cores is not None:
        yield f"{quota.cores} core{'s' * (quota.cores != 1)}"
    if quota.memory_mib is not None:
        yield show_mib(quota.memory_mib)
    yield from (f"{amount} {name}" for name, amount in quota.resources)
    if quota.drivers is not None:
        yield f"{quota.drivers} running driver{'s' * (quota.drivers != 1)}"
    if quota.queued is not None:
        yield f"{quota.queued} waiting driver{'s' * (quota.queued != 1)}"
