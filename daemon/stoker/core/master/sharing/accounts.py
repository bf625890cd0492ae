"""What each pool and each principal in it uses: cores, memory and drivers now, and past use, which counts half after each
half-life (ADR 25).

All arithmetic is on integers: amounts times milliseconds, so that a long history adds up exactly, and every master that
reads the same records decides alike. Past use is settled when the present use changes, so it costs nothing while nothing
changes; between two changes it is computed from (value, time).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from stoker.core.model.pools import DAY, DEFAULT_POOL, PastUse
from stoker.core.model.records import ExecutorRecord, UsageRecord
from stoker.core.model.resources import Amounts, added, amounts_of, counted, negative
from stoker.core.model.values import DriverDescription

Account = tuple[str, str]  # (pool, principal)
_BITS = 32  # of the fixed-point factor by which past use decays
_FORGOTTEN_AFTER = 40  # half-lives: past use is then below a millionth of a millionth


@dataclass(slots=True)
class Use:
    """What runs now, and what ran until ``at``: core-milliseconds and MiB-milliseconds, decayed up to ``at``."""

    cores: int = 0
    memory_mib: int = 0
    drivers: int = 0
    driver_cores: int = 0
    resources: Amounts = ()  # named ones
    past_cores: int = 0
    past_memory: int = 0
    past_resources: Amounts = ()
    at: int = 0  # milliseconds since the Unix epoch

    @property
    def is_idle(self) -> bool:
        return not (self.cores or self.memory_mib or self.drivers or self.resources)


@dataclass(slots=True)
class Accounts:
    """``pools`` are sums over their principals of what runs now, for limits. ``changed``: to be recorded with this batch.
    ``is_loading``: jobs of records are charged, which ran all the time since their account was settled."""

    is_loading: bool = False
    half_life: float = DAY  # seconds
    now: int = 0  # milliseconds since the Unix epoch
    used: dict[Account, Use] = field(default_factory=dict)
    pools: dict[str, Use] = field(default_factory=dict)
    changed: dict[Account, None] = field(default_factory=dict)

    def look(self, wall: float) -> None:
        """Set the time; it never goes backwards, whatever the clock does."""
        self.now = max(self.now, round(wall * 1000))

    def charge(
        self, account: Account, cores: int, memory_mib: int, resources: Amounts = (), *, drivers: int = 0
    ) -> None:
        """Add to what runs now, or with negative amounts subtract. ``drivers``: 1 for a driver, -1 for its end."""
        pool, principal = account[0] or DEFAULT_POOL, account[1]
        account = (pool, principal)
        use = self.used.get(account)
        if use is None:
            use = self.used[account] = Use(at=self.now)
        if not self.is_loading:
            self._settle(use)
        for changed in (use, self.pools.setdefault(pool, Use())):
            changed.cores += cores
            changed.memory_mib += memory_mib
            changed.drivers += drivers
            changed.resources = added(changed.resources, resources)
            if drivers:
                changed.driver_cores += cores
        self.changed[account] = None

    def charge_driver(self, account: Account, driver: DriverDescription, sign: int) -> None:
        """Charge a driver that starts (1), or credit one that has ended (-1)."""
        named = driver.resources if sign > 0 else negative(driver.resources)
        self.charge(account, sign * driver.cores, sign * driver.memory_mib, named, drivers=sign)

    def charge_executor(self, account: Account, executor: ExecutorRecord, sign: int) -> None:
        """As of a driver."""
        held = counted(executor.resources)
        named = held if sign > 0 else negative(held)
        self.charge(account, sign * executor.cores, sign * executor.memory_mib, named)

    def load(self, record: UsageRecord) -> None:
        """Take past use from an earlier master's record."""
        use = self.used.setdefault((record.pool, record.principal), Use())
        use.past_cores, use.past_memory, use.at = record.cores, record.memory_mib, record.at
        use.past_resources = record.resources

    def of(self, account: Account) -> Use:
        return self.used.get(account) or Use(at=self.now)

    def of_pool(self, pool: str) -> Use:
        return self.pools.get(pool or DEFAULT_POOL) or Use()

    def past(self, use: Use) -> tuple[int, int]:
        """Return past use decayed up to now, with what has run since: core-milliseconds, MiB-milliseconds."""
        elapsed = max(0, self.now - use.at)
        if not elapsed:
            return use.past_cores, use.past_memory
        left = _factor(elapsed, self.half_life)
        # What runs at a constant rate r approaches r * life; life is the mean age of what counts.
        risen = self.life * ((1 << _BITS) - left)
        return (
            (use.past_cores * left + use.cores * risen) >> _BITS,
            (use.past_memory * left + use.memory_mib * risen) >> _BITS,
        )

    def past_resources(self, use: Use) -> Amounts:
        """Return past use of named resources likewise, in unit-milliseconds."""
        elapsed = max(0, self.now - use.at)
        if not elapsed or not (use.resources or use.past_resources):
            return use.past_resources
        left = _factor(elapsed, self.half_life)
        risen = self.life * ((1 << _BITS) - left)
        before, now = dict(use.past_resources), dict(use.resources)
        names = before.keys() | now.keys()
        return amounts_of({name: (before.get(name, 0) * left + now.get(name, 0) * risen) >> _BITS for name in names})

    def past_resources_of_pools(self) -> dict[str, Amounts]:
        """As ``past_of_pools``; pools without any are left out."""
        found: dict[str, Amounts] = {}
        for (pool, _), use in self.used.items():
            if past := self.past_resources(use):
                found[pool] = added(found.get(pool, ()), past)
        return found

    def past_of_pools(self) -> dict[str, tuple[int, int]]:
        """Return the past use of each pool: the sum over its principals."""
        found: dict[str, tuple[int, int]] = {}
        for (pool, _), use in self.used.items():
            cores, memory = self.past(use)
            before = found.get(pool, (0, 0))
            found[pool] = (before[0] + cores, before[1] + memory)
        return found

    @property
    def life(self) -> int:
        """How long use counts on average, in milliseconds: the half-life / ln 2."""
        return max(1, round(self.half_life * 1000 / math.log(2)))

    def set_half_life(self, seconds: float) -> None:
        """Past use up to now decays by the old half-life, and from now on by the new one."""
        if seconds == self.half_life:
            return
        for account, use in self.used.items():
            self._settle(use)
            self.changed[account] = None
        self.half_life = seconds

    def take_changed(self) -> Iterable[tuple[Account, UsageRecord | None]]:
        """Return what has changed since the last call; None for an account that is forgotten: nothing of it counts."""
        found: list[tuple[Account, UsageRecord | None]] = []
        for account in self.changed:
            use = self.used[account]
            self._settle(use)
            if use.is_idle and not use.past_cores and not use.past_memory and not use.past_resources:
                del self.used[account]
                found.append((account, None))
            else:
                found.append((account, _record(account, use)))
        self.changed.clear()
        return found

    def past_uses(self) -> Iterable[PastUse]:
        """Yield what every account has used, decayed up to now."""
        for (pool, principal), use in self.used.items():
            cores, memory_mib = self.past(use)
            yield PastUse(pool=pool, principal=principal, cores=cores, memory_mib=memory_mib)

    def all_changed(self) -> None:
        """Have every account recorded with this batch."""
        self.changed = dict.fromkeys(self.used)

    def _settle(self, use: Use) -> None:
        use.past_resources = self.past_resources(use)
        use.past_cores, use.past_memory = self.past(use)
        use.at = self.now


def _factor(elapsed: int, half_life: float) -> int:
    """Return 2 ** -(elapsed / half_life), in units of 2 ** -32. ``elapsed``: milliseconds."""
    halvings = elapsed / (half_life * 1000)
    return 0 if halvings > _FORGOTTEN_AFTER else round(2.0 ** (_BITS - halvings))


def _record(account: Account, use: Use) -> UsageRecord:
    return UsageRecord(
        pool=account[0],
        principal=account[1],
        cores=use.past_cores,
        memory_mib=use.past_memory,
        at=use.at,
        resources=use.past_resources,
    )
