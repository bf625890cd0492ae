"""One scheduling pass: drivers first, then applications in the order they registered (spec 10). With pools, both in the
order of core.master.sharing."""

from __future__ import annotations

from stoker.core.master import drivers, executors
from stoker.core.master.arrays.booking import next_of
from stoker.core.master.books import BookedApp, Driver
from stoker.core.master.context import Context
from stoker.core.master.scheduling.placement import Offer, Shuffle, place_drivers, place_executors
from stoker.core.master.scheduling.queue import DriverQueue
from stoker.core.master.scheduling.reservation import Reserver
from stoker.core.master.sharing.reserving import (
    deal,
    due_contenders,
    due_heads,
    is_due,
    offer_of,
    reserve_for_heads,
    reserver_of,
    slots_of,
    turns_of,
)
from stoker.core.master.sharing.turns import Turns
from stoker.core.master.sharing.waiting_apps import WaitingApp, contender_of, need_of, waiting_apps
from stoker.core.model.profiles import DEFAULT_PROFILE, Profile
from stoker.core.model.states import MasterState


def schedule(ctx: Context) -> None:
    """Place every waiting job that fits. Does nothing unless the master is ALIVE (spec 10)."""
    ctx.schedule_wanted, ctx.reservations = False, []
    if ctx.state is not MasterState.ALIVE:
        return
    while _pass(ctx):
        pass


def _pass(ctx: Context) -> bool:
    """Return whether another pass may place more: room was reserved and something placed. What was placed later may have
    taken a pool to a limit, and so voided a reservation that others kept out of."""
    books, ctx.reservations = ctx.books, []
    apps = waiting_apps(ctx)
    if not books.queue and not apps:
        return False
    offers = _offers(ctx, books.queue)
    turns = turns_of(ctx) if ctx.pools.is_configured else None
    reserver = reserver_of(ctx, offers, books.queue, apps)
    if reserver is not None:
        ctx.reservations = reserver.made
    placed: list[tuple[str, str]] = []
    if books.queue:
        placed = _place_drivers(ctx, books.queue, offers, turns, reserver, shuffle=ctx.rng.shuffle)
        for driver_id, worker_id in placed:
            drivers.launch(ctx, next_of(books, books.drivers[driver_id], ctx.now.wall), books.workers[worker_id])
        if reserver is not None:
            reserver.launched()
    if turns is not None:
        if apps and reserver is not None:
            reserve_for_heads(ctx, reserver, turns, offers)
        dealt = _deal(ctx, apps, offers, turns, reserver)
        return reserver is not None and reserver.has_reserved and (dealt or bool(placed))
    for waiting in sorted(apps, key=lambda waiting: -(waiting.app.record.description.priority or 0)):
        for profile in waiting.needs:
            granted = place_executors(
                need_of(waiting.app, profile),
                offers,
                spread_out=ctx.policy.spread_out_apps,
                selection=ctx.policy.worker_selection,
            )
            _grant(ctx, waiting.app, granted, profile)
    return False


def would_place_driver(ctx: Context, driver: Driver) -> bool:
    """Return whether the next pass would place a driver that is not in the books; nothing changes. Drivers that wait were
    placed by no pass so far, so they leave it what is free, except for what those reserve that come before it."""
    record = driver.record
    if ctx.state is not MasterState.ALIVE or record.hold is not None or record.awaits:
        return False
    queue = DriverQueue()
    for lane, waiting in due_heads(ctx):
        queue.push(waiting, lane)
    queue.push(record.id, driver.lane)
    offers = _offers(ctx, queue)
    turns = turns_of(ctx) if ctx.pools.is_configured else None
    placed = _place_drivers(ctx, queue, offers, turns, reserver_of(ctx, offers, queue), shuffle=lambda _: None)
    return any(driver_id == record.id for driver_id, _ in placed)


def would_place_app(ctx: Context, app: BookedApp) -> bool:
    """Return whether the next pass would give an executor to an application that is not in the books; nothing changes."""
    need = need_of(app)
    if ctx.state is not MasterState.ALIVE or not need.is_open:
        return False
    offers = _offers(ctx, DriverQueue())
    spread_out, selection = ctx.policy.spread_out_apps, ctx.policy.worker_selection
    if ctx.pools.is_configured:
        turns, reserver = turns_of(ctx), reserver_of(ctx, offers, ctx.books.queue)
        if reserver is not None:
            reserve_for_heads(ctx, reserver, turns, offers)
        contenders = [*due_contenders(ctx), contender_of(ctx, WaitingApp(app, [None]))]
        return bool(deal(ctx, contenders, offers, turns, reserver)[-1])
    return bool(place_executors(need, offers, spread_out=spread_out, selection=selection))


def _offers(ctx: Context, queue: DriverQueue) -> list[Offer]:
    """Return copies of what is free on usable workers."""
    # An executor needs a core, and so does every driver except the rare one that asks for none.
    is_coreless = any(demand.cores < 1 for demand in queue.demands())
    candidates = ctx.books.workers if is_coreless else ctx.books.with_free_cores
    return [offer_of(worker) for worker in candidates.values() if worker.is_usable]


def _place_drivers(
    ctx: Context,
    queue: DriverQueue,
    offers: list[Offer],
    turns: Turns | None,
    reserver: Reserver | None,
    *,
    shuffle: Shuffle,
) -> list[tuple[str, str]]:
    return place_drivers(
        queue,
        offers,
        spread_out=ctx.policy.spread_out_drivers,
        slots=slots_of(ctx),
        shuffle=shuffle,
        turns=turns,
        reserver=reserver,
    )


def _deal(ctx: Context, apps: list[WaitingApp], offers: list[Offer], turns: Turns, reserver: Reserver | None) -> bool:
    """Deal executors of the applications' first profiles, then of their second ones: two profiles of one application share
    its limit of cores. Return whether any was granted."""
    is_any, is_first = False, True
    while apps:
        contenders = [contender_of(ctx, waiting, is_due=is_first and is_due(ctx, waiting.app)) for waiting in apps]
        dealt = deal(ctx, contenders, offers, turns, reserver)
        for waiting, granted in zip(apps, dealt, strict=True):
            _grant(ctx, waiting.app, granted, waiting.needs[0])
            is_any |= bool(granted)
        if reserver is not None:
            reserver.launched()
        apps = [WaitingApp(waiting.app, waiting.needs[1:]) for waiting in apps if waiting.needs[1:]]
        is_first = False
    return is_any


def _grant(ctx: Context, app: BookedApp, granted: list[tuple[str, int]], profile: Profile | None) -> None:
    for worker_id, cores in granted:
        worker = ctx.books.workers[worker_id]
        executors.launch(ctx, app, worker, cores, DEFAULT_PROFILE if profile is None else profile.id)
    if granted:
        executors.fix_share(ctx, app)
