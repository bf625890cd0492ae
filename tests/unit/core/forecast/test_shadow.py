"""A shadow policy says what would be different, and changes nothing."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from stoker.core.forecast.rebuild import Snapshot
from stoker.core.forecast.shadow import MOST_SHOWN, compare
from stoker.core.master.show import scheduling
from stoker.core.model.pools import Pool, Pools, Quota, ShadowView
from tests.support.core import Bench
from tests.unit.core.forecast.test_forecast import running

NOW = Pools(pools={"a": Pool(name="a"), "b": Pool(name="b", most=Quota(cores=1))}, is_configured=True)
NEXT = Pools(pools={"a": Pool(name="a"), "b": Pool(name="b", weight=9)}, is_configured=True)
EMPTY = ShadowView("new.yml")


def compared(bench: Bench, shadow: Pools = NEXT, before: ShadowView = EMPTY) -> ShadowView:
    snapshot = Snapshot(bench.core.view(), scheduling(bench.core.ctx, 0, ""))
    return compare(snapshot, shadow, lambda: random.Random(1), before)


def waiting() -> Bench:
    """Two cores run for 100 s; then a job of pool a fits, and one of pool b does not, which may have one core."""
    bench = Bench(pools=NOW)
    bench.worker("w1", cores=2)
    running(bench, cores=2, time_limit=100.0, pool="a")
    bench.submit(cores=2, time_limit=50.0, pool="a", name="first")
    bench.submit(cores=2, time_limit=20.0, pool="b", name="second")
    return bench


def test_starts_and_waits_by_both() -> None:
    found = compared(waiting())
    assert {job.name: (job.start, job.shadow_start) for job in found.jobs} == {
        "first": (100.0, 120.0), "second": (None, 100.0),
    }  # fmt: skip
    assert (found.sooner, found.later, found.comparisons) == (1, 1, 1)
    a, b = found.pools
    assert (a.name, a.waiting, a.starts, a.wait, a.shadow_wait) == ("a", 1, 1, 100.0, 120.0)
    assert (b.name, b.never, b.shadow_never, b.starts, b.wait) == ("b", 1, 0, 0, 0.0)


def test_sums_go_on_and_rows_are_those_of_the_latest() -> None:
    bench = waiting()
    first = compared(bench)
    bench.live(10)
    second = compared(bench, before=first)
    assert (second.comparisons, second.since) == (2, first.at) and second.at > first.at
    assert (second.pools[0].starts, second.pools[0].seconds) == (2, 190.0)
    assert (second.sooner, second.later) == (1, 1)


def test_the_same_policy_changes_nothing() -> None:
    found = compared(waiting(), NOW)
    assert not found.jobs and (found.sooner, found.later) == (0, 0)
    assert all(pool.wait == pool.shadow_wait and pool.never == pool.shadow_never for pool in found.pools)


def test_only_the_largest_differences_are_named() -> None:
    bench = waiting()
    for _ in range(2 * MOST_SHOWN):
        bench.submit(cores=2, time_limit=20.0, pool="b")
    found = compared(bench)
    assert len(found.jobs) == MOST_SHOWN and found.sooner + found.later > MOST_SHOWN


def test_the_shadow_changes_nothing() -> None:
    """The same trace with a comparison after each step and without one: the same messages and records."""

    def trace(*, with_shadow: bool) -> list[Any]:
        bench = Bench(pools=NOW)
        seen: list[Any] = []
        for number in range(12):
            if number % 4 == 0:
                bench.worker(f"w{number}", cores=3)
            bench.submit(cores=1 + number % 2, time_limit=30.0 * (1 + number % 3), pool="ab"[number % 2])
            if with_shadow:
                view = compared(bench)
                bench.core.shadow_is(view)
            bench.live(7)
            seen += [(peer, [msgspec.json.encode(sent) for sent in inbox]) for peer, inbox in bench.inbox.items()]
            seen += [dict(bench.store), msgspec.structs.replace(bench.core.view(), shadow=None)]
        return seen

    assert trace(with_shadow=True) == trace(with_shadow=False)
