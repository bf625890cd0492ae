"""The order of service, seen from the books after each batch: FIFO, and no job waits that fits (spec 10)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from stoker.core.master.books import BookedApp, Worker
from stoker.core.master.context import Context
from stoker.core.master.effects import Effect, Send
from stoker.core.master.scheduling.queue import Demand
from stoker.core.master.sharing.reserving import turns_of
from stoker.core.model.messages import LaunchDriver, LaunchExecutor
from stoker.core.model.profiles import with_profile
from stoker.core.model.resources import Amounts, counted, negative
from stoker.core.model.states import MasterState
from stoker.core.model.values import ApplicationDescription, DriverDescription
from tests.simulation.checks_arrays import check_arrays
from tests.simulation.checks_gangs import check_gangs

Fail = Callable[[str, str], None]
LAUNCHES = (LaunchDriver, LaunchExecutor)


def check_order(ctx: Context, effects: Iterable[Effect], fail: Fail) -> None:
    if ctx.state is not MasterState.ALIVE:
        return
    sent = [effect for effect in effects if isinstance(effect, Send)]
    check_arrays(ctx.books, sent, fail)
    _drivers_in_order(ctx, [send.message for send in sent if isinstance(send.message, LaunchDriver)], fail)
    granted: dict[str, list[LaunchExecutor]] = {}  # worker -> executors granted there now
    for send in sent:
        worker_id = ctx.books.worker_of_peer.get(send.peer)
        if worker_id and ctx.books.workers[worker_id].record.drain.draining and isinstance(send.message, LAUNCHES):
            fail("drain", f"{send.message} goes to {worker_id}, which is draining")
        if isinstance(send.message, LaunchExecutor) and worker_id is not None:
            granted.setdefault(worker_id, []).append(send.message)
    if ctx.pools.is_configured:
        _limits_hold(ctx, [send.message for send in sent], fail)
        _reservations_hold(ctx, fail)
    check_gangs(ctx, (send.message for send in sent if isinstance(send.message, LaunchExecutor)), fail)
    for worker in ctx.books.workers.values():
        if worker.is_usable:
            _nothing_waits(ctx, worker, granted.get(worker.record.id, []), fail)


class Room(NamedTuple):
    cores: int
    memory_mib: int
    resources: Counter[str]

    def with_all(self, others: Iterable[Room]) -> Room:
        cores, memory, resources = self.cores, self.memory_mib, Counter(self.resources)
        for other in others:
            cores, memory = cores + other.cores, memory + other.memory_mib
            resources.update(other.resources)
        return Room(cores, memory, resources)

    def fits(self, cores: int, memory_mib: int, resources: Amounts) -> bool:
        enough = all(self.resources[name] >= amount for name, amount in resources)
        return enough and self.cores >= cores and self.memory_mib >= memory_mib


def _number(identifier: str) -> int:
    return int(identifier.rsplit("-", 1)[1].partition("_")[0])


def _drivers_in_order(ctx: Context, launches: list[LaunchDriver], fail: Fail) -> None:
    first = [message for message in launches if message.attempt == 1]
    if not first:
        return
    for driver_id in ctx.books.queue:
        waiting = ctx.books.drivers[driver_id].record
        if waiting.attempts or ctx.books.drivers[driver_id].queued_at != waiting.submitted:
            continue  # back in the queue, at its end; also after it was held or changed
        for message in first:
            same = _shape(message.driver) == _shape(waiting.description)
            same = same and message.principal == waiting.principal
            if same and _number(driver_id) < _number(message.driver_id):
                fail("fifo", f"{message.driver_id} is launched before {driver_id}, which came first")


def _nothing_waits(ctx: Context, worker: Worker, granted: list[LaunchExecutor], fail: Fail) -> None:
    """Drivers are served before applications, and applications in the order they registered. No job may wait for cores
    that are free, or that were given to a later one in the queue."""
    free = Room(worker.cores_free, worker.memory_free, Counter(worker.resources_free()))
    held = [
        (message.app_id, Room(message.cores, message.memory_mib, Counter(dict(counted(message.resources)))))
        for message in granted
    ]
    books = ctx.books
    running = len(books.drivers) - len(books.queue) - len(books.relaunching) - len(books.parked)
    if running < ctx.policy.max_drivers:
        for shape, limit in _allowed_demands(ctx):
            room = free.with_all(room for app_id, room in held if not _came_before(ctx, app_id))
            if room.fits(*shape) and is_open(ctx, worker, shape, limit):
                fail("fifo", f"a driver of {shape} waits and fits on {worker.record.id}")
    order = list(ctx.books.apps)
    for index, app_id in enumerate(order):
        app = ctx.books.apps[app_id]
        behind = free.with_all(room for other, room in held if other in order[index + 1 :])
        if ctx.pools.is_configured:  # applications take turns: only what is left over counts, if no limit forbids it
            behind = free
        for profile in (None, *app.record.profiles):
            sizes = with_profile(app.record.description, profile)
            if ctx.pools.is_configured and _is_limited(ctx, app, sizes):
                continue
            if app.at_once > 1:
                continue  # check_gangs
            if _wants(ctx, app, sizes, worker) and _fits(ctx, sizes, worker, behind):
                fail("fifo", f"{app_id} wants executors of profile {sizes.profile}: one fits on {worker.record.id}")


def _came_before(ctx: Context, app_id: str) -> bool:
    """Return whether an application has waited long enough to be served before drivers that came later."""
    app = ctx.books.apps.get(app_id)
    return app is not None and ctx.pools.reserves and app.record.submitted + ctx.pools.reserve_after <= ctx.now.wall


def _wants(ctx: Context, app: BookedApp, sizes: ApplicationDescription, worker: Worker) -> bool:
    record = app.record
    has = [executor for executor in app.executors.values() if executor.profile == sizes.profile]
    profile = app.profile(sizes.profile)
    limit = record.executor_limit if profile is None else profile.executor_limit
    if record.hold is not None or app.peer is None or app.not_before > ctx.now.mono or len(has) >= limit:
        return False
    if app.cores_left < (sizes.cores_per_executor or 1):
        return False
    # Without cores_per_executor a worker gets one executor in each pass: more may follow in the next.
    return sizes.cores_per_executor is not None or not any(executor.worker_id == worker.record.id for executor in has)


def _fits(ctx: Context, sizes: ApplicationDescription, worker: Worker, room: Room) -> bool:
    demand = Demand(sizes.cores_per_executor or 1, sizes.memory_mib, sizes.resources)
    return room.fits(*demand) and is_open(ctx, worker, demand, sizes.time_limit)


def is_open(ctx: Context, worker: Worker, demand: Demand, limit: float) -> bool:
    """Return whether no reservation keeps the worker from a job with that time limit."""
    for made in ctx.reservations:
        for place in made.places:
            if place.worker_id == worker.record.id:
                ends_before = 0 < limit <= made.within < math.inf
                return ends_before or place.spare.fits(*demand)
    return True


def _reservations_hold(ctx: Context, fail: Fail) -> None:
    """Only jobs that have waited long reserve room, one in each pool, and of a part of the cores; others keep out of it."""
    pools = [made.pool for made in ctx.reservations]
    if len(set(pools)) < len(pools):
        fail("reservation", f"a pool has two reservations: {pools}")
    usable = [worker.record.cores for worker in ctx.books.workers.values() if worker.is_usable]
    most = max(int(ctx.pools.reserved_share * sum(usable)), max(usable, default=0))
    if (reserved := sum(made.cores for made in ctx.reservations)) > most:
        fail("reservation", f"{reserved} cores are reserved, of at most {most}")
    for made in ctx.reservations:
        driver, app = ctx.books.drivers.get(made.job_id), ctx.books.apps.get(made.job_id)
        since = driver.queued_at if driver is not None else app.record.submitted if app is not None else -math.inf
        if ctx.now.wall < since + ctx.pools.reserve_after - 1e-6:
            fail("reservation", f"{made.job_id} has a reservation before it has waited long enough")
        for place in made.places:
            if place.spare.cores_free < 0 or place.spare.memory_free < 0:
                fail("reservation", f"more of {place.worker_id} was granted than the reservation of {made.job_id} left")


def _allowed_demands(ctx: Context) -> set[tuple[Demand, float]]:
    """Return the demands and time limits of waiting drivers that break no limit of their pools."""
    turns, queue = turns_of(ctx), ctx.books.queue
    return {
        (demand, lane.limit)
        for demand in queue.demands()
        for lane in queue.lanes(demand)
        if not turns.refusal(lane.pool, lane.principal, *demand, is_driver=True)
    }


def _is_limited(ctx: Context, app: BookedApp, sizes: ApplicationDescription) -> bool:
    cores = sizes.cores_per_executor or 1
    principal = app.record.principal or ""
    return bool(turns_of(ctx).refusal(app.pool, principal, cores, sizes.memory_mib, sizes.resources, is_driver=False))


def _limits_hold(ctx: Context, sent: list[object], fail: Fail) -> None:
    """After a batch that granted something, the pool and the principal that got it are within their limits. Jobs that workers
    brought back may exceed them; then nothing is granted."""
    turns = turns_of(ctx)
    for message in sent:
        if isinstance(message, LaunchDriver):
            pool, cores, memory = message.driver.pool, message.driver.cores, message.driver.memory_mib
            named = message.driver.resources
        elif isinstance(message, LaunchExecutor):
            pool, cores, memory = message.app.pool, message.cores, message.memory_mib
            named = counted(message.resources)
        else:
            continue
        is_driver = isinstance(message, LaunchDriver)
        principal = message.principal or ""
        turns.grant(pool, principal, -cores, -memory, negative(named), drivers=-is_driver)
        why = turns.refusal(pool, principal, cores, memory, named, is_driver=is_driver)
        turns.grant(pool, principal, cores, memory, named, drivers=int(is_driver))
        if why:
            fail("share", f"{pool or 'default'}: more was granted than a limit permits: before the last grant, {why}")


def _shape(driver: DriverDescription) -> tuple[int, int, Amounts, str, int]:
    return driver.cores, driver.memory_mib, driver.resources, driver.pool, driver.priority or 0
