"""Applications in the master's books: registered, granted executors, ended (spec 9.4, 10.4, 10.5)."""

from __future__ import annotations

import logging

import msgspec

from stoker.core.master import executors
from stoker.core.master.books import BookedApp
from stoker.core.master.context import Context
from stoker.core.master.effects import Received
from stoker.core.master.history import trim_apps
from stoker.core.master.sharing import admission
from stoker.core.master.sharing.gangs import with_gang
from stoker.core.model.lifecycles import APPLICATION, APPLICATION_END, ApplicationEvent
from stoker.core.model.messages import (
    Accepted,
    ApplicationFinished,
    ApplicationRemoved,
    Failed,
    KillExecutors,
    Reconnect,
    RegisterApplication,
    RegisteredApplication,
    RequestExecutors,
    UnregisterApplication,
)
from stoker.core.model.pools import requested_by_application
from stoker.core.model.principal import Asker, belongs_to
from stoker.core.model.profiles import MOST_PROFILES
from stoker.core.model.records import AppRecord, executor_key
from stoker.core.model.states import ApplicationState, ExecutorState
from stoker.core.model.values import APP_ID, UNLIMITED, ApplicationDescription


def register(ctx: Context, event: Received, message: RegisterApplication) -> None:
    """Register a new application, or one that lost its connection or its master and continues under its id."""
    books, peer = ctx.books, event.peer
    app_id = message.app_id or books.tokens.get(message.token, "")
    app = books.find_app(app_id)
    if app is None and app_id and not APP_ID.fullmatch(app_id):
        ctx.send(
            peer, Failed(request=message.request, reason=f"{app_id!r} is not an application id", code="bad-request")
        )
        return
    if app is not None and not _may_register(event.asker, app):
        reason = f"{app_id} {belongs_to(app.record.principal)}"
        ctx.send(peer, Failed(request=message.request, reason=reason, code="not-authorized"))
        return
    if app is not None and app.record.state.is_final:
        ctx.send(peer, ApplicationRemoved(app_id=app_id, state=app.record.state, reason=app.record.reason))
        return
    if app_id in books.forgotten:
        reason = "it has ended, and is too old for the master's history"
        ctx.send(peer, ApplicationRemoved(app_id=app_id, state=ApplicationState.FAILED, reason=reason))
        return
    if app is None and not app_id and (same := books.app_of_driver(message.app, event.principal)) is not None:
        _registered_again(ctx, same)
        return
    if app is None:
        described = in_pool(ctx, message.app, event.asker)
        if isinstance(described, str) and not app_id:
            ctx.send(peer, Failed(request=message.request, reason=described))
            return
        message = msgspec.structs.replace(message, app=message.app if isinstance(described, str) else described)
        app = _add(ctx, app_id, event, message)
    if app.taken_over:
        _learn(ctx, app, event, message)
    _bind(ctx, app, event, message)
    answer = RegisteredApplication(
        request=message.request,
        app_id=app.record.id,
        master_url=ctx.url,
        epoch=ctx.epoch,
        heartbeat_interval=ctx.policy.worker_timeout / 4,
        masters=ctx.masters,
    )
    ctx.send(peer, answer)
    if message.app_id:
        _tell_ended(ctx, app, message)
    for executor in app.executors.values():
        executors.announce(ctx, app, executor)
    ctx.schedule_wanted = True
    if message.app_id and app.record.description.finite:
        finish_if_done(ctx, app)  # its last executor may have ended while the application was disconnected


def _may_register(by: Asker, app: BookedApp) -> bool:
    """Return whether the asker may register the application under its id. One without a principal comes from a Spark client
    that has proved nothing, on a connection that the gateway opened to its driver; or, when the principal is unknown, from a
    worker of release 0.1.0, and the first to register has it, as there."""
    principal = app.record.principal
    return principal is None or by.may_change(principal) or (by.door == "spark" and by.principal == principal)


def in_pool(ctx: Context, app: ApplicationDescription, by: Asker) -> ApplicationDescription | str:
    request = requested_by_application(app.pool, app.priority, app.command.env, or_pool=by.pool)
    assigned = admission.assigned(ctx.pools, app, request, by)
    return assigned if isinstance(assigned, str) else with_gang(assigned, cores_max(ctx, assigned))


def _registered_again(ctx: Context, app: BookedApp) -> None:
    """Ask the driver again to acknowledge this master; its application then continues under its id. Again, because this
    connection may be the only one to it."""
    ctx.log(f"{app.record.id}: its driver registers again; it stays the same application", logging.DEBUG)
    if app.peer is None and app.reconnect_until is not None:
        ctx.invite(app.record, max(0.0, app.reconnect_until - ctx.now.mono))


def _add(ctx: Context, app_id: str, event: Received, message: RegisterApplication) -> BookedApp:
    books = ctx.books
    returning = bool(app_id)
    ctx.tally.applications_registered += not returning
    if returning:
        books.reserve_id(app_id)
        ctx.log(f"took over {app_id}: it was registered with an earlier master")
    app_id = app_id or books.new_app_id(ctx.now.wall)
    record = AppRecord(
        id=app_id,
        description=message.app,
        submitted=ctx.now.wall,
        token=message.token,
        owner=event.key,
        principal=event.principal,
        executor_limit=message.app.executor_limit,
        cores_max=cores_max(ctx, message.app),
        next_executor_id=books.next_executor_ids.pop(app_id, 0),
    )
    app = BookedApp(record, taken_over=returning)
    books.apps[app_id] = app
    books.tokens[message.token] = app_id
    ctx.save_counters()
    return app


def _bind(ctx: Context, app: BookedApp, event: Received, message: RegisterApplication) -> None:
    record, peer = app.record, event.peer
    if app.peer is not None and app.peer != peer:
        _unbind(ctx, app)
    record.owner = event.key
    if record.principal is None:
        account = app.account
        record.principal = event.principal
        ctx.books.account_changed(app, account)
    record.token = message.token
    record.next_executor_id = max(record.next_executor_id, message.highest_executor_id + 1)
    has_executors = ApplicationEvent.REGISTERED_WITH_EXECUTORS if app.executors else ApplicationEvent.REGISTERED
    ctx.move(APPLICATION, record, has_executors)
    app.peer, app.last_seen, app.reconnect_until, app.view = peer, ctx.now.mono, None, None
    ctx.books.app_of_peer.setdefault(peer, set()).add(record.id)
    ctx.save_app(record)


def _learn(ctx: Context, app: BookedApp, event: Received, message: RegisterApplication) -> None:
    """Learn what only the application still knows: its limits, and how much of its share is used up."""
    record = app.record
    if app.peer is None:
        # Its executors may be running on workers that have not come back yet: do not replace them too early.
        app.not_before = ctx.now.mono + ctx.policy.takeover_grace
        ctx.wake_at(app.not_before, "schedule")
    account, described = app.account, in_pool(ctx, message.app, event.asker)
    record.description = message.app if isinstance(described, str) else described
    ctx.books.account_changed(app, account)
    record.executor_limit = message.app.executor_limit
    record.cores_max = cores_max(ctx, message.app)
    known = {executor.id for executor in (*app.removed, *app.executors.values())}
    for view in message.ended if message.app.finite else ():
        if view.id in known or view.cores < 1:
            continue
        known.add(view.id)
        executor = executors.recorded(record.id, view)
        app.removed.append(executor)
        ctx.save_executor(executor)
        record.cores_done += view.cores
        record.failures += not view.exit.is_success


def _tell_ended(ctx: Context, app: BookedApp, message: RegisterApplication) -> None:
    """Report the executors that ended while the application was disconnected; it may believe that they were lost."""
    known = {view.id for view in message.ended}
    for executor in app.removed:
        if executor.id in known:
            continue
        if executor.state in (ExecutorState.EXITED, ExecutorState.FAILED):
            executors.announce(ctx, app, executor)
        else:
            executors.tell(ctx, app, executor)


def cores_max(ctx: Context, description: ApplicationDescription) -> int:
    return ctx.policy.default_cores if description.max_cores is None else description.max_cores


def _unbind(ctx: Context, app: BookedApp) -> None:
    if app.peer is not None:
        ids = ctx.books.app_of_peer.get(app.peer)
        if ids is not None:
            ids.discard(app.record.id)
            if not ids:
                del ctx.books.app_of_peer[app.peer]
        app.peer = None


def adopt(ctx: Context, app_id: str, description: ApplicationDescription, principal: str | None) -> BookedApp:
    """Add an application that this master knows only from a worker's report of its executors: an earlier master without
    recovery granted them. They are kept for a while, until the application comes back and claims them."""
    record = AppRecord(
        id=app_id,
        description=description,
        submitted=ctx.now.wall,
        executor_limit=description.executor_limit,
        cores_max=cores_max(ctx, description),
        principal=principal,
        next_executor_id=ctx.books.next_executor_ids.pop(app_id, 0),
    )
    ctx.move(APPLICATION, record, ApplicationEvent.ADOPTED)
    app = BookedApp(record, taken_over=True)
    ctx.books.apps[app_id] = app
    ctx.books.reserve_id(app_id)
    ctx.save_counters()
    ctx.save_app(record)
    wait_for_return(ctx, app, ctx.policy.reconnect_timeout)
    return app


def taken_from(ctx: Context, app: BookedApp, principal: str) -> None:
    """Remove an application that somebody else registered under the id of one of ``principal``, with a master that did not
    know it: a worker has reported its executors, and whose they are."""
    record, books = app.record, ctx.books
    reason = f"{record.id} {belongs_to(principal)}"
    ctx.log(
        f"{record.id} was registered by {record.principal or 'a client'}, and {belongs_to(principal)}", logging.WARNING
    )
    for executor in list(app.executors.values()):
        executors.abandon(ctx, app, executor)
    ctx.send(app.peer, ApplicationRemoved(app_id=record.id, state=ApplicationState.FAILED, reason=reason))
    _unbind(ctx, app)
    del books.apps[record.id]
    books.tokens.pop(record.token, None)
    for executor in app.removed:
        ctx.forget(executor_key(record.id, executor.id))
    books.reserve_executor_id(record.id, record.next_executor_id - 1)


def wait_for_return(ctx: Context, app: BookedApp, seconds: float) -> None:
    app.reconnect_until = ctx.now.mono + seconds
    ctx.wake_at(app.reconnect_until, f"app-reconnect {app.record.id}")
    spark = app.record.description.spark
    if spark is not None and spark.driver_host:
        ctx.invite(app.record, seconds)


def away_due(ctx: Context, app_id: str) -> None:
    app = ctx.books.apps.get(app_id)
    if app is not None and app.peer is None and app.reconnect_until is not None and app.reconnect_until <= ctx.now.mono:
        finish(ctx, app, ApplicationEvent.FAILED, "its process did not come back to this master")


def unregister(ctx: Context, peer: bytes, message: UnregisterApplication) -> None:
    app = _owned(ctx, peer, message.request, message.app_id)
    if app is None:
        return
    finish(ctx, app, APPLICATION_END.get(message.state, ApplicationEvent.FINISHED), message.reason, tell=False)
    ctx.send(peer, Accepted(request=message.request, text=f"{message.app_id} is {app.record.state.value}"))


def heartbeat(ctx: Context, peer: bytes, app_id: str) -> None:
    """Note that the application is alive. A heartbeat from another connection (usually an earlier one's, delayed) is
    answered with the application's end, or with a request to register."""
    app = ctx.books.find_app(app_id)
    if app is not None and app.peer == peer:
        app.last_seen = ctx.now.mono
    elif app is not None and app.record.state.is_final:
        ctx.send(peer, ApplicationRemoved(app_id=app_id, state=app.record.state, reason=app.record.reason))
    else:
        ctx.send(peer, Reconnect(epoch=ctx.epoch))


def request_executors(ctx: Context, peer: bytes, message: RequestExecutors) -> None:
    """Set the number of executors wanted; lowering it kills none (spec 10.4)."""
    app = _owned(ctx, peer, message.request, message.app_id)
    if app is None:
        return
    ids = {profile.id for profile in message.profiles}
    reason = ""
    if not 0 <= message.executor_limit <= UNLIMITED:
        reason = f"the number of executors must be between 0 and {UNLIMITED}"
    elif not len(message.profiles) == len(ids) <= MOST_PROFILES:
        reason = f"an application may have {MOST_PROFILES} resource profiles, each with its own id"
    if reason:
        ctx.send(peer, Failed(request=message.request, reason=reason, code="bad-request"))
        return
    app.record.executor_limit = message.executor_limit
    app.record.profiles = tuple(sorted(message.profiles, key=lambda profile: profile.id))
    app.view = None
    ctx.save_app(app.record)
    ctx.schedule_wanted = True
    ctx.send(peer, Accepted(request=message.request))


def kill_executors(ctx: Context, peer: bytes, message: KillExecutors) -> None:
    app = _owned(ctx, peer, message.request, message.app_id)
    if app is None:
        return
    known = [executor_id for executor_id in message.executor_ids if executor_id in app.executors]
    for executor_id in known:
        executors.kill(ctx, app, app.executors[executor_id])
    ctx.send(peer, Accepted(request=message.request, text=f"killing {len(known)} executors"))


def _owned(ctx: Context, peer: bytes, request: int, app_id: str) -> BookedApp | None:
    """Return the active application if it registered on this connection; otherwise send the reason."""
    app = ctx.books.apps.get(app_id)
    if app is not None and app.peer == peer:
        return app
    reason = f"no running application {app_id} is registered on this connection"
    ctx.send(peer, Failed(request=request, reason=reason, code="not-found"))
    return None


def peer_gone(ctx: Context, peer: bytes) -> None:
    """End the applications of a closed connection: executors must not outlive their application's process (spec 9.2)."""
    for app_id in sorted(ctx.books.app_of_peer.get(peer, ())):
        app = ctx.books.apps[app_id]
        _unbind(ctx, app)
        finish(ctx, app, ApplicationEvent.FAILED, "its process has exited or is unreachable (connection lost)")


def silent(ctx: Context) -> None:
    """End applications that are connected but have sent nothing for ``worker_timeout``."""
    limit = ctx.now.mono - ctx.policy.worker_timeout
    for app in [app for app in ctx.books.apps.values() if app.peer is not None and app.last_seen < limit]:
        finish(ctx, app, ApplicationEvent.FAILED, f"it sent nothing for {ctx.policy.worker_timeout:g} seconds")


def kill(ctx: Context, peer: bytes | None, request: int, app_id: str, *, by: Asker) -> None:
    """Kill an application of the asker's principal; an admin may kill everybody's."""
    app = ctx.books.apps.get(app_id)
    if app is None:
        reason = f"Application {app_id} has already finished or does not exist"
        ctx.send(peer, Failed(request=request, reason=reason, code="not-found"))
    elif not admission.may_change(ctx.pools, by, app.record.principal, app.pool):
        reason = f"{app_id} {belongs_to(app.record.principal)}"
        ctx.send(peer, Failed(request=request, reason=reason, code="not-authorized"))
    else:
        app.record.kill = by.order(ctx.now.wall)
        finish(ctx, app, ApplicationEvent.KILLED, app.record.kill.words("killed"))
        ctx.send(peer, Accepted(request=request, text=f"{app_id} is killed"))


def finish_if_done(ctx: Context, app: BookedApp) -> None:
    """End a finite application once its share of cores is used up and none of its executors runs."""
    record = app.record
    need = record.description.cores_per_executor or 1
    limit_reached = record.next_executor_id >= record.executor_limit
    if app.executors or (app.cores_left >= need and not limit_reached):
        return
    if record.failures:
        finish(ctx, app, ApplicationEvent.FAILED, f"{record.failures} of its executors failed")
    else:
        finish(ctx, app, ApplicationEvent.FINISHED, "")


def finish(ctx: Context, app: BookedApp, event: ApplicationEvent, reason: str, *, tell: bool = True) -> None:
    """End the application: its executors are killed, and their workers may remove its local directories."""
    books, record = ctx.books, app.record
    ctx.move(APPLICATION, record, event)
    record.reason, record.ended = reason, ctx.now.wall
    ctx.tally.applications_ended[record.state] += 1
    ctx.tally.application_duration.observe(record.ended - record.submitted)
    app.view = None
    _end_executors(ctx, app)
    if tell:
        ctx.send(app.peer, ApplicationRemoved(app_id=record.id, state=record.state, reason=reason))
    _unbind(ctx, app)
    books.apps.pop(record.id, None)
    books.completed_apps[record.id] = app
    ctx.save_app(record)
    ctx.schedule_wanted = True
    level = logging.INFO if event is ApplicationEvent.FINISHED else logging.WARNING
    ctx.log(f"{record.id} is {record.state.value}{': ' + reason if reason else ''}", level)
    trim_apps(ctx, ctx.policy.retained_apps)


def _end_executors(ctx: Context, app: BookedApp) -> None:
    # Every worker that ever ran one of its executors keeps directories for it.
    hosts = dict.fromkeys(executor.worker_id for executor in (*app.executors.values(), *app.removed))
    for executor in list(app.executors.values()):
        executors.abandon(ctx, app, executor)
    for worker_id in hosts:
        worker = ctx.books.current_worker(worker_id)
        if worker is not None:
            ctx.send(worker.peer, ApplicationFinished(epoch=ctx.epoch, app_id=app.record.id))
