"""Metrics of the pools: what runs, what waits, and the parts that decide whose turn it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.metrics_core import Metric

from stoker.core.model.pools import ShadowPool, ShadowView
from stoker.core.model.views import PoolView
from stoker.web.metrics.cluster import MIB, by_label

MOST_POOLS = 200  # with samples of their own; all others together have one, so that no file makes too many series
OTHERS = "(others)"
Value = Callable[[Sequence[PoolView]], float]


def pool_metrics(pools: Sequence[PoolView], now: float) -> Iterator[Metric]:
    """Yield a family for each figure, with a sample for each pool; none without a ``pools.yml``. ``now``: Unix time."""
    groups: list[tuple[str, Sequence[PoolView]]] = [(pool.name, (pool,)) for pool in pools[:MOST_POOLS]]
    if pools[MOST_POOLS:]:
        groups.append((OTHERS, pools[MOST_POOLS:]))

    def family(name: str, meaning: str, value: Value) -> Metric:
        return by_label(f"stoker_pool_{name}", meaning, ["pool"], [([pool], value(of)) for pool, of in groups])

    def total(name: str) -> Value:
        return lambda of: float(sum(getattr(pool, name) for pool in of))

    yield family("drivers_running", "Drivers of the pool that run", total("drivers"))
    yield family("applications", "Applications of the pool that run or wait", total("applications"))
    yield family("waiting", "Drivers without a worker and applications without an executor", total("waiting"))
    yield family(
        "waiting_longest_seconds",
        "How long the job of the pool that waits longest has waited",
        lambda of: max(0.0, now - min((pool.oldest for pool in of if pool.oldest), default=now)),
    )
    yield family("cores_used", "Cores that jobs of the pool hold", total("cores"))
    yield family(
        "memory_used_bytes",
        "Memory that jobs of the pool hold",
        lambda of: float(sum(pool.memory_mib for pool in of) * MIB),
    )
    yield family("weight", "Weight of the pool", lambda of: float(sum(pool.settings.weight for pool in of)))
    yield family("part_now", "Part of the cluster that the pool uses now, 0 to 1", total("part_now"))
    yield family("part_past", "Average part that it used; use counts half after each half-life", total("part_past"))
    yield family("below_min_share", "Pools that have less than their min_share: 1 or 0", total("is_below_min"))


def shadow_metrics(shadow: ShadowView | None) -> Iterator[Metric]:
    """Yield what comparisons with a shadow policy foresee; none without one."""
    if shadow is None:
        return
    pools = shadow.pools[:MOST_POOLS]

    def family(name: str, meaning: str, value: Callable[[ShadowPool], float]) -> Metric:
        return by_label(f"stoker_shadow_{name}", meaning, ["pool"], [([pool.name], value(pool)) for pool in pools])

    yield family("starts", "Starts that all comparisons foresaw, by both policies", lambda pool: float(pool.starts))
    yield family("wait_seconds", "Mean wait until these starts, by the pools in force", lambda pool: pool.wait)
    yield family("shadow_wait_seconds", "Mean wait until these starts, by the shadow", lambda pool: pool.shadow_wait)
