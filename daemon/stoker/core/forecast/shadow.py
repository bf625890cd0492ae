"""A shadow policy: other pools, tried beside those in force (ADR 34). The cluster is played forward by both; the shadow only
says what would be different."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from stoker.core.forecast.compare import ClusterChanges, forecast
from stoker.core.forecast.rebuild import Snapshot
from stoker.core.model.changes import ForecastRow
from stoker.core.model.pools import Pools, ShadowJob, ShadowPool, ShadowView
from stoker.core.model.values import Rng

MOST_WAITING = 5000  # jobs, of which a comparison is made; an array is one
MOST_SHOWN = 20  # jobs, those whose start would differ most
SAME = 1.0  # seconds that two starts may be apart and count as the same


def compare(snapshot: Snapshot, shadow: Pools, new_rng: Callable[[], Rng], before: ShadowView) -> ShadowView:
    """Return ``before`` with one more comparison. Pure: the snapshot's cluster is rebuilt, and nothing else is changed."""
    found = forecast(snapshot, ClusterChanges(pools=shadow), new_rng)
    rows = sorted((row for row in found.rows if _differs(row)), key=_difference, reverse=True)
    sooner = sum(_seconds(row.after) < _seconds(row.before) for row in rows)
    return msgspec.structs.replace(
        before,
        at=snapshot.at,
        since=before.since or snapshot.at,
        comparisons=before.comparisons + 1,
        sooner=sooner,
        later=len(rows) - sooner,
        pools=_pools(found.rows, {pool.name: pool for pool in before.pools}),
        jobs=tuple(ShadowJob(row.id, row.name, row.who, row.pool, row.before, row.after) for row in rows[:MOST_SHOWN]),
    )


def _pools(rows: Iterable[ForecastRow], before: dict[str, ShadowPool]) -> tuple[ShadowPool, ...]:
    """Return each pool with what waits in it now, and with the sums of all comparisons."""
    of_pool: dict[str, list[ForecastRow]] = {name: [] for name in before}
    for row in rows:
        of_pool.setdefault(row.pool, []).append(row)
    pools = []
    for name in sorted(of_pool):
        earlier, here = before.get(name, ShadowPool(name)), of_pool[name]
        both = [(row.before, row.after) for row in here if row.before is not None and row.after is not None]
        pools.append(
            ShadowPool(
                name,
                waiting=len(here),
                never=sum(row.before is None for row in here),
                shadow_never=sum(row.after is None for row in here),
                starts=earlier.starts + len(both),
                seconds=earlier.seconds + sum(wait for wait, _ in both),
                shadow_seconds=earlier.shadow_seconds + sum(wait for _, wait in both),
            )
        )
    return tuple(pools)


def _differs(row: ForecastRow) -> bool:
    return (row.before is None) != (row.after is None) or _difference(row) > SAME


def _difference(row: ForecastRow) -> float:
    if row.before is None or row.after is None:
        return 0.0 if row.before is row.after else float("inf")
    return abs(row.before - row.after)


def _seconds(start: float | None) -> float:
    return float("inf") if start is None else start
