"""Change the pool, the priority or the time limit of a job that has been submitted."""

from __future__ import annotations

import msgspec

from stoker.core.master.books import BookedApp, Driver
from stoker.core.master.context import Context
from stoker.core.master.effects import Received
from stoker.core.master.sharing import admission
from stoker.core.master.waiting.hold import changeable, requeue, save
from stoker.core.model.changes import JobChange
from stoker.core.model.limits import span
from stoker.core.model.messages import Accepted, Failed, UpdateJob
from stoker.core.model.pools import DEFAULT_POOL, PoolRequest
from stoker.core.model.principal import Asker
from stoker.core.model.states import DriverState

_ASK = "an operator of its pool or an admin may (an admin: --admin)"


def update(ctx: Context, event: Received, message: UpdateJob) -> None:
    """Change a job, all of it or nothing. Its own principal may only lower the priority and shorten the limit."""
    job = changeable(ctx, event, message.request, message.id)
    if job is None:
        return
    record, change = job.record, message.change
    why = _refusal(ctx, job, change, event.asker)
    if why:
        ctx.send(event.peer, Failed(request=message.request, reason=f"{record.id}: {why}"))
        return
    _apply(ctx, job, change)
    said = f"{record.id} has now {change.words}{_from_when(job, change)}"
    ctx.log(f"{record.id} was {event.asker.order(ctx.now.wall).words('changed')}: {change.words}")
    ctx.send(event.peer, Accepted(request=message.request, text=said))


def _refusal(ctx: Context, job: Driver | BookedApp, change: JobChange, by: Asker) -> str:
    """Return why the change is refused; "" if it is not."""
    if change.is_nothing:
        return "nothing to change: give a pool, a priority or a time limit"
    description, principal = job.record.description, job.record.principal or ""
    runs_all = by.is_admin or (ctx.pools.is_configured and ctx.pools.of(description.pool).is_operator(by.principal))
    present = description.priority or 0
    if change.priority is not None and change.priority > present and not runs_all:
        return f"its priority is {present}, and you may only lower it; {_ASK}"
    limit = change.time_limit
    if limit is not None and not runs_all and _is_longer(limit, description.time_limit):
        has = f"{span(description.time_limit)}, and you may only shorten it" if description.time_limit else "none"
        return f"its time limit is {has}; {_ASK}"
    if limit is not None and isinstance(job, Driver) and not _restarts(job):
        return f"it is {job.record.state.value}: the limit of a running attempt cannot be changed"
    return _not_admitted(ctx, job, change, by, principal)


def _not_admitted(ctx: Context, job: Driver | BookedApp, change: JobChange, by: Asker, principal: str) -> str:
    description = job.record.description
    pool = change.pool or description.pool
    priority = (description.priority or 0) if change.priority is None else change.priority
    limit = description.time_limit if change.time_limit is None else change.time_limit
    if (change.pool or change.time_limit is not None) and (
        why := admission.too_long(ctx.pools, pool or DEFAULT_POOL, limit)
    ):
        return why
    if change.pool and (why := admission.too_large(ctx.pools, pool, description.max_disk_mib)):
        return why
    if not change.pool and change.priority is None:
        return ""
    owner = Asker(principal, by.is_admin)
    admitted = admission.admit(ctx.pools, PoolRequest(pool=pool, priority=priority), owner)
    if isinstance(admitted, str):
        return admitted
    if isinstance(job, BookedApp) or not ctx.pools.is_configured or pool == (description.pool or DEFAULT_POOL):
        return ""
    return admission.too_many_queued(
        ctx.pools,
        pool,
        principal,
        in_pool=ctx.books.waiting_drivers(pool),
        of_principal=ctx.books.waiting_drivers(pool, principal),
    )


def _is_longer(limit: float, present: float) -> bool:
    """Return whether a limit of ``limit`` seconds permits more than ``present``; 0: no limit."""
    return (limit == 0 or limit > present) if present else False


def _restarts(driver: Driver) -> bool:
    """Return whether it will be started, perhaps once more."""
    waits = driver.record.state in (DriverState.SUBMITTED, DriverState.RELAUNCHING)
    return waits or driver.record.description.supervise


def _apply(ctx: Context, job: Driver | BookedApp, change: JobChange) -> None:
    before, lane = job.account, job.lane if isinstance(job, Driver) else None
    values: dict[str, object] = {"pool": change.pool} if change.pool else {}
    if change.priority is not None:
        values["priority"] = change.priority
    if change.time_limit is not None:
        values["time_limit"] = change.time_limit
    job.record.description = msgspec.structs.replace(job.record.description, **values)
    ctx.books.account_changed(job, before)
    if isinstance(job, Driver) and lane is not None and job.lane != lane:
        if job.lane == lane._replace(limit=job.lane.limit) and job.record.id in ctx.books.queue:
            ctx.books.queue.move(job.record.id, job.lane)
        else:
            requeue(ctx, job)
    save(ctx, job)


def _from_when(job: Driver | BookedApp, change: JobChange) -> str:
    if change.time_limit is None:
        return ""
    if isinstance(job, BookedApp):
        return ": the limit holds for executors that start from now on" if job.executors else ""
    waits = job.record.state in (DriverState.SUBMITTED, DriverState.RELAUNCHING)
    return "" if waits else ": the limit holds from its next attempt on"
