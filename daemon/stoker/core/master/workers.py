"""Workers in the master's books: registered, unreachable, lost, back (spec 9).

A worker whose connection closes is DEAD at once and its executors are replaced. Its drivers are not: their processes may
be alive with the keeper and come back with the daemon, and no driver may run twice at once. They stay UNKNOWN for
``policy.reconnect_timeout``; by then the keeper has stopped them. A worker that announced a restart (``WorkerLeaving``
with ``keeping``) is UNKNOWN, and its executors wait for it as well.
"""

from __future__ import annotations

import logging

from stoker.core.master import driver_reports, drivers, executor_reports, executors, vouching
from stoker.core.master.books import Worker
from stoker.core.master.context import Context
from stoker.core.master.effects import Received
from stoker.core.master.fitness import deadlines, draining, unfit
from stoker.core.model.lifecycles import WORKER, WorkerEvent
from stoker.core.model.messages import (
    Reconnect,
    RegisteredWorker,
    RegisterWorker,
    RegisterWorkerFailed,
    WorkerHeartbeat,
    WorkerLeaving,
)
from stoker.core.model.moves import may
from stoker.core.model.records import WorkerRecord, worker_key
from stoker.core.model.resources import address_words, check_addresses
from stoker.core.model.states import WorkerState
from stoker.core.model.values import UNLIMITED, WORKER_ID, number_of

MOST_LIMITS = 400  # characters


def register(ctx: Context, event: Received, message: RegisterWorker) -> None:
    peer = event.peer
    reason = _refusal(ctx, event, message)
    if message.highest_epoch > ctx.epoch:
        _overruled(ctx, event, message)
    if reason:
        ctx.warn_of(message.worker_id, f"refused {message.worker_id}: {reason}")
        ctx.send(peer, RegisterWorkerFailed(epoch=ctx.epoch, reason=reason))
        return
    books = ctx.books
    if _may_still_obey_another(ctx, message):
        ask_to_register(ctx, event, message.worker_id)
        return
    record = WorkerRecord(
        id=message.worker_id,
        host=message.host,
        port=message.port,
        cores=message.cores,
        memory_mib=message.memory_mib,
        webui_url=message.webui_url,
        version=message.version,
        last_heartbeat=ctx.now.wall,
        key=event.key,
        resources=message.resources,
    )
    worker = books.workers.get(message.worker_id)
    if worker is None:
        worker = Worker(record)
    before = books.worker_at.get((record.host, record.port))
    predecessor = books.workers.get(before) if before is not None and before != record.id else None
    is_same_machine = predecessor is not None and _is_owner(event, predecessor)
    record.drain = draining.carried_over(worker, predecessor if is_same_machine else None, message)
    record.state = worker.record.state
    ctx.move(WORKER, record, WorkerEvent.REGISTERED)
    books.leave_address(worker)
    worker.record, worker.view, worker.kin = record, None, event.kin
    worker.last_seen, worker.reconnect_until, worker.has_registered = ctx.now.mono, None, True
    worker.leaving = worker.keeping = False
    worker.limits, worker.run_as = message.limits[:MOST_LIMITS], message.run_as[:MOST_LIMITS]
    unfit.reported(ctx, worker, message.unfit)
    books.add_worker(worker)
    books.bind_worker(worker, peer)
    answer = RegisteredWorker(
        epoch=ctx.epoch,
        worker_id=record.id,
        master_url=ctx.url,
        webui_url=ctx.webui_url,
        heartbeat_interval=ctx.policy.worker_timeout / 4,
        masters=ctx.masters,
        seal=vouching.worker_seal(ctx.secret, record.id, event.key),
    )
    ctx.send(peer, answer)
    draining.tell(ctx, worker, message.drain)
    _reconcile(ctx, worker, predecessor, message)
    deadlines.arm(ctx, worker)
    ctx.save_worker(record)
    ctx.tally.workers_registered += 1
    named = f", {address_words(record.resources)}" if record.resources else ""
    ctx.log(f"registered {record.id} with {record.cores} cores and {record.memory_mib} MiB{named}")
    ctx.schedule_wanted = True


def _may_still_obey_another(ctx: Context, message: RegisterWorker) -> bool:
    """Return True for a worker of an earlier master that has not seen this master's epoch: a command of that master could
    still reach it after its report. It registers again once it knows this epoch, and then refuses lower ones."""
    worker = ctx.books.workers.get(message.worker_id)
    return worker is not None and not worker.has_registered and message.highest_epoch < ctx.epoch


def ask_to_register(ctx: Context, event: Received, worker_id: str) -> None:
    """Ask a worker that is reachable but not registered to register. Until it does, none of its jobs is declared lost
    (``away_due``)."""
    worker = ctx.books.workers.get(worker_id)
    if worker is not None and worker.peer is None and _is_owner(event, worker):
        worker.last_seen = ctx.now.mono
    ctx.send(event.peer, Reconnect(epoch=ctx.epoch))


def _is_owner(event: Received, worker: Worker) -> bool:
    """Return whether the sender's machine registered this worker: with its key, or with one of the same name."""
    key = worker.record.key
    return not key or key == event.key or key in event.kin


def _refusal(ctx: Context, event: Received, message: RegisterWorker) -> str:
    """Return why the worker is refused, or an empty text."""
    if not WORKER_ID.fullmatch(message.worker_id):
        return f"{message.worker_id!r} is not a worker id"
    if message.cores < 1 or message.memory_mib < 1:
        return f"a worker needs at least 1 core and 1 MiB, not {message.cores} cores and {message.memory_mib} MiB"
    if message.cores > UNLIMITED or message.memory_mib > UNLIMITED:
        return f"no worker has {message.cores} cores and {message.memory_mib} MiB"
    try:
        check_addresses(message.resources)
    except ValueError as error:
        return str(error)
    if message.highest_epoch > ctx.epoch:
        return f"it obeys a newer master (epoch {message.highest_epoch}, this one's is {ctx.epoch})"
    return _not_its_own(ctx, event, message)


def _not_its_own(ctx: Context, event: Received, message: RegisterWorker) -> str:
    """Return why the id, the address or the connection is another worker's, or an empty text."""
    books, peer = ctx.books, event.peer
    known = books.workers.get(message.worker_id)
    is_anothers = known is not None and not _is_owner(event, known)
    # Each start of a worker makes a new id, so only a worker that has had this one may want it again.
    if known is not None and is_anothers and (_may_return(known) or not vouching.has_worker_seal(ctx, event, message)):
        return "another key has registered this worker"
    if books.worker_of_peer.get(peer, message.worker_id) != message.worker_id:
        return "this connection belongs to another worker"
    other_id = books.worker_at.get((message.host, message.port))
    other = books.workers.get(other_id) if other_id is not None else None
    if other is not None and not _is_owner(event, other) and _may_return(other):
        return f"another key has registered the worker at {other.record.address}"
    if other is not None and other.record.id != message.worker_id and other.peer not in (None, peer):
        return "Attempted to re-register worker at same address"
    return ""


def _may_return(worker: Worker) -> bool:
    is_expected = worker.record.state is not WorkerState.DEAD or worker.reconnect_until is not None
    return is_expected or bool(worker.drivers or worker.executors)


def _overruled(ctx: Context, event: Received, message: RegisterWorker) -> None:
    """Warn the operator: the worker reports that it obeys a master elected later, so two masters lead that share no recovery
    store. The worker is not this master's. One that the master has not known says nothing about the cluster."""
    worker = ctx.books.workers.get(message.worker_id)
    if worker is None or not _is_owner(event, worker):
        return
    ctx.rival = (
        f"another master leads as well: {message.worker_id} obeys it (epoch {message.highest_epoch}, this one's is"
        f" {ctx.epoch}): unless both have spark.deploy.recoveryMode ZOOKEEPER in common, stop one of them"
    )
    ctx.log(ctx.rival, logging.ERROR)
    if worker.peer == event.peer:
        away(ctx, worker, "it obeys another master")


def _reconcile(ctx: Context, worker: Worker, predecessor: Worker | None, message: RegisterWorker) -> None:
    """Update the books from what the worker really runs (spec 9.1.6, 13.3.4)."""
    books = ctx.books
    for key in list(worker.dying):
        books.release_dying(worker, key)
    for driver_report in message.drivers:
        driver_reports.reported(ctx, worker, driver_report)
    running = executor_reports.possible(ctx, worker, message.executors)
    for executor_report in running:
        executor_reports.reported(ctx, worker, executor_report)
    for holder in (worker, predecessor):
        if holder is not None:
            _close_missing(ctx, holder, worker, message, {(report.app_id, report.executor_id) for report in running})
    if predecessor is not None:
        if worker.owns(predecessor.record.key):
            books.successor[predecessor.record.id] = worker.record.id
        books.drop_worker(predecessor)
        ctx.forget(worker_key(predecessor.record.id))


def _close_missing(
    ctx: Context, holder: Worker, worker: Worker, message: RegisterWorker, executor_keys: set[tuple[str, int]]
) -> None:
    """Close jobs that the books have on ``holder`` and the (re-)registering ``worker`` did not report, unless the command
    to start the job was sent on this very connection and is still under way."""
    reported = {(report.driver_id, report.attempt) for report in message.drivers}
    is_heir = holder.record.id in message.heir_of  # its keeper would know of the job if it had been started
    started = set(message.lost)
    # The latest first, because those that never started go to the head of the queue.
    for driver_id in sorted(holder.drivers, key=number_of, reverse=True):
        driver = ctx.books.drivers[driver_id]
        attempt = (driver_id, driver.record.attempt)
        if driver.launched_via == worker.peer or attempt in reported:
            continue
        if driver.record.attempts[-1].pid == 0 and attempt not in started:
            drivers.never_started(ctx, driver, surely=holder is worker or is_heir, renumber=is_heir)
        else:
            drivers.lost(ctx, driver, "its worker came back without it")
    for app_id, executor_id in sorted(holder.executors - executor_keys):
        app = ctx.books.apps[app_id]
        if app.launched_via.get(executor_id) != worker.peer:
            executors.lost(ctx, app, app.executors[executor_id], "its worker came back without it")


def heartbeat(ctx: Context, event: Received, message: WorkerHeartbeat) -> None:
    worker = ctx.books.workers.get(message.worker_id)
    if worker is None or worker.peer != event.peer:
        ask_to_register(ctx, event, message.worker_id)
        return
    worker.keeper_release, worker.users_fault = message.keeper_release, message.users_fault[:MOST_LIMITS]
    worker.last_seen, worker.record.last_heartbeat = ctx.now.mono, ctx.now.wall
    unfit.reported(ctx, worker, message.unfit)


def leaving(ctx: Context, worker: Worker, message: WorkerLeaving) -> None:
    """Note that the worker has announced the end of its connection, and whether it will come back."""
    event = WorkerEvent.RESTARTING if message.keeping else WorkerEvent.STOPPING
    if not may(WORKER, worker.record, event):
        state = worker.record.state.value
        text = f"dropped a message of {worker.record.id}: it cannot restart when it is {state}"
        ctx.warn_of(worker.record.id, text)
        return
    worker.leaving, worker.keeping = True, message.keeping
    ctx.move(WORKER, worker.record, event)
    if not message.keeping:
        ctx.save_worker(worker.record)


def peer_gone(ctx: Context, peer: bytes) -> None:
    worker_id = ctx.books.worker_of_peer.get(peer)
    if worker_id is None:
        return
    worker = ctx.books.workers[worker_id]
    why = "worker lost: it was stopped" if worker.leaving and not worker.keeping else "worker lost: connection closed"
    away(ctx, worker, why)


def away(ctx: Context, worker: Worker, why: str) -> None:
    """Book that the worker is unreachable."""
    books, record = ctx.books, worker.record
    books.unbind_worker(worker)
    ctx.tally.workers_lost += not worker.leaving
    ctx.move(WORKER, record, WorkerEvent.LEFT_TO_RESTART if worker.keeping else WorkerEvent.CONNECTION_LOST)
    ctx.log(f"{record.id} is {record.state.value}: {why}", logging.INFO if worker.leaving else logging.WARNING)
    if not worker.keeping:
        _lose_executors(ctx, worker, why)
    for driver_id in sorted(worker.drivers):
        # Also when it said that it stops: drivers whose end it has not reported may run until its keeper stops them.
        drivers.worker_disconnected(ctx, books.drivers[driver_id])
    for key in list(worker.dying):
        books.release_dying(worker, key)
    wait_for_return(ctx, worker, ctx.now.mono + ctx.policy.reconnect_timeout)
    ctx.save_worker(record)
    ctx.schedule_wanted = True


def wait_for_return(ctx: Context, worker: Worker, until: float) -> None:
    worker.reconnect_until = until
    ctx.wake_at(until, f"worker-reconnect {worker.record.id}")


def away_due(ctx: Context, worker_id: str) -> None:
    """Give up the worker's jobs: it did not come back in time, so none of its processes can be alive."""
    worker = ctx.books.workers.get(worker_id)
    if (
        worker is None
        or worker.peer is not None
        or worker.reconnect_until is None
        or worker.reconnect_until > ctx.now.mono
    ):
        return
    registers_until = worker.last_seen + ctx.policy.reconnect_timeout
    if registers_until > ctx.now.mono:
        wait_for_return(ctx, worker, registers_until)
        return
    worker.reconnect_until = None
    ctx.move(WORKER, worker.record, WorkerEvent.GIVEN_UP)
    ctx.save_worker(worker.record)
    why = f"worker lost: {worker_id} did not come back"
    _lose_executors(ctx, worker, why)
    for driver_id in sorted(worker.drivers):
        drivers.lost(ctx, ctx.books.drivers[driver_id], why)


def _lose_executors(ctx: Context, worker: Worker, why: str) -> None:
    for app_id, executor_id in sorted(worker.executors):
        app = ctx.books.apps[app_id]
        executors.lost(ctx, app, app.executors[executor_id], why)


def check_silence(ctx: Context) -> None:
    """Disconnect workers that were silent for ``worker_timeout``, and remove those that were DEAD for long (spec 9.2)."""
    policy = ctx.policy
    limit = ctx.now.mono - policy.worker_timeout
    shown_until = ctx.now.wall - (policy.dead_worker_persistence + 1) * policy.worker_timeout
    for worker in list(ctx.books.workers.values()):
        if worker.peer is not None and worker.last_seen < limit:
            away(ctx, worker, f"Not receiving heartbeat for {policy.worker_timeout:g} seconds")
        elif (
            worker.record.state is WorkerState.DEAD
            and worker.record.last_heartbeat < shown_until
            and not worker.drivers
            and worker.reconnect_until is None
            and not worker.record.drain.draining  # or the mark would be forgotten
        ):
            ctx.books.drop_worker(worker)
            ctx.tally.workers_removed["dead"] += 1
            ctx.forget(worker_key(worker.record.id))
