"""Reservations of the master's books: who waits long enough, what running jobs will free, and views of both (ADR 30)."""

from __future__ import annotations

import math
from collections.abc import Iterator

from stoker.core.master.books import TASKS, BookedApp, Worker
from stoker.core.master.context import Context
from stoker.core.master.scheduling.dealing import Contender, deal_executors
from stoker.core.master.scheduling.order import Claim, LaneOrder, may_claim
from stoker.core.master.scheduling.placement import Offer
from stoker.core.master.scheduling.queue import Demand, DriverQueue, Lane
from stoker.core.master.scheduling.reservation import Busy, Reservation, Reserver
from stoker.core.master.sharing.turns import Turns
from stoker.core.master.sharing.waiting_apps import WaitingApp, contender_of, waiting_apps
from stoker.core.model.resources import Amounts, added, counted
from stoker.core.model.states import MasterState
from stoker.core.model.views import PlaceView, ReservationView


def reserver_of(
    ctx: Context, offers: list[Offer], queue: DriverQueue, apps: list[WaitingApp] | None = None
) -> Reserver | None:
    """Return what makes reservations in a pass over these ``offers``, the drivers of this queue, and these
    waiting ``apps`` (None: all); None if the cluster makes none."""
    pools, books = ctx.pools, ctx.books
    if not pools.reserves:
        return None
    usable = [worker for worker in books.workers.values() if worker.is_usable]
    known = {offer.worker_id: offer for offer in offers}
    everywhere = {worker.record.id: known.get(worker.record.id) or offer_of(worker) for worker in usable}
    cores = [worker.record.cores for worker in usable]
    return Reserver(
        everywhere,
        lambda worker_id: _busy(ctx, books.workers[worker_id]),
        is_due=lambda job_id: ctx.now.wall >= _due(ctx, job_id),
        most_cores=max(int(pools.reserved_share * sum(cores)), max(cores, default=0)),
        claims=_claims(ctx, queue, waiting_apps(ctx) if apps is None else apps),
    )


def turns_of(ctx: Context) -> Turns:
    """Return the order and the limits of a pass that begins now."""
    usable = [worker.record for worker in ctx.books.workers.values() if worker.is_usable]
    cores, memory = sum(record.cores for record in usable), sum(record.memory_mib for record in usable)
    named: Amounts = ()
    for record in usable:
        named = added(named, counted(record.resources))
    return Turns(ctx.pools, ctx.books.accounts, cores=cores, memory_mib=memory, resources=named)


def slots_of(ctx: Context) -> int:
    """Return how many more drivers may run (spark.deploy.maxDrivers)."""
    books = ctx.books
    return max(
        0, ctx.policy.max_drivers - (len(books.drivers) - len(books.queue) - len(books.relaunching) - len(books.parked))
    )


def offer_of(worker: Worker) -> Offer:
    return Offer(worker.record.id, worker.cores_free, worker.memory_free, worker.resources_free())


def due_heads(ctx: Context, queue: DriverQueue | None = None) -> list[tuple[Lane, str]]:
    """Return the oldest driver of each lane of the queue if it has waited long enough to reserve room."""
    if not ctx.pools.reserves:
        return []
    queue = ctx.books.queue if queue is None else queue
    heads = [(head, lane) for demand in queue.demands() for lane in queue.lanes(demand) if (head := queue.head(lane))]
    return [(lane, driver_id) for (_, driver_id), lane in sorted(heads) if ctx.now.wall >= _due(ctx, driver_id)]


def _due(ctx: Context, job_id: str) -> float:
    """Return from when on the job may have a reservation (seconds since the Unix epoch)."""
    driver, app = ctx.books.drivers.get(job_id), ctx.books.apps.get(job_id)
    if driver is not None:
        return driver.queued_at + ctx.pools.reserve_after
    return (
        math.inf if app is None else app.record.submitted + ctx.pools.reserve_after
    )  # a dry run's is not in the books


def is_due(ctx: Context, app: BookedApp) -> bool:
    """Return whether an application has no executor, and has waited long enough to reserve room."""
    return ctx.pools.reserves and not app.executors and ctx.now.wall >= _due(ctx, app.record.id)


def due_contenders(ctx: Context) -> list[Contender]:
    """Return the applications that are due, as they are dealt executors of their first profile."""
    if not ctx.pools.reserves:
        return []
    return _due_among(ctx, waiting_apps(ctx))


def _due_among(ctx: Context, apps: list[WaitingApp]) -> list[Contender]:
    return [contender_of(ctx, waiting, is_due=True) for waiting in apps if is_due(ctx, waiting.app)]


def _claims(ctx: Context, queue: DriverQueue, apps: list[WaitingApp]) -> list[Claim]:
    """Return the claims of the applications that are due. In the order of the queue each comes before the drivers that began
    to wait later."""
    contenders = sorted(_due_among(ctx, apps), key=lambda contender: _due(ctx, contender.app_id))
    heads = (
        [(queue.head(lane) or (0, ""), driver_id) for lane, driver_id in due_heads(ctx, queue)] if contenders else []
    )
    found = []
    for rank, contender in enumerate(contenders, 1):
        since = _due(ctx, contender.app_id)
        before = [sequence for (sequence, _), driver_id in heads if _due(ctx, driver_id) <= since]
        behind = before[-1] if before else -1
        found.append(contender.claim._replace(sequence=behind + rank / (len(contenders) + 1)))  # no two are equal
    return found


def deal(
    ctx: Context, contenders: list[Contender], offers: list[Offer], turns: Turns, reserver: Reserver | None
) -> list[list[tuple[str, int]]]:
    """Return (worker id, cores) of each executor that a pass gives to each of the contenders."""
    spread_out, selection = ctx.policy.spread_out_apps, ctx.policy.worker_selection
    return deal_executors(contenders, offers, turns, spread_out=spread_out, selection=selection, reserver=reserver)


def _busy(ctx: Context, worker: Worker) -> Iterator[Busy]:
    books, wall = ctx.books, ctx.now.wall
    for driver_id in worker.drivers:
        record = books.drivers[driver_id].record
        description = record.description
        room = Demand(description.cores, description.memory_mib, description.resources)
        yield Busy(_ends(record.attempts[-1].started, description.time_limit, wall), room)
    for app_id, executor_id in worker.executors:
        app = books.apps[app_id]
        executor, wanted = app.executors[executor_id], app.record.description
        room = Demand(executor.cores, executor.memory_mib, tuple(counted(executor.resources)))
        yield Busy(_ends(executor.started, wanted.time_limit, wall), room)
    for cores, memory_mib, addresses in worker.dying.values():  # they end soon
        held: Amounts = tuple(counted(addresses))
        yield Busy(0.0, Demand(cores, memory_mib, held))


def _ends(started: float, limit: float, wall: float) -> float:
    return max(0.0, started + limit - wall) if limit else math.inf


def reserve_for_heads(ctx: Context, reserver: Reserver, turns: Turns, offers: list[Offer]) -> None:
    """Make the reservations of the drivers that still wait when a pass has placed what fits. An application makes its own
    when it is dealt executors."""
    queue = ctx.books.queue
    if not slots_of(ctx):
        return
    lanes = [lane for lane, _ in due_heads(ctx) if reserver.is_open(lane.pool)]
    order = LaneOrder(queue, turns, lanes, [claim for claim in reserver.claims if reserver.is_open(claim.lane.pool)])
    while (following := order.pop()) is not None:
        lane, driver_id = following
        if isinstance(lane, Claim):
            order.put_back(lane.lane, again=False)
            if may_claim(lane, turns):
                reserver.promise(lane.lane.pool, driver_id)
            continue
        order.put_back(lane, again=False)
        if turns.refusal(lane.pool, lane.principal, *lane.demand, is_driver=True):
            continue
        if not any(offer.fits(*lane.demand, lane.limit) for offer in offers):
            reserver.reserve(driver_id, lane.pool, lane.demand)


def reservation_views(ctx: Context) -> tuple[ReservationView, ...]:
    """Return the reservations that a pass would make now."""
    offers = [offer_of(worker) for worker in ctx.books.workers.values() if worker.is_usable]
    reserver = reserver_of(ctx, offers, ctx.books.queue)
    if reserver is None or ctx.state is not MasterState.ALIVE:
        return ()
    turns = turns_of(ctx)
    reserve_for_heads(ctx, reserver, turns, offers)
    deal(ctx, due_contenders(ctx), offers, turns, reserver)
    return tuple(_view(ctx, made) for made in reserver.made)


def _view(ctx: Context, made: Reservation) -> ReservationView:
    return ReservationView(
        job_id=made.job_id,
        pool=made.pool,
        since=_due(ctx, made.job_id),
        until=ctx.now.wall + made.within if math.isfinite(made.within) else 0.0,
        places=tuple(
            PlaceView(
                worker_id=place.worker_id,
                spare_cores=place.spare.cores_free,
                spare_memory_mib=place.spare.memory_free,
                spare_resources=tuple(sorted(item for item in place.spare.resources_free.items() if item[0] != TASKS)),
            )
            for place in made.places
        ),
    )
