"""Workers' reports on executors (started, ended, still running after a reconnection), and their consequences for the
application: the executor is replaced after a back-off, or the application has failed or finished (spec 10.5)."""

from __future__ import annotations

from collections.abc import Iterable

from stoker.core.master import applications, executors, vouching
from stoker.core.master.books import BookedApp, Worker
from stoker.core.master.context import Context
from stoker.core.master.fitness import refusals
from stoker.core.model.lifecycles import APPLICATION, EXECUTOR, EXECUTOR_REPORT, ApplicationEvent, ExecutorEvent
from stoker.core.model.messages import ExecutorStateAck, ExecutorStateChanged, KillExecutor
from stoker.core.model.moves import may
from stoker.core.model.records import ExecutorRecord
from stoker.core.model.states import ExecutorState
from stoker.core.model.values import ExecutorReport, Exit


def state_changed(ctx: Context, worker: Worker, peer: bytes, message: ExecutorStateChanged) -> None:
    """Book a worker's report on an executor. Final states are acknowledged after the durable write, stale ones at once."""
    app = ctx.books.apps.get(message.app_id)
    executor = app.executors.get(message.executor_id) if app is not None else None
    if app is None or executor is None or (message.app_id, message.executor_id) not in worker.executors:
        _answer_stale(ctx, worker, message.app_id, message.executor_id, message.state)
        return
    event = EXECUTOR_REPORT.get(message.state)
    if event is None or not may(EXECUTOR, executor, event):
        _drop(ctx, worker, message.app_id, message.executor_id, message.state)
        return
    if event is ExecutorEvent.STARTED:
        refusals.started(worker)
        ctx.move(EXECUTOR, executor, event)
        ctx.tally.executor_start.observe(ctx.now.wall - executor.started)
        executor.pid, executor.account, app.view = message.pid, message.account, None
        ctx.save_executor(executor)
        executors.tell(ctx, app, executor)
        return
    if event is ExecutorEvent.FAILED and message.exit.refused:
        refused(ctx, app, executor, worker, message.exit)
    else:
        ended(ctx, app, executor, event, message.exit)
    _acknowledge(ctx, peer, message.app_id, message.executor_id)


def _drop(ctx: Context, worker: Worker, app_id: str, executor_id: int, state: ExecutorState) -> None:
    text = f"dropped a report of {worker.record.id}: {app_id}/{executor_id} cannot be {state.value}"
    ctx.warn_of(worker.record.id, text)


def _acknowledge(ctx: Context, peer: bytes | None, app_id: str, executor_id: int) -> None:
    ctx.send(peer, ExecutorStateAck(epoch=ctx.epoch, app_id=app_id, executor_id=executor_id))


def _answer_stale(ctx: Context, worker: Worker, app_id: str, executor_id: int, state: ExecutorState) -> None:
    """Answer a report about an executor that has ended in the books."""
    if not state.is_final:
        ctx.send(worker.peer, KillExecutor(epoch=ctx.epoch, app_id=app_id, executor_id=executor_id))
        return
    if ctx.books.release_dying(worker, (app_id, executor_id)):
        ctx.schedule_wanted = True
    _acknowledge(ctx, worker.peer, app_id, executor_id)


def refused(ctx: Context, app: BookedApp, executor: ExecutorRecord, worker: Worker, exit: Exit) -> None:
    """Replace an executor that its worker could not start, though the executor is not the cause. It counts neither as a
    failure nor towards the share of a finite application."""
    refusals.refused(ctx, worker, f"{app.record.id}/{executor.id}", exit.reason)
    executors.close(ctx, app, executor, ExecutorEvent.LOST, exit)


def ended(ctx: Context, app: BookedApp, executor: ExecutorRecord, event: ExecutorEvent, exit: Exit) -> None:
    """Book an executor's end, count a failure, and fail its application or replace the executor later."""
    ran = ctx.now.wall - executor.started
    executors.close(ctx, app, executor, event, exit)
    record = app.record
    if record.description.finite:
        if event is not ExecutorEvent.KILLED:
            record.cores_done += executor.cores
            record.failures += not exit.is_success
        ctx.save_app(record)
    if exit.expired and event is not ExecutorEvent.KILLED:
        applications.finish(ctx, app, ApplicationEvent.FAILED, exit.reason)  # a replacement would begin its time anew
        return
    if record.description.finite:
        applications.finish_if_done(ctx, app)
        return
    if exit.is_success or event is ExecutorEvent.KILLED:
        return
    if ran > ctx.policy.supervise_healthy_run:
        # Not at RUNNING as Spark does: a command that crashes right after its start would never be given up.
        app.retries = 0
    app.retries += 1
    limit = ctx.policy.max_executor_retries
    running = any(other.state is ExecutorState.RUNNING for other in app.executors.values())
    if 0 <= limit <= app.retries and not running:
        reason = f"{app.retries} executors failed in a row, the last: {exit.reason or exit.status}"
        applications.finish(ctx, app, ApplicationEvent.FAILED, reason)
        return
    delay = min(ctx.policy.executor_backoff_first * 2.0 ** min(app.retries - 1, 30), ctx.policy.executor_backoff_cap)
    app.not_before = ctx.now.mono + delay * (0.75 + 0.5 * ctx.rng.random())
    ctx.wake_at(app.not_before, "schedule")


# --- what a registering worker reports -------------------------------------------------------------------------------


def possible(ctx: Context, worker: Worker, reports: Iterable[ExecutorReport]) -> list[ExecutorReport]:
    """Return the reports, without those of states that a worker cannot report; their executors count as missing."""
    found = []
    for report in reports:
        if report.state is ExecutorState.LAUNCHING or report.state in EXECUTOR_REPORT:
            found.append(report)
        else:
            _drop(ctx, worker, report.app_id, report.executor_id, report.state)
    return found


def reported(ctx: Context, worker: Worker, report: ExecutorReport) -> None:
    """Update the books from a (re-)registering worker's report on an executor."""
    books = ctx.books
    if not _counts(ctx, worker, report):
        _refuse(ctx, worker, report)
        return
    books.reserve_executor_id(report.app_id, report.executor_id)
    app = books.apps.get(report.app_id)
    if app is not None and _is_of_another(app, report):
        assert report.principal is not None
        applications.taken_from(ctx, app, report.principal)
        app = None
    if report.state is ExecutorState.FAILED and report.exit.refused:
        _refusal_reported(ctx, app, worker, report)
        return
    if app is None:
        counts = not report.state.is_final or report.app.finite
        is_over = report.app_id in books.completed_apps or report.app_id in books.forgotten
        if is_over or not counts or not vouching.may_adopt(ctx):
            _refuse(ctx, worker, report)
            return
        app = applications.adopt(ctx, report.app_id, report.app, report.principal)
    executor = app.executors.get(report.executor_id)
    if executor is None and not (_is_news(app, report) if report.state.is_final else _has_room(app, report)):
        _refuse(ctx, worker, report)
        return
    if executor is not None and _is_as_booked(executor, worker, report):
        assert worker.peer is not None
        app.launched_via[executor.id] = worker.peer
        return
    executor = _bind(ctx, app, executor, worker, report)
    if report.state.is_final:
        ended(ctx, app, executor, EXECUTOR_REPORT[report.state], report.exit)
        _acknowledge(ctx, worker.peer, report.app_id, report.executor_id)
        return
    ctx.save_executor(executor)
    ctx.save_app(app.record)
    executors.announce(ctx, app, executor)


def _counts(ctx: Context, worker: Worker, report: ExecutorReport) -> bool:
    """Return whether the report is about an executor that the books placed there, or that they do not know and that has a
    seal."""
    app = ctx.books.find_app(report.app_id)
    booked = None if app is None else app.executors.get(report.executor_id)
    if app is not None and booked is None:
        booked = next((executor for executor in app.removed if executor.id == report.executor_id), None)
    return vouching.has_executor_seal(ctx, report) if booked is None else vouching.is_placed(worker, booked)


def _is_of_another(app: BookedApp, report: ExecutorReport) -> bool:
    """Return True if the application was registered by somebody else than the one whose executor this is, and this master
    has not known it before: then an earlier master knew better."""
    is_claimed = app.taken_over and app.record.principal is not None
    return is_claimed and report.principal is not None and report.principal != app.record.principal


def _refusal_reported(ctx: Context, app: BookedApp | None, worker: Worker, report: ExecutorReport) -> None:
    """Book a refusal that a registering worker repeats: its first report, or the answer to it, was lost."""
    executor = app.executors.get(report.executor_id) if app is not None else None
    if app is not None and executor is not None:
        refused(ctx, app, executor, worker, report.exit)
    _answer_stale(ctx, worker, report.app_id, report.executor_id, report.state)


def _refuse(ctx: Context, worker: Worker, report: ExecutorReport) -> None:
    if not report.state.is_final:
        key = (report.app_id, report.executor_id)
        ctx.books.mark_dying(worker, key, report.cores, report.memory_mib, report.resources)
    _answer_stale(ctx, worker, report.app_id, report.executor_id, report.state)


def _is_news(app: BookedApp, report: ExecutorReport) -> bool:
    """Return True for an executor of a finite application that ended while no master could book it."""
    booked = any(executor.id == report.executor_id for executor in app.removed)
    return app.taken_over and app.record.description.finite and not booked


def _is_as_booked(executor: ExecutorRecord, worker: Worker, report: ExecutorReport) -> bool:
    """Return True if the report changes nothing in the books, so that nothing is recorded or sent: most reports after a
    fail-over are like this."""
    booked = (executor.state, executor.pid, executor.cores, executor.memory_mib, executor.resources)
    told = (report.state, report.pid, report.cores, report.memory_mib, report.resources)
    is_here = executor.worker_id == worker.record.id and executor.account == report.account
    return is_here and booked == told


def _has_room(app: BookedApp, report: ExecutorReport) -> bool:
    """Return True if an executor that was booked as lost but is alive can be taken back: its replacement does not run
    yet. An executor that was killed while its worker was unreachable cannot be taken back, nor one that a Spark driver knows
    to be lost: the driver never sends such an executor a task again (ADR 4)."""
    over = {old.state for old in app.removed if old.id == report.executor_id}
    if ExecutorState.KILLED in over or (over and app.record.description.spark is not None):
        return False
    profile = app.profile(report.app.profile)
    limit = app.record.executor_limit if profile is None else profile.executor_limit
    return report.cores <= app.cores_left and app.executors_of(report.app.profile) < limit


def _bind(
    ctx: Context, app: BookedApp, executor: ExecutorRecord | None, worker: Worker, report: ExecutorReport
) -> ExecutorRecord:
    if executor is not None:
        ctx.books.release_executor(app, executor)
    else:
        for old in [old for old in app.removed if old.id == report.executor_id]:
            app.removed.remove(old)
    record = ExecutorRecord(
        app_id=report.app_id,
        id=report.executor_id,
        worker_id=worker.record.id,
        worker_host=worker.record.host,
        cores=report.cores,
        memory_mib=report.memory_mib,
        started=report.started,
        pid=report.pid,
        worker_key=worker.record.key,
        resources=report.resources,
        profile=report.app.profile,
        account=report.account,
    )
    if report.state is not ExecutorState.LAUNCHING:
        ctx.move(EXECUTOR, record, ExecutorEvent.STARTED)
    ctx.move(APPLICATION, app.record, ApplicationEvent.GRANTED)
    assert worker.peer is not None
    app.launched_via[record.id] = worker.peer
    ctx.books.place_executor(app, record, worker)
    return record
