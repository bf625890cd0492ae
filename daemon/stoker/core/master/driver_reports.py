"""What a registering worker reports about drivers: which go on, which have ended, and which must not run there.

A registration repeats everything since the last acknowledged report, so each report may already be in the books.
"""

from __future__ import annotations

from stoker.core.master import drivers
from stoker.core.master.books import Driver, Worker
from stoker.core.master.context import Context
from stoker.core.model.lifecycles import ATTEMPT, DRIVER, DRIVER_END, DriverEvent
from stoker.core.model.messages import DriverStateAck, KillDriver
from stoker.core.model.moves import may
from stoker.core.model.records import Attempt, DriverRecord
from stoker.core.model.states import DriverState
from stoker.core.model.values import DriverReport


def reported(ctx: Context, worker: Worker, report: DriverReport) -> None:
    """Update the books from a (re-)registering worker's report on a driver."""
    books, peer = ctx.books, worker.peer
    assert peer is not None
    if report.state is DriverState.ERROR and report.exit.refused:
        _refusal_reported(ctx, worker, report)
        return
    if drivers.true_end(ctx, worker, report):
        ctx.send(peer, DriverStateAck(epoch=ctx.epoch, driver_id=report.driver_id, attempt=report.attempt))
        return
    driver = books.drivers.get(report.driver_id)
    if driver is None and report.driver_id not in books.completed_drivers and report.driver_id not in books.forgotten:
        driver = _adopt(ctx, report)
    elif driver is None or report.attempt < driver.record.attempt or not _may_run(driver, report):
        if not report.state.is_final:
            description = report.driver
            books.mark_dying(worker, (report.driver_id, report.attempt), description.cores, description.memory_mib)
        drivers.answer_stale(ctx, worker, report.driver_id, report.attempt, report.state)
        return
    _bind(ctx, driver, worker, report)
    if report.state.is_final:
        drivers.ended(ctx, driver, DRIVER_END[report.state], report.exit)
        ctx.send(peer, DriverStateAck(epoch=ctx.epoch, driver_id=report.driver_id, attempt=report.attempt))
        return
    driver.record.reason = ""
    drivers.changed(ctx, driver)
    if driver.record.kill_requested:
        ctx.send(peer, KillDriver(epoch=ctx.epoch, driver_id=report.driver_id, attempt=report.attempt))


def _refusal_reported(ctx: Context, worker: Worker, report: DriverReport) -> None:
    """Book a refusal that a registering worker repeats: its first report, or the answer to it, was lost."""
    books = ctx.books
    driver = books.drivers.get(report.driver_id)
    if driver is None and report.driver_id not in books.completed_drivers and report.driver_id not in books.forgotten:
        driver = _adopt(ctx, report)
        driver.record.refused_attempt = report.attempt
        drivers.enqueue(ctx, driver)
        drivers.changed(ctx, driver)
    elif (
        driver is not None
        and report.attempt == driver.record.attempt
        and may(DRIVER, driver.record, DriverEvent.REFUSED)
    ):
        drivers.refused(ctx, driver, worker, report.exit.reason)
    drivers.answer_stale(ctx, worker, report.driver_id, report.attempt, report.state)


def _may_run(driver: Driver, report: DriverReport) -> bool:
    """Return False for the last attempt of a queued driver: it was given up, so its process must not go on."""
    waiting = driver.record.state in (DriverState.SUBMITTED, DriverState.RELAUNCHING)
    return not (waiting and report.attempt == driver.record.attempt)


def _adopt(ctx: Context, report: DriverReport) -> Driver:
    """Take over a driver that this master does not know: an earlier master without recovery accepted it."""
    record = DriverRecord(
        id=report.driver_id,
        description=report.driver,
        submitted=report.started or ctx.now.wall,
        principal=report.principal,
    )
    driver = Driver(record)
    ctx.books.drivers[record.id] = driver
    ctx.books.reserve_id(record.id)
    ctx.save_counters()
    ctx.log(f"took over {record.id} from its worker")
    return driver


def _bind(ctx: Context, driver: Driver, worker: Worker, report: DriverReport) -> None:
    ctx.books.release_driver(driver)
    ctx.books.queue.remove(report.driver_id)  # the books took it for never started
    ctx.books.relaunching.discard(report.driver_id)
    driver.relaunch_at = None
    record = driver.record
    if report.attempt > record.attempt:
        record.attempts.append(Attempt(number=report.attempt, worker_id="", worker_host=""))
    attempt = record.attempts[-1]
    attempt.worker_id, attempt.worker_host = worker.record.id, worker.record.host
    ctx.move(DRIVER, record, DriverEvent.REPORTED)
    ctx.move(ATTEMPT, attempt, DriverEvent.REPORTED)
    attempt.pid = report.pid
    attempt.started = report.started or attempt.started
    assert worker.peer is not None
    driver.launched_via = worker.peer
    ctx.books.place_driver(driver, worker)
