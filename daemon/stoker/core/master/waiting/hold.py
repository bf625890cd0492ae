"""Hold and release: whether a job may be started, or get further executors."""

from __future__ import annotations

from stoker.core.master import drivers
from stoker.core.master.arrays import booking
from stoker.core.master.books import BookedApp, Driver
from stoker.core.master.context import Context
from stoker.core.master.effects import Received
from stoker.core.master.sharing import admission
from stoker.core.model.messages import Accepted, Failed, HoldJob
from stoker.core.model.principal import belongs_to
from stoker.core.model.states import DriverState


def hold(ctx: Context, event: Received, message: HoldJob) -> None:
    """Hold a job of the asker's principal, or release it. An operator of its pool and an admin may, too."""
    job = changeable(ctx, event, message.request, message.id)
    if job is None:
        return
    record = job.record
    if message.hold is not (record.hold is not None):
        order = event.asker.order(ctx.now.wall)
        record.hold = order if message.hold else None
        if isinstance(job, Driver):
            requeue(ctx, job)
        save(ctx, job)
        ctx.log(f"{record.id} was {order.words('held' if message.hold else 'released')}")
    ctx.send(event.peer, Accepted(request=message.request, text=f"{record.id} is {_hold_in_words(job)}"))


def changeable(ctx: Context, event: Received, request: int, job_id: str) -> Driver | BookedApp | None:
    """Return the active job if the asker may change it; else answer why not, and return None."""
    job = ctx.books.drivers.get(job_id) or ctx.books.apps.get(job_id)
    if job is None:
        reason = f"{job_id[:80]} has already finished or does not exist"
        ctx.send(event.peer, Failed(request=request, reason=reason, code="not-found"))
        return None
    record = job.record
    if not admission.may_change(ctx.pools, event.asker, record.principal, record.description.pool):
        reason = f"{record.id} {belongs_to(record.principal)}"
        ctx.send(event.peer, Failed(request=request, reason=reason, code="not-authorized"))
        return None
    return job


def requeue(ctx: Context, driver: Driver) -> None:
    """Put a driver that waits for a worker where it belongs now: at the end of its queue, or among the parked ones."""
    record, books = driver.record, ctx.books
    if record.state is not DriverState.SUBMITTED:
        return
    booking.unqueue(books, record.id)
    if driver.tasks is not None:
        driver.tasks.place = None
    drivers.enqueue(ctx, driver)
    driver.queued_at = ctx.now.wall


def save(ctx: Context, job: Driver | BookedApp) -> None:
    """Record a changed job, notify who watches it, and decide anew."""
    ctx.schedule_wanted = True
    if isinstance(job, Driver):
        drivers.changed(ctx, job)
    else:
        job.view = None
        ctx.save_app(job.record)


def _hold_in_words(job: Driver | BookedApp) -> str:
    """Return what the hold means for the job as it is now."""
    if job.record.hold is None:
        return "released"
    if isinstance(job, BookedApp):
        return "held: it gets no further executors"
    waits = job.record.state in (DriverState.SUBMITTED, DriverState.RELAUNCHING)
    return "held" if waits else f"held: it is {job.record.state.value} and goes on, but is not started again"
