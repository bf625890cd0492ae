"""Reservations and backfill, on a master's core (ADR 30)."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import Any

import msgspec

from stoker.core.master.scheduling.explain import Waiting
from stoker.core.master.scheduling.explanation import explain
from stoker.core.model.messages import LaunchDriver, LaunchExecutor, SubmitDriver
from stoker.core.model.pools import Pool, Pools, Quota
from stoker.core.model.states import DriverState
from stoker.core.model.values import DriverReport
from stoker.core.model.views import PlaceView
from tests.support.core import Bench, driver

FIFO = Pool(name="default", policy="fifo", max_priority=9)


def bench(*pools: Pool, **more: Any) -> Bench:
    named = {pool.name: pool for pool in pools or (FIFO,)}
    return Bench(pools=Pools(pools=named, is_configured=True, **more))


class Jobs:
    """Submits drivers, and ends them."""

    def __init__(self, on: Bench) -> None:
        self.bench = on
        self.running: dict[str, tuple[str, LaunchDriver]] = {}

    def submit(self, cores: int = 1, *, by: str = "ada", **more: Any) -> str:
        books = self.bench.core.ctx.books
        known = set(books.drivers)
        described = driver(cores=cores, memory_mib=0, **more)
        self.bench.send("c1", SubmitDriver(request=1, token=f"t{books.counters.drivers}", driver=described), key=by)
        self.look()
        (found,) = set(books.drivers) - known
        return found

    def look(self) -> None:
        for peer in [peer for peer in self.bench.inbox if peer.startswith("w")]:
            for launch in self.bench.take_all(peer, LaunchDriver):
                self.running[launch.driver_id] = peer, launch
                self.bench.driver_is(peer, launch, DriverState.RUNNING)

    def end(self, driver_id: str) -> None:
        peer, launch = self.running.pop(driver_id)
        self.bench.driver_is(peer, launch, DriverState.FINISHED, code=0)
        self.look()

    def runs(self, driver_id: str) -> bool:
        return driver_id in self.running


def test_small_drivers_do_not_keep_a_larger_one_waiting() -> None:
    b = bench()
    b.worker("w1", cores=2)
    jobs = Jobs(b)
    first, second = jobs.submit(), jobs.submit()
    large = jobs.submit(2)
    small = [jobs.submit() for _ in range(4)]
    b.live(61)
    jobs.end(first)
    assert not any(map(jobs.runs, small))
    jobs.end(second)
    assert jobs.runs(large) and not any(map(jobs.runs, small))
    jobs.end(large)
    assert [jobs.runs(one) for one in small] == [True, True, False, False]


def test_before_that_time_and_without_it_everything_is_as_it_was() -> None:
    for b, seconds in ((bench(), 30.0), (bench(reserve_after=-1.0), 300.0), (Bench(), 300.0)):
        b.worker("w1", cores=2)
        jobs = Jobs(b)
        first, _ = jobs.submit(), jobs.submit()
        large, small = jobs.submit(2), jobs.submit()
        b.live(seconds)
        jobs.end(first)
        assert jobs.runs(small) and not jobs.runs(large)


def test_what_ends_before_by_its_time_limit_may_run_in_between() -> None:
    b = bench()
    b.worker("w1", cores=4)
    jobs = Jobs(b)
    jobs.submit(2, time_limit=1000.0)
    short = jobs.submit(2, time_limit=100.0)
    large = jobs.submit(4)
    b.live(61)
    long, limitless, fitting = jobs.submit(time_limit=950.0), jobs.submit(), jobs.submit(time_limit=900.0)
    jobs.end(short)
    assert [jobs.runs(one) for one in (large, long, limitless, fitting)] == [False, False, False, True]


def test_what_the_reserved_job_leaves_over_may_be_used_for_long() -> None:
    b = bench()
    b.worker("w1", cores=4)
    jobs = Jobs(b)
    jobs.submit(3, time_limit=1000.0)
    short = jobs.submit(1, time_limit=100.0)
    large = jobs.submit(3)
    b.live(61)
    small, another = jobs.submit(), jobs.submit()
    jobs.end(short)
    assert jobs.runs(small) and not jobs.runs(another) and not jobs.runs(large)


def test_the_worker_where_it_fits_soonest_is_reserved() -> None:
    b = bench()
    b.worker("w1", cores=2)
    jobs = Jobs(b)
    jobs.submit(2, time_limit=1000.0)
    soon = b.worker("w2", cores=2)
    jobs.submit(2, time_limit=500.0)
    b.worker("w3", cores=2)
    jobs.submit(2)  # without a limit
    since = b.now.wall
    large = jobs.submit(2)
    b.live(61)
    (made,) = b.core.view().reservations
    assert (made.job_id, made.pool, made.since) == (large, "default", since + 60)
    assert made.places == (PlaceView(worker_id=soon, spare_memory_mib=4096),)
    assert abs(made.until - (since + 500)) < 1


def test_at_most_a_share_of_the_cores_is_reserved_and_always_one_worker() -> None:
    one = Pool(name="default", policy="fifo")
    two = Pool(name="b", policy="fifo")
    for share, expected in ((0.01, 1), (1.0, 2)):
        b = bench(one, two, reserved_share=share)
        b.worker("w1")
        b.worker("w2")
        jobs = Jobs(b)
        for _ in range(2):
            jobs.submit(4)
        jobs.submit(4, pool="default")
        jobs.submit(4, pool="default")
        jobs.submit(4, pool="b")
        b.live(61)
        assert len(b.core.view().reservations) == expected


def test_who_waits_for_a_limit_or_is_too_large_for_every_worker_reserves_nothing() -> None:
    b = bench(msgspec.structs.replace(FIFO, most_per_user=Quota(drivers=1)))
    b.worker("w1", cores=2)
    jobs = Jobs(b)
    first = jobs.submit(1)
    jobs.submit(2)  # its user has one already
    jobs.submit(3, by="bob")
    last = jobs.submit(2, by="carl")
    b.live(61)
    assert [made.job_id for made in b.core.view().reservations] == [last]
    jobs.end(first)


def test_executors_keep_out_of_reserved_room() -> None:
    b = bench()
    b.worker("w1", cores=2)
    jobs = Jobs(b)
    first, second = jobs.submit(), jobs.submit()
    large = jobs.submit(2)
    b.application("c2", max_cores=2)
    b.live(61)
    jobs.end(first)
    assert not b.take_all("w1", LaunchExecutor)
    jobs.end(second)
    assert jobs.runs(large)


def test_both_sides_are_told() -> None:
    b = bench()
    worker = b.worker("w1", cores=2)
    jobs = Jobs(b)
    first = jobs.submit(time_limit=100.0)
    jobs.submit(time_limit=4000.0)
    large = jobs.submit(2)
    b.live(61)
    small, short = jobs.submit(), jobs.submit(time_limit=60.0)
    jobs.end(first)
    assert jobs.runs(short) and not jobs.runs(small)
    jobs.end(short)
    view = b.core.view()
    drivers = {one.id: one for one in view.active_drivers}
    made = view.reservations[0]
    since, until = (
        datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
        for at in (made.since, math.ceil(made.until / 60) * 60)
    )
    assert explain(view, drivers[small]).refusals == (f"1 worker: reserved for {large} since {since}",)
    assert Waiting(view).driver(drivers[small]) == (
        f"the worker with room is reserved for {large} since {since}; 1 driver ahead of it"
    )
    reserved = f"reserved on {worker}, free by {until} at the latest"
    assert explain(view, drivers[large]).lines[-1] == reserved
    assert Waiting(view).driver(drivers[large]).endswith(f"; {reserved}")


def test_a_reservation_survives_a_fail_over() -> None:
    b = bench()
    b.worker("w1", cores=2)
    jobs = Jobs(b)
    jobs.submit(2, time_limit=1000.0)
    large = jobs.submit(2)
    b.live(61)
    before = b.core.view().reservations
    assert [made.job_id for made in before] == [large]
    reports = b.core.ctx.books.drivers
    (running,) = [one for one in reports.values() if one.record.state is DriverState.RUNNING]
    b.restart(keep=True)
    report = DriverReport(
        driver_id=running.record.id,
        attempt=1,
        state=DriverState.RUNNING,
        driver=running.record.description,
        started=running.record.attempts[0].started,
        pid=100,
    )
    b.worker("w1", cores=2, drivers=(report,))
    b.live(70)
    after = b.core.view().reservations
    assert [(made.job_id, made.since) for made in after] == [(made.job_id, made.since) for made in before]


def test_a_changed_time_limit_keeps_the_place_in_the_queue() -> None:
    b = bench()
    b.worker("w1", cores=1)
    jobs = Jobs(b)
    running, first, second = jobs.submit(), jobs.submit(), jobs.submit(time_limit=50.0)
    queue, driver_ = b.core.ctx.books.queue, b.core.ctx.books.drivers[first]
    driver_.record.description = msgspec.structs.replace(driver_.record.description, time_limit=50.0)
    queue.move(first, driver_.lane)
    assert queue.head(driver_.lane) is not None and len(queue.lanes(driver_.lane.demand)) == 1
    jobs.end(running)
    assert jobs.runs(first) and not jobs.runs(second)
