"""Answer what a submission would get, without submitting: the placement is tried on copies, nothing is recorded."""

from __future__ import annotations

from stoker.core.master import applications, drivers
from stoker.core.master.arrays import booking
from stoker.core.master.books import BookedApp, Driver
from stoker.core.master.context import Context
from stoker.core.master.effects import Received
from stoker.core.master.schedule import would_place_app, would_place_driver
from stoker.core.master.scheduling.explanation import explain
from stoker.core.master.show import app_view, cluster_view, driver_view
from stoker.core.master.waiting import after
from stoker.core.model.messages import DryRun, DryRunResult, Failed
from stoker.core.model.records import AppRecord, ArrayRecord, DriverRecord
from stoker.core.model.values import ApplicationDescription, DriverDescription

_DRIVER, _APP = "driver-dry-run", "app-dry-run"  # never an id


def dry_run(ctx: Context, event: Received, message: DryRun) -> None:
    """Answer with what the next pass would do with the job, and why; or with the refusal that its submission would get."""
    job = _driver(ctx, event, message.driver) if message.driver is not None else _app(ctx, event, message.app)
    if isinstance(job, str):
        ctx.send(event.peer, Failed(request=message.request, reason=job))
        return
    if why := _never(ctx, job):
        ctx.send(event.peer, DryRunResult(request=message.request, verdict="never", refusals=(why,)))
        return
    if would_place_driver(ctx, job) if isinstance(job, Driver) else would_place_app(ctx, job):
        ctx.send(event.peer, DryRunResult(request=message.request, verdict="now"))
        return
    found = explain(cluster_view(ctx), driver_view(job) if isinstance(job, Driver) else app_view(job))
    answer = DryRunResult(
        request=message.request,
        verdict="never" if found.verdict == "never" else "wait",
        needs=found.needs,
        refusals=found.refusals,
        ahead=found.ahead,
        helps=found.helps,
    )
    ctx.send(event.peer, answer)


def _never(ctx: Context, job: Driver | BookedApp) -> str:
    """Return why a driver would end at once: one that it is to start after has ended in another way. "" if it would not."""
    if not isinstance(job, Driver):
        return ""
    description = job.record.description
    return after.outlook(ctx.books, description, description.after)[1]


def _driver(ctx: Context, event: Received, wanted: DriverDescription) -> Driver | str:
    described = after.unknown(ctx.books, wanted) or drivers.in_pool(ctx, wanted, event.asker)
    if isinstance(described, str):
        return described
    record = (ArrayRecord if described.array else DriverRecord)(
        id=_DRIVER,
        description=described,
        submitted=ctx.now.wall,
        principal=event.principal,
        hold=event.asker.order(ctx.now.wall) if wanted.hold else None,
        awaits=after.outlook(ctx.books, described, described.after)[0],
    )
    return booking.made_of(record)


def _app(ctx: Context, event: Received, wanted: ApplicationDescription | None) -> BookedApp | str:
    if wanted is None:
        return "a dry run needs a driver or an application"
    described = applications.in_pool(ctx, wanted, event.asker)
    if isinstance(described, str):
        return described
    record = AppRecord(
        id=_APP,
        description=described,
        submitted=ctx.now.wall,
        principal=event.principal,
        executor_limit=described.executor_limit,
        cores_max=applications.cores_max(ctx, described),
    )
    return BookedApp(record)
