"""Executors in the master's books: granted, announced, killed, lost (spec 10.2, 12)."""

from __future__ import annotations

import logging

import msgspec

from stoker.core.master import vouching
from stoker.core.master.books import BookedApp, Worker
from stoker.core.master.context import Context
from stoker.core.master.waiting.limits import unenforced
from stoker.core.model.lifecycles import APPLICATION, EXECUTOR, ApplicationEvent, ExecutorEvent
from stoker.core.model.messages import ExecutorAdded, ExecutorUpdated, KillExecutor, LaunchExecutor
from stoker.core.model.profiles import DEFAULT_PROFILE, with_profile
from stoker.core.model.records import ExecutorRecord, executor_key
from stoker.core.model.states import ExecutorState
from stoker.core.model.values import UNLIMITED, Exit
from stoker.core.model.views import ExecutorView


def launch(ctx: Context, app: BookedApp, worker: Worker, cores: int, profile: int = DEFAULT_PROFILE) -> None:
    assert worker.peer is not None
    record = app.record
    described = with_profile(record.description, app.profile(profile))
    executor = ExecutorRecord(
        app_id=record.id,
        id=record.next_executor_id,
        worker_id=worker.record.id,
        worker_host=worker.record.host,
        cores=cores,
        memory_mib=described.memory_mib,
        started=ctx.now.wall,
        worker_key=worker.record.key,
        resources=worker.lowest_free(described.resources),
        profile=profile,
    )
    ctx.tally.executors_launched += 1
    if record.next_executor_id == 0:
        ctx.tally.application_wait.observe(ctx.now.wall - record.submitted)
    record.next_executor_id += 1
    ctx.move(APPLICATION, record, ApplicationEvent.GRANTED)
    app.launched_via[executor.id] = worker.peer
    ctx.books.place_executor(app, executor, worker)
    ctx.save_executor(executor)
    ctx.save_app(record)
    command = LaunchExecutor(
        epoch=ctx.epoch,
        app_id=record.id,
        executor_id=executor.id,
        cores=cores,
        memory_mib=executor.memory_mib,
        app=described,
        principal=record.principal,
        resources=executor.resources,
    )
    seal = vouching.executor_seal(ctx.secret, command)
    ctx.send(worker.peer, msgspec.structs.replace(command, seal=seal))
    announce(ctx, app, executor)
    if remark := unenforced(record.description, worker):
        ctx.log(f"{record.id}/{executor.id}: {remark}", logging.WARNING)


def recorded(app_id: str, view: ExecutorView) -> ExecutorRecord:
    """Return the record of an executor that only its application still knows."""
    return ExecutorRecord(
        app_id=app_id,
        id=view.id,
        worker_id=view.worker_id,
        worker_host=view.host,
        cores=view.cores,
        memory_mib=view.memory_mib,
        state=view.state,
        exit=view.exit,
    )


def announce(ctx: Context, app: BookedApp, executor: ExecutorRecord) -> None:
    added = ExecutorAdded(
        app_id=app.record.id,
        executor_id=executor.id,
        worker_id=executor.worker_id,
        host=executor.worker_host,
        cores=executor.cores,
        memory_mib=executor.memory_mib,
    )
    ctx.send(app.peer, added)
    if executor.state is not ExecutorState.LAUNCHING:
        tell(ctx, app, executor)


def tell(ctx: Context, app: BookedApp, executor: ExecutorRecord) -> None:
    update = ExecutorUpdated(
        app_id=app.record.id,
        executor_id=executor.id,
        state=executor.state,
        exit=executor.exit,
        worker_lost=executor.state is ExecutorState.LOST and not executor.exit.refused,
    )
    ctx.send(app.peer, update)


def fix_share(ctx: Context, app: BookedApp) -> None:
    """Limit a finite application without a limit of its own to the cores of its first grant."""
    record = app.record
    if record.description.finite and record.cores_max >= UNLIMITED:
        record.cores_max = app.cores_granted
        app.view = None
        ctx.save_app(record)


def lost(ctx: Context, app: BookedApp, executor: ExecutorRecord, why: str) -> None:
    """Close an executor whose worker was lost; the next scheduling pass replaces it."""
    close(ctx, app, executor, ExecutorEvent.LOST, Exit(reason=why))


def kill(ctx: Context, app: BookedApp, executor: ExecutorRecord) -> None:
    """Send the kill command; the executor stays in the books until its worker reports its end, or is lost."""
    worker = ctx.books.workers.get(executor.worker_id)
    if worker is not None and worker.peer is not None:
        ctx.send(worker.peer, KillExecutor(epoch=ctx.epoch, app_id=app.record.id, executor_id=executor.id))
    else:
        close(ctx, app, executor, ExecutorEvent.KILLED, Exit(reason="killed while its worker was unreachable"))


def evict(ctx: Context, app: BookedApp, executor: ExecutorRecord, why: str) -> None:
    """Kill an executor and close it as lost, so that it is replaced elsewhere. Its resources stay taken, as in
    ``abandon``."""
    kill(ctx, app, executor)
    _close_dying(ctx, app, executor, ExecutorEvent.LOST, why)


def abandon(ctx: Context, app: BookedApp, executor: ExecutorRecord) -> None:
    """Kill and close an executor whose application has ended. Its cores and memory stay taken until its worker reports
    the end, so that nothing is placed on resources still in use."""
    kill(ctx, app, executor)
    _close_dying(ctx, app, executor, ExecutorEvent.KILLED, "its application has ended")


def _close_dying(ctx: Context, app: BookedApp, executor: ExecutorRecord, event: ExecutorEvent, why: str) -> None:
    if executor.id not in app.executors:
        return
    close(ctx, app, executor, event, Exit(reason=why))
    worker = ctx.books.workers.get(executor.worker_id)
    if worker is not None:
        key = (app.record.id, executor.id)
        ctx.books.mark_dying(worker, key, executor.cores, executor.memory_mib, executor.resources)


def close(ctx: Context, app: BookedApp, executor: ExecutorRecord, event: ExecutorEvent, exit: Exit) -> None:
    """Move an executor to its final state and out of the live ones, and notify its application."""
    ctx.move(EXECUTOR, executor, event)
    executor.exit, executor.ended = exit, ctx.now.wall
    ctx.tally.executors_ended[executor.state] += 1
    if len(app.removed) == app.removed.maxlen:  # the oldest makes room
        ctx.forget(executor_key(app.record.id, app.removed[0].id))
    ctx.books.release_executor(app, executor)
    app.removed.append(executor)
    if not app.executors and not app.record.state.is_final:
        ctx.move(APPLICATION, app.record, ApplicationEvent.WITHOUT_EXECUTORS)
    ctx.save_executor(executor)
    tell(ctx, app, executor)
    ctx.schedule_wanted = True
