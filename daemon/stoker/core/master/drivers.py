"""The life of a driver in the master's books (spec 11): submitted, placed, ended, restarted, killed.

A driver keeps its submission id; every launch is a new *attempt*, and only the latest attempt counts. Reports about
earlier ones are answered so that the worker cleans up, and change nothing.
"""

from __future__ import annotations

import msgspec

from stoker.core.master import vouching, watching
from stoker.core.master.arrays import booking
from stoker.core.master.books import Driver, Worker
from stoker.core.master.context import Context
from stoker.core.master.effects import Received
from stoker.core.master.fitness import refusals
from stoker.core.master.history import trim_drivers
from stoker.core.master.sharing import admission
from stoker.core.master.show import driver_view
from stoker.core.master.waiting import after
from stoker.core.master.waiting.limits import unenforced
from stoker.core.model.lifecycles import ARRAY, ATTEMPT, DRIVER, DriverEvent
from stoker.core.model.messages import (
    Accepted,
    DriverUpdate,
    Failed,
    KillDriver,
    LaunchDriver,
    SubmitDriver,
    Submitted,
)
from stoker.core.model.pools import requested_by_driver
from stoker.core.model.principal import Asker, belongs_to
from stoker.core.model.records import ArrayRecord, Attempt, DriverRecord
from stoker.core.model.states import DriverState
from stoker.core.model.values import DriverDescription, Exit, Order

ATTEMPTS_KEPT = 50  # of a driver's history; the record of a service that restarts for years must not grow without limit


def submit(ctx: Context, event: Received, message: SubmitDriver) -> None:
    """Queue a new driver. A repeated token returns the driver that its first submission made."""
    books, peer = ctx.books, event.peer
    known = books.tokens.get(message.token)
    driver = books.find_driver(known) if known is not None else None
    is_repeated = driver is not None
    if driver is None:
        described = after.unknown(books, message.driver) or in_pool(ctx, message.driver, event.asker)
        if isinstance(described, str):
            ctx.send(peer, Failed(request=message.request, reason=described))
            return
        record = (ArrayRecord if described.array else DriverRecord)(
            id=books.new_driver_id(ctx.now.wall),
            description=described,
            submitted=ctx.now.wall,
            token=message.token,
            owner=event.key,
            principal=event.principal,
            hold=event.asker.order(ctx.now.wall) if message.driver.hold else None,
        )
        driver = booking.add(books, record)
        ctx.tally.drivers_submitted += booking.size_of(described)
        ctx.save_counters()
        begin(ctx, driver, described.after)
    if message.watch:
        watching.add(ctx, driver, peer, message.request)
    driver_id = driver.record.id
    text, tasks = f"Driver successfully submitted as {driver_id}", 0 if driver.tasks is None else len(driver.tasks)
    ctx.send(peer, Submitted(request=message.request, driver_id=driver_id, text=text, tasks=tasks))
    if message.watch and (is_repeated or driver.record.state.is_final):  # perhaps no change will follow
        ctx.send(peer, DriverUpdate(request=message.request, driver=driver_view(driver)))


def in_pool(ctx: Context, driver: DriverDescription, by: Asker) -> DriverDescription | str:
    """Return the driver with its pool and priority, or why it is refused."""
    if why := booking.refusal(ctx.books, driver):
        return why
    request = requested_by_driver(driver.pool, driver.priority, driver.conf, or_pool=by.pool)
    assigned = admission.assigned(ctx.pools, driver, request, by)
    if isinstance(assigned, str) or not ctx.pools.is_configured:
        return assigned
    too_many = admission.too_many_queued(
        ctx.pools,
        assigned.pool,
        by.principal,
        in_pool=ctx.books.waiting_drivers(assigned.pool),
        of_principal=ctx.books.waiting_drivers(assigned.pool, by.principal),
        more=booking.size_of(driver),
    )
    return too_many or assigned


def begin(ctx: Context, driver: Driver, parents: tuple[str, ...]) -> None:
    """Queue a driver that is to start after these ``parents``, or end it if it can never start."""
    why = after.begin(ctx.books, driver, parents)
    if why:
        finish(ctx, driver, DriverEvent.KILLED, why)
    else:
        enqueue(ctx, driver)
        ctx.save_driver(driver.record)


def enqueue(ctx: Context, driver: Driver, *, first: bool = False) -> None:
    """Put a SUBMITTED driver into the queue, unless it is held or awaits others; ``first``: at its head."""
    record = driver.record
    driver.relaunch_at = None
    driver.queued_at = ctx.now.wall if record.attempts else record.submitted
    ctx.books.relaunching.discard(record.id)
    if booking.queue(ctx.books, driver):
        pass  # an array, or a task of one
    elif record.hold is not None or record.awaits:
        ctx.books.parked.add(record.id, driver.account)
    else:
        ctx.books.queue.push(record.id, driver.lane, first=first)
    ctx.schedule_wanted = True  # also when it is parked: it may have counted for spark.deploy.maxDrivers


def launch(ctx: Context, driver: Driver, worker: Worker) -> None:
    """Place the driver on the worker. It is RUNNING at once, as in Spark (spec 10.1); the worker reports a refusal."""
    assert worker.peer is not None
    record = driver.record
    attempt = Attempt(
        number=max(record.attempt, record.refused_attempt) + 1,
        worker_id=worker.record.id,
        worker_host=worker.record.host,
        started=ctx.now.wall,
        worker_key=worker.record.key,
        resources=worker.lowest_free(record.description.resources),
    )
    ctx.tally.driver_attempts += 1
    ctx.tally.driver_wait.observe(ctx.now.wall - driver.queued_at)
    record.attempts.append(attempt)
    del record.attempts[:-ATTEMPTS_KEPT]
    ctx.move(DRIVER, record, DriverEvent.PLACED)
    record.reason = unenforced(record.description, worker)
    driver.evicted = ""
    driver.launched_via = worker.peer
    ctx.books.place_driver(driver, worker)
    changed(ctx, driver)
    command = LaunchDriver(
        epoch=ctx.epoch,
        driver_id=record.id,
        attempt=attempt.number,
        driver=record.description,
        principal=record.principal,
        resources=attempt.resources,
    )
    seal = vouching.driver_seal(ctx.secret, command)
    ctx.send(worker.peer, msgspec.structs.replace(command, seal=seal))


def ended(ctx: Context, driver: Driver, event: DriverEvent, exit: Exit, *, worker_leaving: bool = False) -> None:
    """Book the end of the latest attempt, by itself or by a kill; then restart or finish the driver."""
    record = driver.record
    attempt = record.attempts[-1]
    ctx.move(ATTEMPT, attempt, event)
    attempt.exit, attempt.ended = exit, ctx.now.wall
    ctx.books.release_driver(driver)
    ctx.schedule_wanted = True
    if record.kill_requested:
        finish(ctx, driver, DriverEvent.KILLED, killed_by(record))
    elif exit.is_over_limit:
        finish(ctx, driver, event, exit.reason)  # a supervised one would only reach its limit again
    elif exit.is_success:
        finish(ctx, driver, DriverEvent.FINISHED, "")
    elif worker_leaving:
        lost(ctx, driver, "its worker was stopped")
    elif event is DriverEvent.KILLED and (why := _evicted(ctx, driver)):
        _go_elsewhere(ctx, driver, why)
    elif record.description.supervise and event in (DriverEvent.FAILED, DriverEvent.ERROR):
        _restart(ctx, driver, attempt, exit)
    else:
        finish(ctx, driver, event, exit.reason)


def _evicted(ctx: Context, driver: Driver) -> str:
    """Return why nobody asked for this kill: the deadline of its worker's drain has come, also under an earlier master."""
    worker = ctx.books.workers.get(driver.record.attempts[-1].worker_id)
    if driver.evicted or worker is None or not worker.record.drain.is_overdue(ctx.now.wall):
        return driver.evicted
    return worker.record.drain.why(worker.record.address)


def _go_elsewhere(ctx: Context, driver: Driver, why: str) -> None:
    record = driver.record
    if not record.description.supervise:
        finish(ctx, driver, DriverEvent.KILLED, why)
        return
    ctx.tally.driver_restarts["drained"] += 1
    ctx.move(DRIVER, record, DriverEvent.REQUEUED)
    enqueue(ctx, driver)
    record.reason = why
    changed(ctx, driver)


def _restart(ctx: Context, driver: Driver, attempt: Attempt, exit: Exit) -> None:
    """Restart a supervised driver after 1, 2, 4 ... seconds, capped; a run of over 5 s resets the series (spec 11.3)."""
    record, policy = driver.record, ctx.policy
    limit = record.description.max_restarts
    if 0 <= limit <= record.restarts:
        finish(ctx, driver, DriverEvent.FAILED, f"{exit.reason}; gave up after {limit} restarts")
        return
    if attempt.ended - attempt.started > policy.supervise_healthy_run or record.backoff <= 0:
        record.backoff = policy.supervise_backoff_first
    wait = min(record.backoff, policy.supervise_backoff_cap)
    record.backoff = min(2 * wait, policy.supervise_backoff_cap)
    record.restarts += 1
    ctx.tally.driver_restarts["failed"] += 1
    ctx.move(DRIVER, record, DriverEvent.RESTART_LATER)
    record.reason = f"{exit.reason}; restart {record.restarts} in {wait:g} s"
    ctx.books.relaunching.add(record.id)
    driver.relaunch_at = ctx.now.mono + wait
    ctx.wake_at(driver.relaunch_at, f"relaunch {record.id}")
    changed(ctx, driver)


def relaunch_due(ctx: Context, driver_id: str) -> None:
    driver = ctx.books.drivers.get(driver_id)
    if driver is not None and driver.relaunch_at is not None and driver.relaunch_at <= ctx.now.mono:
        ctx.move(DRIVER, driver.record, DriverEvent.BACKOFF_ENDED)
        enqueue(ctx, driver)
        changed(ctx, driver)


def worker_disconnected(ctx: Context, driver: Driver) -> None:
    """Note that its worker is unreachable. The process may be alive there, so it is started nowhere else for now."""
    driver.launched_via = (
        b""  # if the worker registers again on the same connection, it has received what was under way
    )
    ctx.move(DRIVER, driver.record, DriverEvent.WORKER_UNREACHABLE)
    driver.record.reason = "its worker is unreachable"
    changed(ctx, driver)


def lost(ctx: Context, driver: Driver, why: str) -> None:
    """Give up the latest attempt with its worker: supervised drivers run again elsewhere, others end as ERROR."""
    record = driver.record
    attempt = record.attempts[-1]
    if not attempt.state.is_final:
        ctx.move(ATTEMPT, attempt, DriverEvent.ERROR)
        attempt.exit, attempt.ended, attempt.lost = Exit(reason=why), ctx.now.wall, True
    ctx.books.release_driver(driver)
    if record.kill_requested:
        finish(ctx, driver, DriverEvent.KILLED, killed_by(record))
    elif record.description.supervise:
        ctx.tally.driver_restarts["worker_lost"] += 1
        ctx.move(DRIVER, record, DriverEvent.REQUEUED)
        enqueue(ctx, driver)
        record.reason = why
        changed(ctx, driver)
    else:
        finish(ctx, driver, DriverEvent.ERROR, why)


UNPROVED = "its worker reported it to a master that did not know it, without a seal: it runs nowhere else"


def never_started(ctx: Context, driver: Driver, *, surely: bool, renumber: bool = False) -> None:
    """Put the driver back at the head of the queue (unless it is to be killed): its launch command did not reach the
    worker, because the connection was lost first.

    ``surely`` is False if the worker's daemon and its keeper were both restarted meanwhile: the earlier ones may have started
    the driver without reporting it. A supervised driver is then a new attempt; one that is not supervised runs at most once,
    so it is given up (spec 11.3).
    """
    record = driver.record
    if record.unsealed:
        lost(ctx, driver, UNPROVED)
        return
    if not surely and not record.description.supervise:
        lost(ctx, driver, "its worker and its keeper were restarted before they reported the start: it may have run")
        return
    ctx.books.release_driver(driver)
    attempt = record.attempts[-1]
    if surely:
        record.refused_attempt = max(record.refused_attempt, attempt.number) if renumber else record.refused_attempt
        record.attempts.pop()
    else:
        ctx.move(ATTEMPT, attempt, DriverEvent.ERROR)
        attempt.ended = ctx.now.wall
        attempt.exit = Exit(reason="its worker was restarted before it reported the start")
    if record.kill_requested:
        finish(ctx, driver, DriverEvent.KILLED, killed_by(record))
    else:
        ctx.move(DRIVER, record, DriverEvent.NEVER_STARTED)
        enqueue(ctx, driver, first=True)
        changed(ctx, driver)


def refused(ctx: Context, driver: Driver, worker: Worker, reason: str) -> None:
    """Put the driver back at the head of the queue (unless it is to be killed): its worker could not start it, and the
    driver is not the cause. The attempt does not count. Its number is not used again: the report may come twice."""
    record = driver.record
    refusals.refused(ctx, worker, record.id, reason)
    if record.unsealed:
        lost(ctx, driver, UNPROVED)
        return
    ctx.books.release_driver(driver)
    record.refused_attempt = record.attempts.pop().number
    if record.kill_requested:
        finish(ctx, driver, DriverEvent.KILLED, killed_by(record))
        return
    ctx.move(DRIVER, record, DriverEvent.REFUSED)
    enqueue(ctx, driver, first=True)
    record.reason = f"{worker.record.id} refused it: {reason}"
    changed(ctx, driver)


def kill(ctx: Context, peer: bytes | None, request: int, driver_id: str, *, by: Asker) -> None:
    """Kill a driver of the asker's principal; an admin may kill everybody's."""
    driver = ctx.books.drivers.get(driver_id)
    if driver is None:
        reason = f"Driver {driver_id} has already finished or does not exist"
        ctx.send(peer, Failed(request=request, reason=reason, code="not-found"))
        return
    record = driver.record
    if not admission.may_change(ctx.pools, by, record.principal, record.description.pool):
        reason = f"{driver_id} {belongs_to(record.principal)}"
        ctx.send(peer, Failed(request=request, reason=reason, code="not-authorized"))
        return
    if not record.kill_requested:
        record.kill_requested, record.kill = True, by.order(ctx.now.wall)
    if record.state in (DriverState.SUBMITTED, DriverState.RELAUNCHING):
        booking.unqueue(ctx.books, driver_id)
        finish(ctx, driver, DriverEvent.KILLED, killed_by(record))
        text = f"{driver_id} was not running and is killed"
    else:
        driver.view = None
        ctx.save_driver(record)
        worker = ctx.books.workers.get(record.attempts[-1].worker_id)
        if worker is not None:
            ctx.send(worker.peer, KillDriver(epoch=ctx.epoch, driver_id=driver_id, attempt=record.attempt))
        text = f"Kill request for {driver_id} submitted"
    ctx.send(peer, Accepted(request=request, text=text))


def killed_by(record: DriverRecord) -> str:
    """Return the reason of a driver whose kill was requested."""
    return (record.kill or Order()).words("killed")


def finish(ctx: Context, driver: Driver, event: DriverEvent, reason: str) -> None:
    """End the driver by ``event``, one of the four that lead to a final state."""
    books, record = ctx.books, driver.record
    ctx.move(DRIVER if driver.tasks is None else ARRAY, record, event)
    record.reason, record.ended = reason, ctx.now.wall
    ctx.tally.drivers_ended[record.state] += booking.finished(books, driver)
    if record.attempts:
        ctx.tally.driver_duration.observe(record.ended - record.attempts[0].started)
    books.drivers.pop(record.id, None)
    books.parked.discard(record.id)
    books.completed_drivers[record.id] = driver
    driver.relaunch_at = None
    after.forget(books, driver)
    ctx.schedule_wanted = True  # one of spark.deploy.maxDrivers may be free now
    changed(ctx, driver)
    for peer, _ in driver.watchers:
        ctx.books.watching.get(peer, set()).discard(record.id)
    driver.watchers = []
    if event is not DriverEvent.FINISHED:
        ctx.log(f"{record.id} is {record.state.value}: {reason}")
    books.ended.append(record)
    if len(books.ended) == 1:  # else the loop that ended this one goes on with it: a chain may be long
        while books.ended:
            for child, why in after.parent_ended(books, books.ended[0]):
                _parent_ended(ctx, child, why)
            books.ended.popleft()
    if (head := booking.ended(books, driver)) is not None:
        finish(ctx, head, *booking.end_of(head))
    trim_drivers(ctx, ctx.policy.retained_drivers)


def _parent_ended(ctx: Context, child: Driver, why: str) -> None:
    """Queue a driver when the last of its parents has ended, or end it if it can never start."""
    if why:
        finish(ctx, child, DriverEvent.KILLED, why)
        return
    if not child.record.awaits and child.record.hold is None:
        ctx.books.parked.discard(child.record.id)
        enqueue(ctx, child)
        child.queued_at = ctx.now.wall
    changed(ctx, child)


def changed(ctx: Context, driver: Driver) -> None:
    """Persist a changed driver and notify its watchers. Call this after every change."""
    driver.view = None
    ctx.save_driver(driver.record)
    if driver.watchers:
        view = driver_view(driver)
        for peer, request in driver.watchers:
            ctx.send(peer, DriverUpdate(request=request, driver=view))
