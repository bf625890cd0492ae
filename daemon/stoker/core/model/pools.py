"""Pools: how several people and teams share a cluster (docs/scheduling.md, ADR 25).

Plain values; ``config.pools`` reads them from ``pools.yml``. Memory is in MiB, times are in seconds. Without that file there
is one pool, ``default``, and jobs are served in the order they came.
"""

# Annotations stay values, as in messages.py.

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from stoker.core.model.resources import Amounts
from stoker.core.model.values import Value

DEFAULT_POOL = "default"
DAY = 86400.0
Ordering = Literal["fair", "fifo"]


class Quota(Value, frozen=True):
    """Quota of what is shared; None: no limit. ``drivers``: that run, ``queued``: that wait. ``resources``: amounts of named
    resources, 0 included; what is not named has no limit."""

    cores: int | None = None
    memory_mib: int | None = None
    drivers: int | None = None
    queued: int | None = None
    resources: Amounts = ()


class Pool(Value, frozen=True):
    """One pool of the file."""

    name: str
    weight: int = 1  # its part, when all pools want more than there is
    min_share: Quota = Quota()  # while it has less, it is served before the others
    most: Quota = Quota()  # of all its jobs together (``max``)
    most_per_user: Quota = Quota()  # of the jobs of one principal (``max_per_user``)
    max_driver_share: float | None = None  # of its cores that drivers may hold; the others are for their executors
    policy: Ordering = "fair"  # between principals; "fifo": by priority, then in the order of submission
    default_priority: int = 0
    max_priority: int = 0
    users: tuple[str, ...] | None = None  # principals who may submit, with ``*`` for any text; None: everybody
    operators: tuple[str, ...] = ()  # principals who may change all its jobs
    default_time_limit: float = 0.0  # seconds, of a job that gives none; 0: none
    max_time_limit: float = 0.0  # seconds, the longest that a job may give; 0: any
    default_disk_mib: int = 0  # disk limit of a job that gives none; 0: none
    max_disk_mib: int = 0  # the highest that a job may give; 0: any

    def admits(self, principal: str) -> bool:
        """Return whether the principal may submit to this pool. An operator may."""
        return self.users is None or _matches(principal, self.users) or self.is_operator(principal)

    def is_operator(self, principal: str) -> bool:
        return bool(principal) and _matches(principal, self.operators)


class Pools(Value, frozen=True):
    """All pools. ``is_configured``: they come from a file."""

    pools: dict[str, Pool] = msgspec.field(
        default_factory=lambda: {DEFAULT_POOL: Pool(name=DEFAULT_POOL, policy="fifo")}
    )
    half_life: float = DAY  # after this time, past use counts half
    is_configured: bool = False
    reserve_after: float = 60.0  # seconds; who waits longer gets a reservation (ADR 30). Negative: nobody does
    reserved_share: float = 0.25  # of the cluster's cores that may be reserved; one worker may always be
    shadow: str = ""  # file with other pools, which are compared with these; it decides nothing. "": none

    @property
    def reserves(self) -> bool:
        """Whether jobs that wait long get reservations."""
        return self.is_configured and self.reserve_after >= 0

    def of(self, name: str) -> Pool:
        """Return the pool of that name. Jobs of a pool that the file no longer has are in a pool without limits."""
        name = name or DEFAULT_POOL
        return self.pools.get(name) or Pool(name=name)


class PastUse(Value, frozen=True):
    """What a principal has used in a pool: core-milliseconds and MiB-milliseconds, decayed to some time."""

    pool: str
    principal: str
    cores: int = 0
    memory_mib: int = 0


class ShadowPool(Value, frozen=True):
    """What a shadow policy would change for a pool. Of all comparisons: how many ``starts`` both foresee, and how long these
    jobs have to wait from then on, by the pools in force and by the shadow."""

    name: str
    waiting: int = 0  # jobs, now; an array is one
    never: int = 0  # of them: those that would never start
    shadow_never: int = 0
    starts: int = 0
    seconds: float = 0.0  # of all ``starts`` together
    shadow_seconds: float = 0.0

    @property
    def wait(self) -> float:
        """Mean seconds until a waiting job starts."""
        return self.seconds / self.starts if self.starts else 0.0

    @property
    def shadow_wait(self) -> float:
        return self.shadow_seconds / self.starts if self.starts else 0.0


class ShadowJob(Value, frozen=True):
    """A job that the shadow would start at another time. Seconds from the comparison on; None: never."""

    id: str
    name: str
    who: str
    pool: str
    start: float | None = None
    shadow_start: float | None = None


class ShadowView(Value, frozen=True):
    """A shadow policy, tried beside the pools in force. Times are seconds since the Unix epoch; 0: not yet."""

    file: str  # as pools.yml names it
    fault: str = ""  # of the file
    note: str = ""  # why the latest comparison was not made
    since: float = 0.0  # of the first comparison
    at: float = 0.0  # of the latest one, which these are of:
    sooner: int = 0  # jobs that the shadow would start sooner
    later: int = 0
    jobs: tuple[ShadowJob, ...] = ()
    comparisons: int = 0
    pools: tuple[ShadowPool, ...] = ()


def _matches(principal: str, patterns: tuple[str, ...]) -> bool:
    return any(
        principal == pattern
        or ("*" in pattern and re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), principal) is not None)
        for pattern in patterns
    )


class PoolRequest(msgspec.Struct, frozen=True):
    """What a submission says about its pool: names may be "", the priority None."""

    pool: str = ""
    queue: str = ""  # spark.yarn.queue, STOKER_POOL of executors, or a Spark client's: ignored where there are no pools
    priority: int | None = None


POOL_PROPERTY, QUEUE_PROPERTY, PRIORITY_PROPERTY = "spark.stoker.pool", "spark.yarn.queue", "spark.stoker.priority"
# Of an executor: how an unmodified Spark application names its pool. Of a driver: for the applications that it starts.
POOL_VARIABLE, PRIORITY_VARIABLE = "STOKER_POOL", "STOKER_PRIORITY"
EXECUTOR_POOL = f"spark.executorEnv.{POOL_VARIABLE}"


def requested_by_driver(pool: str, priority: int | None, conf: Mapping[str, str], *, or_pool: str = "") -> PoolRequest:
    """The description's own fields are stronger than its properties. ``or_pool``: that of the secret that its sender
    proved."""
    return PoolRequest(pool or conf.get(POOL_PROPERTY, ""), conf.get(QUEUE_PROPERTY, "") or or_pool, priority)


def requested_by_application(
    pool: str, priority: int | None, env: Mapping[str, str], *, or_pool: str = ""
) -> PoolRequest:
    """Executors have an environment only: Spark's applications name their pool there. ``or_pool``: as of a driver."""
    return PoolRequest(pool, env.get(POOL_VARIABLE, "") or or_pool, priority)
