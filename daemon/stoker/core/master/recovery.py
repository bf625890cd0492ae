"""Rebuild the books from records when a master starts, and end the wait for peers that do not answer (spec 13.3).

Everything recorded as running is UNKNOWN until its worker or its process comes back. Nothing is scheduled before
the recovery ends: as soon as all peers have answered, or after ``policy.recovery_timeout``.
"""

from __future__ import annotations

from collections.abc import Mapping

from stoker.core.master import drivers, workers
from stoker.core.master.applications import wait_for_return
from stoker.core.master.arrays import booking
from stoker.core.master.books import BookedApp, Books, Worker
from stoker.core.master.context import Context
from stoker.core.model.lifecycles import (
    APPLICATION,
    ARRAY,
    DRIVER,
    MASTER,
    WORKER,
    ApplicationEvent,
    DriverEvent,
    MasterEvent,
    WorkerEvent,
)
from stoker.core.model.records import (
    AppRecord,
    ArrayRecord,
    Counters,
    DriverRecord,
    ExecutorRecord,
    Record,
    TaskChunk,
    UsageRecord,
    WorkerRecord,
)
from stoker.core.model.states import ApplicationState, DriverState, MasterState, WorkerState
from stoker.core.model.values import number_of


def load(ctx: Context, records: Mapping[str, Record]) -> None:
    """Fill empty books. Drivers, applications and executors are read in the order of their numbers, which is FIFO order.
    The times in their ids are unreliable, because clocks of different masters made them."""
    by_type: dict[type[Record], list[Record]] = {}
    for key in sorted(records, key=_order):
        by_type.setdefault(type(records[key]), []).append(records[key])
    for record in by_type.get(Counters, []):
        assert isinstance(record, Counters)
        ctx.books.counters = record
    accounts = ctx.books.accounts
    for record in by_type.get(UsageRecord, []):
        assert isinstance(record, UsageRecord)
        accounts.load(record)
    accounts.is_loading = True
    for record in by_type.get(WorkerRecord, []):
        assert isinstance(record, WorkerRecord)
        _load_worker(ctx, record)
    for record in by_type.get(AppRecord, []):
        assert isinstance(record, AppRecord)
        _load_app(ctx, record)
    for record in by_type.get(ExecutorRecord, []):
        assert isinstance(record, ExecutorRecord)
        _load_executor(ctx.books, record)
    chunks: dict[str, list[TaskChunk]] = {}
    for record in by_type.get(TaskChunk, []):
        assert isinstance(record, TaskChunk)
        chunks.setdefault(record.array_id, []).append(record)
    # An array before its tasks, which have its number.
    submitted = [*by_type.get(ArrayRecord, []), *by_type.get(DriverRecord, [])]
    for record in sorted(submitted, key=lambda record: _order(f"driver/{getattr(record, 'id', '')}")[:2]):
        assert isinstance(record, DriverRecord)
        _load_driver(ctx, record, chunks.get(record.id, []))
    accounts.is_loading = False
    accounts.all_changed()
    _sort_history(ctx.books)
    for head in booking.loaded(ctx.books):
        drivers.finish(ctx, head, *booking.end_of(head))
    _load_parents(ctx)
    ctx.move(MASTER, ctx, MasterEvent.RECORDS_FOUND)
    # A worker that was unreachable when the last master wrote may have become so only a moment before.
    ctx.keepers_end = ctx.now.mono + ctx.policy.reconnect_timeout
    for worker in ctx.books.workers.values():
        if worker.record.state is WorkerState.DEAD and (worker.drivers or worker.executors):
            _wait_for_keeper(ctx, worker)
    ctx.wake_at(ctx.now.mono + ctx.policy.recovery_timeout, "recovered")
    ctx.log(
        f"recovering {len(ctx.books.workers)} workers, {len(ctx.books.apps)} applications and"
        f" {len(ctx.books.drivers)} drivers"
    )
    complete_if_all_answered(ctx)


def _order(key: str) -> tuple[str, int, str]:
    kind, _, identifier = key.partition("/")
    if kind == "executor":
        app_id, _, number = identifier.rpartition("/")
        return kind, int(number) if number.isdecimal() else 0, app_id
    is_counted = kind in ("driver", "array", "app") and identifier.rpartition("-")[2].replace("_", "").isdecimal()
    return kind, number_of(identifier) if is_counted else 0, identifier


def _load_worker(ctx: Context, record: WorkerRecord) -> None:
    worker = Worker(record)
    ctx.move(WORKER, record, WorkerEvent.MASTER_STARTED)
    ctx.books.add_worker(worker)


def _load_app(ctx: Context, record: AppRecord) -> None:
    app = BookedApp(record)
    ctx.books.tokens[record.token] = record.id
    ctx.books.reserve_id(record.id)
    if record.state.is_final:
        ctx.books.completed_apps[record.id] = app
        return
    ctx.move(APPLICATION, record, ApplicationEvent.MASTER_STARTED)
    ctx.books.apps[record.id] = app
    wait_for_return(ctx, app, ctx.policy.recovery_timeout)


def _load_executor(books: Books, record: ExecutorRecord) -> None:
    app = books.find_app(record.app_id)
    if app is None:
        return
    worker = books.workers.get(record.worker_id)
    if record.state.is_final or app.record.state.is_final or worker is None:
        app.removed.append(record)
    else:
        books.place_executor(app, record, worker)


def _load_driver(ctx: Context, record: DriverRecord, chunks: list[TaskChunk]) -> None:
    driver = booking.add(ctx.books, record)
    ctx.books.reserve_id(record.id)
    booking.load(ctx.books, driver, chunks)
    if record.state.is_final:
        ctx.books.completed_drivers[record.id] = ctx.books.drivers.pop(record.id)
        ctx.books.arrays.pop(record.id, None)
        return
    ctx.move(DRIVER if driver.tasks is None else ARRAY, record, DriverEvent.MASTER_STARTED)
    if record.state is DriverState.SUBMITTED:
        drivers.enqueue(ctx, driver)
        return
    worker = ctx.books.workers.get(record.attempts[-1].worker_id)
    if worker is not None:
        ctx.books.place_driver(driver, worker)


def _load_parents(ctx: Context) -> None:
    """Find out for whom drivers still wait. Another release may have run meanwhile, and records may be damaged."""
    for driver in list(ctx.books.drivers.values()):
        if driver.record.awaits:
            ctx.books.parked.discard(driver.record.id)
            drivers.begin(ctx, driver, driver.record.awaits)


def _sort_history(books: Books) -> None:
    books.completed_drivers = dict(sorted(books.completed_drivers.items(), key=lambda item: item[1].record.ended))
    books.completed_apps = dict(sorted(books.completed_apps.items(), key=lambda item: item[1].record.ended))


def complete_if_all_answered(ctx: Context) -> None:
    if ctx.state is not MasterState.RECOVERING:
        return
    if any(worker.record.state is WorkerState.UNKNOWN for worker in ctx.books.workers.values()):
        return
    if any(app.record.state is ApplicationState.UNKNOWN for app in ctx.books.apps.values()):
        return
    complete(ctx)


def complete(ctx: Context) -> None:
    """End the recovery, and give up peers that have not answered. Each step leaves the books consistent (quirk 12)."""
    if ctx.state is not MasterState.RECOVERING:
        return
    ctx.move(MASTER, ctx, MasterEvent.RECOVERED)
    for worker in list(ctx.books.workers.values()):
        if worker.record.state is WorkerState.UNKNOWN:
            _wait_for_keeper(ctx, worker)
            workers.away_due(ctx, worker.record.id)
    ctx.wake_at(ctx.keepers_end, "homeless")
    give_up_homeless(ctx)
    ctx.log("recovery is complete")
    ctx.schedule_wanted = True


def _wait_for_keeper(ctx: Context, worker: Worker) -> None:
    """Wait as long as the worker's keeper waits for its daemon: until then it may run the jobs in the books, and no job
    may be started twice."""
    workers.wait_for_return(ctx, worker, max(ctx.now.mono, ctx.keepers_end))


def give_up_homeless(ctx: Context) -> None:
    """Give up drivers on workers that have no record; they had as much time to come back as the others."""
    if ctx.now.mono < ctx.keepers_end:
        return
    for driver in list(ctx.books.drivers.values()):
        if driver.record.state is DriverState.UNKNOWN and driver.record.attempts[-1].worker_id not in ctx.books.workers:
            drivers.lost(ctx, driver, "its worker did not come back to this master")
