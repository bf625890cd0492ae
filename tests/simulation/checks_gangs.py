"""What must hold for gangs: they begin with all that they need at once, or not; and none waits that fits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from stoker.core.master.books import BookedApp, Worker
from stoker.core.master.context import Context
from stoker.core.master.scheduling.placement import Offer
from stoker.core.master.sharing.reserving import turns_of
from stoker.core.model.messages import LaunchExecutor
from stoker.core.model.resources import times

Fail = Callable[[str, str], None]


def check_gangs(ctx: Context, launches: Iterable[LaunchExecutor], fail: Fail) -> None:
    launches = list(launches)
    begun = Counter(message.app_id for message in launches)
    for message in launches:
        app = ctx.books.apps.get(message.app_id)
        if message.executor_id or app is None:
            continue
        wanted = min(message.app.min_executors, app.record.executor_limit)
        if begun[message.app_id] < wanted:
            fail("gang", f"{message.app_id} begins with {begun[message.app_id]} executors, and needs {wanted} at once")
    for app in ctx.books.apps.values():
        if app.at_once > 1 and _may_begin(ctx, app):
            fit = sum(_fitting(ctx, app, worker) for worker in ctx.books.workers.values() if worker.is_usable)
            if fit >= app.at_once:
                fail("gang", f"{app.record.id} waits for {app.at_once} executors at once, and {fit} fit")


def _may_begin(ctx: Context, app: BookedApp) -> bool:
    described = app.record.description
    each = described.cores_per_executor or 1
    if app.record.hold is not None or app.peer is None or app.not_before > ctx.now.mono:
        return False
    cores, memory_mib = app.at_once * each, app.at_once * described.memory_mib
    resources = times(described.resources, app.at_once)
    limited = turns_of(ctx).refusal(app.pool, app.record.principal or "", cores, memory_mib, resources, is_driver=False)
    return app.cores_left >= cores and not limited


def _fitting(ctx: Context, app: BookedApp, worker: Worker) -> int:
    """Return how many executors fit on the worker beside the reservations of others."""
    described = app.record.description
    size = described.cores_per_executor or 1, described.memory_mib, described.resources
    free = Offer(worker.record.id, worker.cores_free, worker.memory_free, worker.resources_free()).count(*size)
    for made in ctx.reservations:
        for place in made.places:
            ends_before = 0 < described.time_limit <= made.within
            if place.worker_id == worker.record.id and made.job_id != app.record.id and not ends_before:
                return min(free, place.spare.count(*size))
    return free
