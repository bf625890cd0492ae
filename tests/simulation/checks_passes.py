"""What must hold after every single pass, not only after a batch: who waits long enough has a reservation before others are
placed, and its room is free when the reservation says so (ADR 30). So the head of a queue waits at most until the jobs on its
workers have reached their limits: no pass may place anything that makes that later."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

from stoker.core.master import schedule
from stoker.core.master.books import Worker
from stoker.core.master.context import Context
from stoker.core.master.scheduling.reservation import Reservation
from stoker.core.master.sharing.reserving import slots_of, turns_of
from stoker.core.model.resources import counted
from stoker.core.model.states import MasterState
from tests.simulation.checks_order import Room, is_open

Fail = Callable[[str, str], None]
_SLACK = 1e-6  # seconds: times of day are floats


@contextmanager
def every_pass(fail: Fail) -> Iterator[None]:
    """Check each scheduling pass of each master."""
    make = schedule._pass

    def watched(ctx: Context) -> bool:
        before = _running(ctx)
        waiting = None if any(_is_due_app(ctx, app_id) for app_id in ctx.books.apps) else _due_drivers(ctx)
        again = make(ctx)
        if ctx.state is MasterState.ALIVE and ctx.pools.reserves:
            for made in ctx.reservations:
                _promise_holds(ctx, made, fail)
            if waiting and before != _running(ctx):
                _nobody_was_passed_over(ctx, waiting, fail)
        return again

    with patch.object(schedule, "_pass", watched):
        yield


def _running(ctx: Context) -> tuple[int, int]:
    """Return the numbers of drivers and executors on workers: a pass only adds some."""
    workers = ctx.books.workers.values()
    return sum(len(worker.drivers) for worker in workers), sum(len(worker.executors) for worker in workers)


def _due_drivers(ctx: Context) -> list[str]:
    after = ctx.pools.reserve_after
    drivers = ctx.books.drivers
    return [name for name in ctx.books.queue if ctx.now.wall >= drivers[name].queued_at + after]


def _is_due_app(ctx: Context, app_id: str) -> bool:
    """Return whether the application takes part: it may have a reservation, and give it up, within one pass."""
    app = ctx.books.apps[app_id]
    return not app.executors and ctx.now.wall >= app.record.submitted + ctx.pools.reserve_after


def _promise_holds(ctx: Context, made: Reservation, fail: Fail) -> None:
    if math.isinf(made.within):
        return
    cores, memory_mib, resources = made.demand
    for place in made.places:
        room = _room_within(ctx, ctx.books.workers[place.worker_id], made.within)
        wanted = cores * place.slots, memory_mib * place.slots, tuple((name, n * place.slots) for name, n in resources)
        if not room.fits(*wanted):
            fail(
                "reservation",
                f"{made.job_id} was promised {place.slots} x {made.demand} on {place.worker_id} within {made.within:.1f} s:"
                f" by then {room} is free",
            )


def _room_within(ctx: Context, worker: Worker, seconds: float) -> Room:
    """Return what is free on the worker when all jobs that end by then, by their limits, have ended."""
    books, latest = ctx.books, ctx.now.wall + seconds + _SLACK
    free = Room(worker.cores_free, worker.memory_free, Counter(worker.resources_free()))
    ending = []
    for driver_id in worker.drivers:
        record = books.drivers[driver_id].record
        described = record.description
        if 0 < described.time_limit <= latest - record.attempts[-1].started:
            ending.append(Room(described.cores, described.memory_mib, Counter(dict(described.resources))))
    for app_id, executor_id in worker.executors:
        app = books.apps[app_id]
        executor = app.executors[executor_id]
        if 0 < app.record.description.time_limit <= latest - executor.started:
            held = Counter(dict(counted(executor.resources)))
            ending.append(Room(executor.cores, executor.memory_mib, held))
    for cores, memory_mib, addresses in worker.dying.values():
        ending.append(Room(cores, memory_mib, Counter(dict(counted(addresses)))))
    return free.with_all(ending)


def _nobody_was_passed_over(ctx: Context, waiting: list[str], fail: Fail) -> None:
    """The pass has placed something. A pool in which a driver has waited long enough has a reservation, if it could."""
    books = ctx.books
    if not slots_of(ctx):
        return
    usable = [worker for worker in books.workers.values() if worker.is_usable]
    reserved = {place.worker_id for made in ctx.reservations for place in made.places}
    sizes = [worker.record.cores for worker in usable]
    left = max(int(ctx.pools.reserved_share * sum(sizes)), max(sizes, default=0))
    left -= sum(made.cores for made in ctx.reservations)
    turns = turns_of(ctx)
    for driver_id in waiting:
        driver = books.drivers.get(driver_id)
        if driver is None or driver_id not in books.queue or driver.tasks is not None:
            continue
        lane = driver.lane
        if any(made.pool == lane.pool for made in ctx.reservations) or lane.demand.cores > left:
            continue
        if turns.refusal(lane.pool, lane.principal, *lane.demand, is_driver=True):
            continue
        free = [Room(one.cores_free, one.memory_free, Counter(one.resources_free())) for one in usable]
        if any(
            room.fits(*lane.demand) and is_open(ctx, one, lane.demand, lane.limit)
            for one, room in zip(usable, free, strict=True)
        ):
            continue  # it is placed by the next pass
        if any(one.record.id not in reserved and _whole(one).fits(*lane.demand) for one in usable):
            fail("reservation", f"{driver_id} has waited long enough, and others were placed without regard to it")


def _whole(worker: Worker) -> Room:
    record = worker.record
    return Room(record.cores, record.memory_mib, Counter(dict(counted(record.resources))))
