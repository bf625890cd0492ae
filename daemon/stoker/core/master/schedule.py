"""One scheduling pass: drivers first, then applications in the order they registered (spec 10). With pools, both in the
order of core.master.sharing."""

from __future__ import annotations

from stoker.core.master import drivers, executors
from stoker.core.master.books import BookedApp
from stoker.core.master.context import Context
from stoker.core.master.scheduling.dealing import Player, deal_executors
from stoker.core.master.scheduling.placement import AppNeed, Offer, place_drivers, place_executors
from stoker.core.master.sharing.turns import Turns
from stoker.core.model.states import MasterState


def schedule(ctx: Context) -> None:
    """Place every waiting job that fits. Does nothing unless the master is ALIVE (spec 10)."""
    ctx.schedule_wanted = False
    if ctx.state is not MasterState.ALIVE:
        return
    books = ctx.books
    hungry = [app for app in books.apps.values() if _wants_executors(ctx, app)]
    if not books.queue and not hungry:
        return
    # An executor needs a core, and so does every driver except the rare one that asks for none.
    is_coreless = any(demand.cores < 1 for demand in books.queue.demands())
    candidates = books.workers if is_coreless else books.with_free_cores
    offers = [
        Offer(worker_id, worker.cores_free, worker.memory_free, worker.resources_free())
        for worker_id, worker in candidates.items()
        if worker.is_usable
    ]
    turns = turns_of(ctx) if ctx.pools.is_configured else None
    if books.queue:
        running = len(books.drivers) - len(books.queue) - len(books.relaunching) - len(books.parked)
        placed = place_drivers(
            books.queue,
            offers,
            spread_out=ctx.policy.spread_out_drivers,
            slots=max(0, ctx.policy.max_drivers - running),
            shuffle=ctx.rng.shuffle,
            turns=turns,
        )
        for driver_id, worker_id in placed:
            drivers.launch(ctx, books.drivers[driver_id], books.workers[worker_id])
    if turns is not None:
        _deal(ctx, hungry, offers, turns)
        return
    for app in sorted(hungry, key=lambda app: -(app.record.description.priority or 0)):
        granted = place_executors(
            _need(app), offers, spread_out=ctx.policy.spread_out_apps, selection=ctx.policy.worker_selection
        )
        _grant(ctx, app, granted)


def turns_of(ctx: Context) -> Turns:
    """Return the order and the limits of a pass that begins now."""
    usable = [worker.record for worker in ctx.books.workers.values() if worker.is_usable]
    cores, memory = sum(record.cores for record in usable), sum(record.memory_mib for record in usable)
    return Turns(ctx.pools, ctx.books.accounts, cores=cores, memory_mib=memory)


def _wants_executors(ctx: Context, app: BookedApp) -> bool:
    record = app.record
    if app.peer is None or app.not_before > ctx.now.mono or record.hold is not None:
        return False
    need = record.description.cores_per_executor or 1
    return executors.cores_left(app) >= need and len(app.executors) < record.executor_limit


def _need(app: BookedApp) -> AppNeed:
    record = app.record
    return AppNeed(
        cores_left=executors.cores_left(app),
        cores_per_executor=record.description.cores_per_executor,
        memory_mib=record.description.memory_mib,
        executors=len(app.executors),
        executor_limit=record.executor_limit,
        resources=record.description.resources,
    )


def _deal(ctx: Context, hungry: list[BookedApp], offers: list[Offer], turns: Turns) -> None:
    players = [
        Player(
            _need(app),
            app.pool,
            app.record.principal or "",
            app.record.description.priority or 0,
            in_turns=ctx.pools.of(app.pool).policy == "fair",
        )
        for app in hungry
    ]
    dealt = deal_executors(
        players, offers, turns, spread_out=ctx.policy.spread_out_apps, selection=ctx.policy.worker_selection
    )
    for app, granted in zip(hungry, dealt, strict=True):
        _grant(ctx, app, granted)


def _grant(ctx: Context, app: BookedApp, granted: list[tuple[str, int]]) -> None:
    for worker_id, cores in granted:
        executors.launch(ctx, app, ctx.books.workers[worker_id], cores)
    if granted:
        executors.fix_share(ctx, app)
