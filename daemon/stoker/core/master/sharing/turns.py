"""Whose turn it is: the order between pools, and between the principals in each (ADR 25).

The key of a job is (its pool is below min_share first, the pool's dominant part / weight, its principal's part in the pool,
-priority, its place in the queue). A *part* is the largest of the parts of the cores, of the memory, and of each named
resource of the cluster, of what runs now and, added to it, the average of what ran, as it counts today. All parts of a pass
have one denominator (life x cores x memory x the amounts of named resources, and x the least common multiple of the weights
for pools), so integers stand for them: equal parts are equal, and nothing drifts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from stoker.core.master.scheduling.limits import Held, refusals
from stoker.core.master.sharing.accounts import Accounts, Use
from stoker.core.model.pools import DEFAULT_POOL, Pool, Pools
from stoker.core.model.resources import Amounts, added

PoolKey = tuple[bool, int]


@dataclass(slots=True)
class _Standing:
    """What one pool or principal uses in this pass: now, and on average in the past (times ``life``)."""

    held: Held
    past_cores: int
    past_memory: int
    past_resources: Amounts = ()

    def add(self, cores: int, memory_mib: int, resources: Amounts, drivers: int) -> None:
        held = self.held
        self.held = Held(
            held.cores + cores,
            held.memory_mib + memory_mib,
            held.drivers + drivers,
            held.driver_cores + (cores if drivers else 0),
            added(held.resources, resources),
        )


class Turns:
    """One scheduling pass of a cluster with pools. ``grant`` notes what was given, and changes the keys of its pool and
    principal alone."""

    def __init__(
        self, pools: Pools, accounts: Accounts, *, cores: int, memory_mib: int, resources: Amounts = ()
    ) -> None:
        """``cores``, ``memory_mib`` and ``resources``: of all usable workers together."""
        self._pools, self._accounts = pools, accounts
        self._cores, self._memory = max(1, cores), max(1, memory_mib)
        self._whole = self._cores * self._memory * math.prod(amount for _, amount in resources)
        self._scales = {name: self._whole // amount for name, amount in resources}
        self._life = accounts.life
        self._pool_keys: dict[str, PoolKey] = {}  # until something is granted
        self._principal_keys: dict[tuple[str, str], int] = {}
        self._of_pool: dict[str, _Standing] = {}
        self._of_principal: dict[tuple[str, str], _Standing] = {}
        self._per_weight = math.lcm(*(pool.weight for pool in pools.pools.values()))
        self._past: dict[str, tuple[int, int]] | None = None
        self._past_resources: dict[str, Amounts] = {}

    def pool_key(self, name: str) -> PoolKey:
        """Return the first two parts of the key of a pool's jobs."""
        name = name or DEFAULT_POOL
        found = self._pool_keys.get(name)
        if found is None:
            pool = self._pools.of(name)
            standing = self._pool(name)
            found = (not _is_below(pool, standing.held), self._part(standing) * (self._per_weight // pool.weight))
            self._pool_keys[name] = found
        return found

    def principal_key(self, name: str, principal: str) -> int:
        """Return the principal's part in the pool; 0 in a fifo pool."""
        name = name or DEFAULT_POOL
        found = self._principal_keys.get((name, principal))
        if found is None:
            is_fifo = self._pools.of(name).policy == "fifo"
            found = 0 if is_fifo else self._part(self._principal(name, principal))
            self._principal_keys[name, principal] = found
        return found

    def refusal(
        self, name: str, principal: str, cores: int, memory_mib: int, resources: Amounts = (), /, *, is_driver: bool
    ) -> str:
        """Return the limit that a grant would break; "" if none."""
        found = refusals(
            self._pools.of(name),
            self._pool(name).held,
            self._principal(name, principal).held,
            principal=principal,
            cores=cores,
            memory_mib=memory_mib,
            is_driver=is_driver,
            cluster_cores=self._cores,
            resources=resources,
        )
        return next(found, "")

    def grant(
        self, name: str, principal: str, cores: int, memory_mib: int, resources: Amounts = (), /, *, drivers: int = 0
    ) -> None:
        name = name or DEFAULT_POOL
        self._pool(name).add(cores, memory_mib, resources, drivers)
        self._principal(name, principal).add(cores, memory_mib, resources, drivers)
        self._pool_keys.pop(name, None)
        self._principal_keys.pop((name, principal), None)

    def _part(self, standing: _Standing) -> int:
        """Return the dominant part, of what is used now plus the average of the past, times the common denominator."""
        held = standing.held
        cores = (held.cores * self._life + standing.past_cores) * (self._whole // self._cores)
        memory = (held.memory_mib * self._life + standing.past_memory) * (self._whole // self._memory)
        if not (held.resources or standing.past_resources):
            return max(cores, memory)
        now, past = dict(held.resources), dict(standing.past_resources)
        named = ((now.get(name, 0) * self._life + past.get(name, 0)) * scale for name, scale in self._scales.items())
        return max(cores, memory, *named)

    def _principal(self, name: str, principal: str) -> _Standing:
        key = (name or DEFAULT_POOL, principal)
        if key not in self._of_principal:
            use = self._accounts.of(key)
            past = (*self._accounts.past(use), self._accounts.past_resources(use))
            self._of_principal[key] = _Standing(held_by(use), *past)
        return self._of_principal[key]

    def _pool(self, name: str) -> _Standing:
        name = name or DEFAULT_POOL
        if name not in self._of_pool:
            past = self._past_of(name)
            held = held_by(self._accounts.of_pool(name))
            self._of_pool[name] = _Standing(held, *past, self._past_resources.get(name, ()))
        return self._of_pool[name]

    def _past_of(self, name: str) -> tuple[int, int]:
        if self._past is None:
            self._past = self._accounts.past_of_pools()
            self._past_resources = self._accounts.past_resources_of_pools()
        return self._past.get(name, (0, 0))


def held_by(use: Use) -> Held:
    return Held(use.cores, use.memory_mib, use.drivers, use.driver_cores, use.resources)


def _is_below(pool: Pool, held: Held) -> bool:
    """Return whether the pool has less of anything than its min_share."""
    least = pool.min_share
    if least.resources:
        has = dict(held.resources)
        if any(has.get(name, 0) < amount for name, amount in least.resources):
            return True
    return (least.cores is not None and held.cores < least.cores) or (
        least.memory_mib is not None and held.memory_mib < least.memory_mib
    )
