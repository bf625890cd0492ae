"""What workers report about drivers: that one has started or ended, and, when they register, which go on, which have ended
and which must not run there.

A registration repeats everything since the last acknowledged report, so each report may already be in the books.
"""

from __future__ import annotations

import msgspec

from stoker.core.master import drivers, vouching
from stoker.core.master.arrays import booking
from stoker.core.master.books import Driver, Worker
from stoker.core.master.context import Context
from stoker.core.master.fitness import refusals
from stoker.core.master.waiting import after
from stoker.core.master.waiting.limits import unenforced
from stoker.core.model.lifecycles import ATTEMPT, DRIVER, DRIVER_END, LATE_END, DriverEvent
from stoker.core.model.messages import DriverStateAck, DriverStateChanged, KillDriver
from stoker.core.model.moves import may
from stoker.core.model.records import Attempt, DriverRecord
from stoker.core.model.states import DriverState
from stoker.core.model.values import DriverReport


def state_changed(ctx: Context, worker: Worker, peer: bytes, message: DriverStateChanged) -> None:
    """Book a worker's report on a driver. Final states are acknowledged after the durable write, stale ones at once."""
    if _true_end(ctx, worker, message):
        ctx.send(peer, DriverStateAck(epoch=ctx.epoch, driver_id=message.driver_id, attempt=message.attempt))
        return
    driver = ctx.books.drivers.get(message.driver_id)
    is_current = driver is not None and driver.record.attempt == message.attempt and driver.record.id in worker.drivers
    if driver is None or not is_current:
        _answer_stale(ctx, worker, message.driver_id, message.attempt, message.state)
        return
    event = DRIVER_END.get(message.state, DriverEvent.STARTED)
    if not may(DRIVER, driver.record, event):
        state = f"{driver.record.state.value} and cannot be {message.state.value}"
        ctx.warn_of(worker.record.id, f"dropped a report of {worker.record.id}: {message.driver_id} is {state}")
        return
    if event is DriverEvent.STARTED:
        refusals.started(worker)
        ctx.move(DRIVER, driver.record, event)
        attempt = driver.record.attempts[-1]
        ctx.tally.driver_start.observe(ctx.now.wall - attempt.started)
        attempt.pid, attempt.started, attempt.account = message.pid, ctx.now.wall, message.account
        drivers.changed(ctx, driver)
        return
    if event is DriverEvent.ERROR and message.exit.refused:
        drivers.refused(ctx, driver, worker, message.exit.reason)
    else:
        drivers.ended(ctx, driver, event, message.exit, worker_leaving=worker.leaving)
    ctx.send(peer, DriverStateAck(epoch=ctx.epoch, driver_id=message.driver_id, attempt=message.attempt))


def reported(ctx: Context, worker: Worker, report: DriverReport) -> None:
    """Update the books from a (re-)registering worker's report on a driver."""
    books, peer = ctx.books, worker.peer
    assert peer is not None
    if report.state is DriverState.ERROR and report.exit.refused:
        _refusal_reported(ctx, worker, report)
        return
    if _true_end(ctx, worker, report):
        ctx.send(peer, DriverStateAck(epoch=ctx.epoch, driver_id=report.driver_id, attempt=report.attempt))
        return
    _unclaim(ctx, report)
    driver = books.drivers.get(report.driver_id)
    if _may_adopt(ctx, report):
        driver = _adopt(ctx, report)
    elif driver is None or not _counts(ctx, driver, worker, report) or not _may_run(driver, report):
        if not report.state.is_final:
            description = report.driver
            key = (report.driver_id, report.attempt)
            books.mark_dying(worker, key, description.cores, description.memory_mib, report.resources)
        _answer_stale(ctx, worker, report.driver_id, report.attempt, report.state)
        return
    _bind(ctx, driver, worker, report)
    if report.state.is_final:
        drivers.ended(ctx, driver, DRIVER_END[report.state], report.exit)
        ctx.send(peer, DriverStateAck(epoch=ctx.epoch, driver_id=report.driver_id, attempt=report.attempt))
        return
    driver.record.reason = unenforced(driver.record.description, worker)
    drivers.changed(ctx, driver)
    if driver.record.kill_requested:
        ctx.send(peer, KillDriver(epoch=ctx.epoch, driver_id=report.driver_id, attempt=report.attempt))


def _refusal_reported(ctx: Context, worker: Worker, report: DriverReport) -> None:
    """Book a refusal that a registering worker repeats: its first report, or the answer to it, was lost."""
    books = ctx.books
    driver = books.drivers.get(report.driver_id)
    if _may_adopt(ctx, report):
        driver = _adopt(ctx, report)
        driver.record.refused_attempt = report.attempt
        drivers.enqueue(ctx, driver)
        drivers.changed(ctx, driver)
    elif (
        driver is not None
        and report.attempt == driver.record.attempt
        and vouching.is_placed(worker, driver.record.attempts[-1])
        and may(DRIVER, driver.record, DriverEvent.REFUSED)
    ):
        drivers.refused(ctx, driver, worker, report.exit.reason)
    _answer_stale(ctx, worker, report.driver_id, report.attempt, report.state)


def _unclaim(ctx: Context, report: DriverReport) -> None:
    """Forget what another worker has claimed about this driver without a seal, if this report has one. The driver is then
    adopted from the report; the claim's process, if there is one, is killed when its worker reports it again."""
    books, driver_id = ctx.books, report.driver_id
    claimed = books.drivers.get(driver_id) or books.completed_drivers.get(driver_id)
    if claimed is None or not claimed.record.unsealed or not vouching.has_driver_seal(ctx, report):
        return
    books.release_driver(claimed)
    books.drivers.pop(driver_id, None)
    books.completed_drivers.pop(driver_id, None)
    ctx.log(f"{driver_id} was claimed by a worker without a seal, and is reported with one: the seal counts")


def _counts(ctx: Context, driver: Driver, worker: Worker, report: DriverReport) -> bool:
    """Return whether the report is about the latest attempt, which the books placed there; or about a later one that they
    take for never started, with a seal."""
    record = driver.record
    if record.attempts and report.attempt == record.attempt:
        return vouching.is_placed(worker, record.attempts[-1])
    return report.attempt > record.attempt and vouching.has_driver_seal(ctx, report)


def _may_adopt(ctx: Context, report: DriverReport) -> bool:
    """Return whether to take over a driver that the books do not know. Without a seal, as from a worker of release 0.1.0,
    only one that is running, and ``_adopt`` sees to it that it runs nowhere else."""
    books, driver_id = ctx.books, report.driver_id
    if driver_id in books.drivers or driver_id in books.completed_drivers or driver_id in books.forgotten:
        return False
    is_running, is_sealed = not report.state.is_final, vouching.has_driver_seal(ctx, report)
    if not booking.may_adopt(books, driver_id, is_sealed=is_sealed):
        return False
    return vouching.may_adopt(ctx) and (is_running or is_sealed)


def _may_run(driver: Driver, report: DriverReport) -> bool:
    """Return False for the last attempt of a queued driver: it was given up, so its process must not go on."""
    waiting = driver.record.state in (DriverState.SUBMITTED, DriverState.RELAUNCHING)
    return not (waiting and report.attempt == driver.record.attempt)


def _adopt(ctx: Context, report: DriverReport) -> Driver:
    """Take over a driver that this master does not know: an earlier master without recovery accepted it. Without a seal it is
    for admins, and never started again."""
    is_sealed = vouching.has_driver_seal(ctx, report)
    description = report.driver if is_sealed else msgspec.structs.replace(report.driver, supervise=False)
    record = DriverRecord(
        id=report.driver_id,
        description=description,
        submitted=report.started or ctx.now.wall,
        principal=report.principal if is_sealed else None,
        unsealed=not is_sealed,
    )
    driver = Driver(record)
    ctx.books.drivers[record.id] = driver
    booking.load(ctx.books, driver, [])
    ctx.books.reserve_id(record.id)
    ctx.save_counters()
    ctx.log(f"took over {record.id} from its worker")
    return driver


def _bind(ctx: Context, driver: Driver, worker: Worker, report: DriverReport) -> None:
    ctx.books.release_driver(driver)
    booking.unqueue(ctx.books, report.driver_id)  # the books took it for never started
    after.forget(ctx.books, driver)
    driver.relaunch_at = None
    record = driver.record
    if report.attempt > record.attempt:
        record.attempts.append(Attempt(number=report.attempt, worker_id="", worker_host=""))
    attempt = record.attempts[-1]
    attempt.worker_id, attempt.worker_host = worker.record.id, worker.record.host
    attempt.worker_key, attempt.resources = worker.record.key, report.resources
    ctx.move(DRIVER, record, DriverEvent.REPORTED)
    ctx.move(ATTEMPT, attempt, DriverEvent.REPORTED)
    attempt.pid, attempt.account = report.pid, report.account
    attempt.started = report.started or attempt.started
    assert worker.peer is not None
    driver.launched_via = worker.peer
    ctx.books.place_driver(driver, worker)


def _answer_stale(ctx: Context, worker: Worker, driver_id: str, attempt: int, state: DriverState) -> None:
    """Answer a report about an attempt that has ended in the books."""
    if not state.is_final:
        text = f"{driver_id} attempt {attempt} on {worker.record.id} was given up earlier: killing it"
        ctx.warn_of(worker.record.id, text)
        ctx.send(worker.peer, KillDriver(epoch=ctx.epoch, driver_id=driver_id, attempt=attempt))
        return
    if ctx.books.release_dying(worker, (driver_id, attempt)):
        ctx.schedule_wanted = True
    ctx.send(worker.peer, DriverStateAck(epoch=ctx.epoch, driver_id=driver_id, attempt=attempt))


def _true_end(ctx: Context, worker: Worker, report: DriverStateChanged | DriverReport) -> bool:
    """Book the end of an unsupervised driver that was given up with its worker, if the report is about that very attempt and
    the worker of its host knows how it ended. Return whether it did."""
    driver, event = ctx.books.completed_drivers.get(report.driver_id), DRIVER_END.get(report.state)
    if driver is None or event is None or not driver.record.attempts:
        return False
    record, attempt = driver.record, driver.record.attempts[-1]
    if not attempt.lost or attempt.number != report.attempt or attempt.worker_host != worker.record.host:
        return False
    if not vouching.is_placed(worker, attempt):
        return False
    if not (may(LATE_END, record, event) and may(LATE_END, attempt, event)):
        return False
    ctx.move(LATE_END, attempt, event)
    ctx.move(LATE_END, record, event)
    attempt.exit, attempt.lost = report.exit, False
    if ctx.books.release_dying(worker, (report.driver_id, report.attempt)):
        ctx.schedule_wanted = True
    record.reason = "" if event is DriverEvent.FINISHED else report.exit.reason
    booking.ended(ctx.books, driver)
    ctx.log(f"{record.id} was given up, and is {record.state.value}: {worker.record.id} knows its end")
    drivers.changed(ctx, driver)
    return True
