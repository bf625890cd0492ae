"""Make the immutable views of ``core.model.views`` from the master's books. Views are cached until their content changes,
so a status of 10,000 drivers costs little more than its encoding."""

from __future__ import annotations

from stoker.core.master.arrays.summary import counts_of, state_of
from stoker.core.master.books import BookedApp, Driver, Worker
from stoker.core.master.context import Context
from stoker.core.master.sharing.reserving import reservation_views
from stoker.core.master.sharing.show import pool_views
from stoker.core.model.messages import Scheduling
from stoker.core.model.records import Attempt, ExecutorRecord
from stoker.core.model.redaction import redacted
from stoker.core.model.resources import grouped
from stoker.core.model.states import DriverState
from stoker.core.model.values import UNLIMITED
from stoker.core.model.views import AppView, AttemptView, ClusterView, DriverView, ExecutorView, WorkerView


def cluster_view(ctx: Context) -> ClusterView:
    """Return a view of the whole cluster."""
    books = ctx.books
    return ClusterView(
        url=ctx.url,
        state=ctx.state,
        epoch=ctx.epoch,
        version=ctx.version,
        workers=tuple(worker_view(worker) for worker in books.workers.values()),
        active_drivers=tuple(driver_view(driver) for driver in books.drivers.values()),
        completed_drivers=tuple(driver_view(driver) for driver in books.completed_drivers.values()),
        active_apps=tuple(app_view(app) for app in books.apps.values()),
        completed_apps=tuple(app_view(app) for app in books.completed_apps.values()),
        webui_url=ctx.webui_url,
        warnings=tuple(warning for warning in (*ctx.faults, ctx.rival) if warning),
        pools=pool_views(ctx),
        max_drivers=None if ctx.policy.max_drivers >= UNLIMITED else ctx.policy.max_drivers,
        reservations=reservation_views(ctx),
        shadow=ctx.shadow,
    )


def scheduling(ctx: Context, request: int, principal: str) -> Scheduling:
    """Return what a forecast for this principal needs besides a view of the cluster (core.forecast)."""
    return Scheduling(
        request=request,
        at=ctx.now.wall,
        policy=ctx.policy,
        pools=ctx.pools,
        usage=tuple(ctx.books.accounts.past_uses()),
        principal=principal,
    )


def worker_view(worker: Worker) -> WorkerView:
    """Return the last view while it still holds, so that views can be compared by identity."""
    record = worker.record
    view = WorkerView(
        id=record.id,
        host=record.host,
        port=record.port,
        state=record.state,
        cores=record.cores,
        cores_used=worker.cores_used,
        memory_mib=record.memory_mib,
        memory_used_mib=worker.memory_used,
        webui_url=record.webui_url,
        last_heartbeat=record.last_heartbeat,
        version=record.version,
        draining=record.drain.draining,
        running=len(worker.drivers) + len(worker.executors) + len(worker.dying),
        refusal=worker.refusal,
        avoided=worker.avoided_until is not None,
        drain=record.drain.order,
        resources=record.resources,
        resources_used=grouped(worker.held),
        keeper_release=worker.keeper_release,
        unfit=worker.unfit,
        drain_reason=record.drain.reason,
        drain_until=record.drain.until,
        limits=worker.limits,
        run_as=worker.run_as,
        users_fault=worker.users_fault,
    )
    if view != worker.view:
        worker.view = view
    return worker.view or view


def driver_view(driver: Driver) -> DriverView:
    if driver.view is not None:
        return driver.view
    record, description = driver.record, driver.record.description
    last = record.attempts[-1] if record.attempts else None
    placed = last is not None and record.state not in (DriverState.SUBMITTED, DriverState.RELAUNCHING)
    tasks = driver.tasks
    driver.view = DriverView(
        id=record.id,
        name=description.name or description.main,
        state=record.state if tasks is None or record.state.is_final else state_of(tasks, range(len(tasks))),
        submitted=record.submitted,
        cores=description.cores,
        memory_mib=description.memory_mib,
        main=description.main,
        main_class=description.main_class,
        args=redacted(description.args),
        user=description.user,
        supervise=description.supervise,
        started=last.started if last else 0.0,
        ended=record.ended,
        worker_id=last.worker_id if last and placed else "",
        worker_host=last.worker_host if last and placed else "",
        reason=record.reason,
        attempts=tuple(_attempt_view(attempt) for attempt in record.attempts),
        principal=record.principal or "",
        kill=record.kill,
        resources=description.resources,
        pool=description.pool,
        priority=description.priority or 0,
        time_limit=description.time_limit,
        hold=record.hold,
        after=description.after,
        after_end=description.after_end,
        awaits=record.awaits,
        max_disk_mib=description.max_disk_mib,
        array=None if tasks is None else counts_of(tasks, range(len(tasks))),
    )
    return driver.view


def _attempt_view(attempt: Attempt) -> AttemptView:
    return AttemptView(
        number=attempt.number,
        worker_id=attempt.worker_id,
        state=attempt.state,
        started=attempt.started,
        ended=attempt.ended,
        pid=attempt.pid,
        exit=attempt.exit,
        resources=attempt.resources,
        account=attempt.account,
    )


def executor_view(executor: ExecutorRecord) -> ExecutorView:
    return ExecutorView(
        id=executor.id,
        worker_id=executor.worker_id,
        host=executor.worker_host,
        cores=executor.cores,
        memory_mib=executor.memory_mib,
        state=executor.state,
        started=executor.started,
        ended=executor.ended,
        pid=executor.pid,
        exit=executor.exit,
        resources=executor.resources,
        profile=executor.profile,
        account=executor.account,
    )


def app_view(app: BookedApp) -> AppView:
    if app.view is not None:
        return app.view
    record, description = app.record, app.record.description
    app.view = AppView(
        id=record.id,
        name=description.name,
        user=description.user,
        state=record.state,
        submitted=record.submitted,
        ended=record.ended,
        cores_granted=app.cores_granted,
        cores_max=None if record.cores_max >= UNLIMITED else record.cores_max,
        cores_per_executor=description.cores_per_executor,
        memory_mib=description.memory_mib,
        executor_limit=None if record.executor_limit >= UNLIMITED else record.executor_limit,
        ui_url=description.ui_url,
        reason=record.reason,
        executors=tuple(executor_view(executor) for executor in app.executors.values()),
        removed_executors=tuple(executor_view(executor) for executor in app.removed),
        principal=record.principal or "",
        kill=record.kill,
        resources=description.resources,
        pool=description.pool,
        priority=description.priority or 0,
        time_limit=description.time_limit,
        hold=record.hold,
        profiles=record.profiles,
        finite=description.finite,
        cores_done=record.cores_done,
        max_disk_mib=description.max_disk_mib,
        at_once=app.at_once if app.at_once > 1 else 0,
    )
    return app.view
