"""What a master does with each message: the one table from a message's type to its rule.

A rule gets the context, the event and, again, its message. The sender's role is checked before (``roles_allowed``); the
rule itself checks whether the sender may do this to that job or worker.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stoker.core.master import applications, driver_reports, drivers, executor_reports, watching, workers
from stoker.core.master.arrays import requests
from stoker.core.master.arrays.show import find_view
from stoker.core.master.books import Worker
from stoker.core.master.context import Context
from stoker.core.master.effects import Received
from stoker.core.master.fitness import draining
from stoker.core.master.show import app_view, cluster_view, scheduling, worker_view
from stoker.core.master.waiting.dry_run import dry_run
from stoker.core.master.waiting.hold import hold
from stoker.core.master.waiting.update import update
from stoker.core.model.messages import (
    ApplicationHeartbeat,
    DrainWorkers,
    DriverStateChanged,
    DryRun,
    ExecutorStateChanged,
    Failed,
    ForgetWorkers,
    GetScheduling,
    GetStatus,
    HoldJob,
    KillExecutors,
    KillJob,
    Message,
    RegisterApplication,
    RegisterWorker,
    RequestExecutors,
    Status,
    SubmitDriver,
    UnregisterApplication,
    UpdateJob,
    WatchDriver,
    WorkerHeartbeat,
    WorkerLeaving,
)
from stoker.core.model.states import MasterState

Rule = Callable[[Context, Received, Any], None]
WorkerRule = Callable[[Context, Worker, Received, Any], None]


def _of_worker(rule: WorkerRule) -> Rule:
    """Make a rule for reports of registered workers; a worker that is not registered on this connection is asked to."""

    def checked(ctx: Context, event: Received, message: Any) -> None:
        worker_id = ctx.books.worker_of_peer.get(event.peer)
        if worker_id is None or worker_id != message.worker_id:
            workers.ask_to_register(ctx, event, message.worker_id)
            return
        worker = ctx.books.workers[worker_id]
        worker.last_seen = ctx.now.mono
        rule(ctx, worker, event, message)

    return checked


def _not_alive(ctx: Context, event: Received, request: int, action: str) -> bool:
    """Refuse a request while the master recovers, in the words that make Spark's clients ask again."""
    if ctx.state is MasterState.ALIVE:
        return False
    reason = f"Current state is not alive: {ctx.state.value}. Can only {action} in ALIVE state."
    ctx.send(event.peer, Failed(request=request, reason=reason, code="not-leader"))
    return True


def _submit(ctx: Context, event: Received, message: SubmitDriver) -> None:
    if not _not_alive(ctx, event, message.request, "accept driver submissions"):
        drivers.submit(ctx, event, message)


def _kill(ctx: Context, event: Received, message: KillJob) -> None:
    if _not_alive(ctx, event, message.request, "kill drivers"):
        return
    if requests.kill(ctx, event, message):
        return
    kill = applications.kill if message.id.startswith("app-") else drivers.kill
    kill(ctx, event.peer, message.request, message.id, by=event.asker)


def _hold(ctx: Context, event: Received, message: HoldJob) -> None:
    if not _not_alive(ctx, event, message.request, "hold and release jobs") and not requests.hold(ctx, event, message):
        hold(ctx, event, message)


def _update(ctx: Context, event: Received, message: UpdateJob) -> None:
    if not _not_alive(ctx, event, message.request, "change jobs"):
        update(ctx, event, message)


def _dry_run(ctx: Context, event: Received, message: DryRun) -> None:
    if not _not_alive(ctx, event, message.request, "place jobs"):
        dry_run(ctx, event, message)


def _get_scheduling(ctx: Context, event: Received, message: GetScheduling) -> None:
    if not _not_alive(ctx, event, message.request, "look ahead"):
        ctx.send(event.peer, scheduling(ctx, message.request, event.principal))


def _get_status(ctx: Context, event: Received, message: GetStatus) -> None:
    request, wanted, books = message.request, message.id, ctx.books
    if not wanted:
        answer: Message = ctx.paging.answer(event.peer, message, lambda: cluster_view(ctx))
    elif (driver := find_view(books, wanted)) is not None:
        answer = Status(request=request, driver=driver)
    elif (app := books.find_app(wanted)) is not None:
        answer = Status(request=request, app=app_view(app))
    elif (worker := books.current_worker(wanted)) is not None:
        answer = Status(request=request, worker=worker_view(worker))
    else:
        reason = f"There is no driver, application or worker {wanted}"
        answer = Failed(request=request, reason=reason, code="not-found")
    ctx.send(event.peer, answer)


RULES: dict[type[Message], Rule] = {
    RegisterWorker: workers.register,
    WorkerHeartbeat: workers.heartbeat,
    WorkerLeaving: _of_worker(lambda ctx, worker, event, message: workers.leaving(ctx, worker, message)),
    DriverStateChanged: _of_worker(
        lambda ctx, worker, event, message: driver_reports.state_changed(ctx, worker, event.peer, message)
    ),
    ExecutorStateChanged: _of_worker(
        lambda ctx, worker, event, message: executor_reports.state_changed(ctx, worker, event.peer, message)
    ),
    SubmitDriver: _submit,
    KillJob: _kill,
    HoldJob: _hold,
    UpdateJob: _update,
    DryRun: _dry_run,
    GetScheduling: _get_scheduling,
    GetStatus: _get_status,
    WatchDriver: lambda ctx, event, message: watching.watch(ctx, event.peer, message),
    DrainWorkers: lambda ctx, event, message: draining.drain(ctx, event.peer, message, by=event.asker),
    ForgetWorkers: lambda ctx, event, message: draining.forget(ctx, event.peer, message),
    RegisterApplication: applications.register,
    UnregisterApplication: lambda ctx, event, message: applications.unregister(ctx, event.peer, message),
    ApplicationHeartbeat: lambda ctx, event, message: applications.heartbeat(ctx, event.peer, message.app_id),
    RequestExecutors: lambda ctx, event, message: applications.request_executors(ctx, event.peer, message),
    KillExecutors: lambda ctx, event, message: applications.kill_executors(ctx, event.peer, message),
}
