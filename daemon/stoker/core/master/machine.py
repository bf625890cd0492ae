"""The master's state machine: events in, effects out. No I/O, no clock, no threads (docs/architecture.md).

A shell drains what is waiting, calls ``handle`` for each event, then ``finish_batch`` once (timers, one scheduling
pass), commits the ``Persist``/``Forget`` effects in one durable write, and only then releases the ``Send``s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stoker.core.master import applications, draining, drivers, executor_reports, recovery, refusals, workers
from stoker.core.master.books import Worker
from stoker.core.master.clock import OwnTime
from stoker.core.master.context import Context, Rng
from stoker.core.master.effects import Effect
from stoker.core.master.policy import Policy
from stoker.core.master.retention import trim_apps, trim_drivers
from stoker.core.master.scheduling.run import schedule
from stoker.core.master.show import app_view, driver_view, worker_view
from stoker.core.model.messages import (
    ApplicationHeartbeat,
    DrainWorkers,
    DriverStateChanged,
    ExecutorStateChanged,
    Failed,
    ForgetWorkers,
    GetStatus,
    KillExecutors,
    KillJob,
    MastersChanged,
    Message,
    Reconnect,
    RegisterApplication,
    RegisterWorker,
    RequestExecutors,
    Status,
    SubmitDriver,
    UnregisterApplication,
    WatchDriver,
    WorkerHeartbeat,
    WorkerLeaving,
)
from stoker.core.model.records import Record
from stoker.core.model.states import MasterState, Role
from stoker.core.model.values import Now
from stoker.core.model.views import ClusterView


@dataclass(frozen=True, slots=True)
class Received:
    """A message from a peer whose key and role the shell has checked."""

    peer: bytes
    key: str
    role: Role
    message: Message


@dataclass(frozen=True, slots=True)
class Gone:
    """A connection is closed."""

    peer: bytes


Event = Received | Gone


@dataclass(frozen=True, slots=True)
class OutputLocation:
    """Where the output of a driver or executor is: ask ``peer``, unless ``error`` or ``waiting`` says otherwise."""

    peer: bytes | None = None
    waiting: bool = False
    error: str = ""


class MasterCore:
    """One leading master. ``rng`` decides shuffles and jitter, so a run can be replayed from its seed."""

    def __init__(
        self, *, policy: Policy, epoch: int, url: str, rng: Rng, webui_url: str = "", version: str = ""
    ) -> None:
        self.ctx = Context(policy=policy, epoch=epoch, url=url, webui_url=webui_url, rng=rng)
        self.version = version
        self._silence_checked = float("-inf")
        self._own_time, self._due = OwnTime(), float("-inf")

    def recover(self, records: Mapping[str, Record], now: Now) -> list[Effect]:
        """Start from what an earlier master recorded (possibly nothing)."""
        self._look(now)
        if records:
            recovery.load(self.ctx, records)
        return self.ctx.take_effects()

    def handle(self, event: Event, now: Now) -> None:
        """Change the books; effects pile up until ``finish_batch``."""
        self._look(now)
        if isinstance(event, Gone):
            self._gone(event.peer)
        else:
            _HANDLERS[type(event.message)](self, event)

    def finish_batch(self, now: Now) -> list[Effect]:
        """Timers and one scheduling pass; returns all effects since the last call."""
        ctx = self.ctx
        self._look(now)
        self._tick()
        if ctx.state is MasterState.RECOVERING:
            recovery.complete_if_all_answered(ctx)
        if ctx.schedule_wanted:
            schedule(ctx)
        self._due = self._next_due()
        return ctx.take_effects()

    def next_deadline(self) -> float:
        """When ``finish_batch`` must be called at the latest (``time.monotonic`` seconds)."""
        return self._own_time.mono(self._next_due())

    def _next_due(self) -> float:
        silence = self._silence_checked + self._silence_interval
        timer = self.ctx.next_timer()
        return silence if timer is None else min(silence, timer)

    def _look(self, now: Now) -> None:
        self.ctx.now = self._own_time.at(now, self._due)

    @property
    def _silence_interval(self) -> float:
        return max(0.02, self.ctx.policy.worker_timeout / 10)

    def _tick(self) -> None:
        ctx = self.ctx
        if ctx.now.mono >= self._silence_checked + self._silence_interval:
            self._silence_checked = ctx.now.mono
            workers.check_silence(ctx)
            applications.silent(ctx)
        for timer in ctx.due_timers():
            what, _, subject = timer.partition(" ")
            if what == "relaunch":
                drivers.relaunch_due(ctx, subject)
            elif what == "worker-away":
                workers.away_due(ctx, subject)
            elif what == "worker-avoided":
                refusals.avoided_due(ctx, subject)
            elif what == "app-away":
                applications.away_due(ctx, subject)
            elif what == "recovered":
                recovery.complete(ctx)
            elif what == "homeless":
                recovery.give_up_homeless(ctx)
            else:
                ctx.schedule_wanted = True

    def _gone(self, peer: bytes) -> None:
        workers.peer_gone(self.ctx, peer)
        applications.peer_gone(self.ctx, peer)
        drivers.forget_watcher(self.ctx, peer)

    # --- one method per message ---

    def _worker_of(self, event: Received, claimed: str) -> Worker | None:
        """The registered worker of this connection; a stranger is told to register (again)."""
        worker_id = self.ctx.books.worker_of_peer.get(event.peer)
        if worker_id is None or worker_id != claimed:
            workers.ask_to_register(self.ctx, event.peer, claimed)
            return None
        worker = self.ctx.books.workers[worker_id]
        worker.last_seen = self.ctx.now.mono
        return worker

    def _register_worker(self, event: Received) -> None:
        assert isinstance(event.message, RegisterWorker)
        workers.register(self.ctx, event.peer, event.message)

    def _worker_heartbeat(self, event: Received) -> None:
        assert isinstance(event.message, WorkerHeartbeat)
        workers.heartbeat(self.ctx, event.peer, event.message.worker_id)

    def _worker_leaving(self, event: Received) -> None:
        assert isinstance(event.message, WorkerLeaving)
        worker = self._worker_of(event, event.message.worker_id)
        if worker is not None:
            workers.leaving(self.ctx, worker, event.message)

    def _driver_state(self, event: Received) -> None:
        assert isinstance(event.message, DriverStateChanged)
        worker = self._worker_of(event, event.message.worker_id)
        if worker is not None:
            drivers.state_changed(self.ctx, worker, event.peer, event.message)

    def _executor_state(self, event: Received) -> None:
        assert isinstance(event.message, ExecutorStateChanged)
        worker = self._worker_of(event, event.message.worker_id)
        if worker is not None:
            executor_reports.state_changed(self.ctx, worker, event.peer, event.message)

    def _submit(self, event: Received) -> None:
        assert isinstance(event.message, SubmitDriver)
        if self.ctx.state is not MasterState.ALIVE:
            reason = f"Current state is not alive: {self.ctx.state.value}. Can only accept driver submissions in ALIVE state."
            self.ctx.send(event.peer, Failed(request=event.message.request, reason=reason, code="not-leader"))
            return
        drivers.submit(self.ctx, event.peer, event.key, event.message)

    def _kill(self, event: Received) -> None:
        assert isinstance(event.message, KillJob)
        owner = None if event.role is Role.ADMIN else event.key
        self.kill(event.message.id, event.peer, event.message.request, owner)

    def kill(self, job_id: str, peer: bytes | None, request: int, owner: str | None) -> None:
        """Kill a driver or application; ``owner`` None may kill everybody's (an admin, the dashboard)."""
        if self.ctx.state is not MasterState.ALIVE:
            reason = f"Current state is not alive: {self.ctx.state.value}. Can only kill drivers in ALIVE state."
            self.ctx.send(peer, Failed(request=request, reason=reason, code="not-leader"))
        elif job_id.startswith("app-"):
            applications.kill(self.ctx, peer, request, job_id, owner=owner)
        else:
            drivers.kill(self.ctx, peer, request, job_id, owner=owner)

    def _get_status(self, event: Received) -> None:
        assert isinstance(event.message, GetStatus)
        request, wanted = event.message.request, event.message.id
        driver, app = self.ctx.books.find_driver(wanted), self.ctx.books.find_app(wanted)
        worker = self.ctx.books.current_worker(wanted)
        if not wanted:
            answer: Message = Status(request=request, cluster=self.view())
        elif driver is not None:
            answer = Status(request=request, driver=driver_view(driver))
        elif app is not None:
            answer = Status(request=request, app=app_view(app))
        elif worker is not None:
            answer = Status(request=request, worker=worker_view(worker))
        else:
            reason = f"There is no driver, application or worker {wanted}"
            answer = Failed(request=request, reason=reason, code="not-found")
        self.ctx.send(event.peer, answer)

    def _drain_workers(self, event: Received) -> None:
        assert isinstance(event.message, DrainWorkers)
        draining.drain(self.ctx, event.peer, event.message)

    def _forget_workers(self, event: Received) -> None:
        assert isinstance(event.message, ForgetWorkers)
        draining.forget(self.ctx, event.peer, event.message)

    def _watch(self, event: Received) -> None:
        assert isinstance(event.message, WatchDriver)
        drivers.watch(self.ctx, event.peer, event.message)

    def _register_app(self, event: Received) -> None:
        assert isinstance(event.message, RegisterApplication)
        applications.register(self.ctx, event.peer, event.key, event.message)

    def _unregister_app(self, event: Received) -> None:
        assert isinstance(event.message, UnregisterApplication)
        applications.unregister(self.ctx, event.peer, event.message)

    def _app_heartbeat(self, event: Received) -> None:
        assert isinstance(event.message, ApplicationHeartbeat)
        applications.heartbeat(self.ctx, event.peer, event.message.app_id)

    def _request_executors(self, event: Received) -> None:
        assert isinstance(event.message, RequestExecutors)
        applications.request_executors(self.ctx, event.peer, event.message)

    def _kill_executors(self, event: Received) -> None:
        assert isinstance(event.message, KillExecutors)
        applications.kill_executors(self.ctx, event.peer, event.message)

    def clear_completed(self, now: Now) -> None:
        """Forget all drivers and applications that are over."""
        self._look(now)
        trim_drivers(self.ctx, 0)
        trim_apps(self.ctx, 0)

    # --- what others may look at ---

    def view(self) -> ClusterView:
        ctx, books = self.ctx, self.ctx.books
        return ClusterView(
            url=ctx.url,
            state=ctx.state,
            epoch=ctx.epoch,
            version=self.version,
            workers=tuple(worker_view(worker) for worker in books.workers.values()),
            active_drivers=tuple(driver_view(driver) for driver in books.drivers.values()),
            completed_drivers=tuple(driver_view(driver) for driver in books.completed_drivers.values()),
            active_apps=tuple(app_view(app) for app in books.apps.values()),
            completed_apps=tuple(app_view(app) for app in books.completed_apps.values()),
            webui_url=ctx.webui_url,
            warnings=(ctx.rival,) if ctx.rival else (),
        )

    def masters_are(self, addresses: tuple[str, ...]) -> None:
        """All masters there are, this one first: who registers is told, and who has registered as well."""
        ctx = self.ctx
        if addresses == ctx.masters:
            return
        ctx.masters = addresses
        for peer in (*ctx.books.worker_of_peer, *ctx.books.app_of_peer):
            ctx.send(peer, MastersChanged(epoch=ctx.epoch, masters=addresses))

    def invite(self, peers: Iterable[bytes]) -> None:
        """Those who asked this master while it was a standby may register now (spec 13.3.2)."""
        for peer in peers:
            self.ctx.send(peer, Reconnect(epoch=self.ctx.epoch))

    def locate_output(self, job_id: str, executor_id: int) -> OutputLocation:
        """Which worker has the output of a driver's latest attempt, or of an executor."""
        return self._executor_output(job_id, executor_id) if job_id.startswith("app-") else self._driver_output(job_id)

    def _executor_output(self, app_id: str, executor_id: int) -> OutputLocation:
        app = self.ctx.books.find_app(app_id)
        if app is None:
            return OutputLocation(error=f"There is no application {app_id}")
        for executor in (*app.executors.values(), *reversed(app.removed)):
            if executor.id == executor_id:
                return self._location(executor.worker_id)
        return OutputLocation(error=f"{app_id} has no executor {executor_id}")

    def _driver_output(self, driver_id: str) -> OutputLocation:
        driver = self.ctx.books.find_driver(driver_id)
        if driver is None:
            return OutputLocation(error=f"There is no driver {driver_id}")
        if driver.record.attempts:
            return self._location(driver.record.attempts[-1].worker_id)
        if driver.record.state.is_final:
            return OutputLocation(error=f"{driver_id} never ran")
        return OutputLocation(waiting=True)

    def _location(self, worker_id: str) -> OutputLocation:
        worker = self.ctx.books.current_worker(worker_id)
        if worker is None or worker.peer is None:
            return OutputLocation(error=f"its output is on {worker_id}, which is not connected")
        return OutputLocation(peer=worker.peer)


_HANDLERS = {
    RegisterWorker: MasterCore._register_worker,
    WorkerHeartbeat: MasterCore._worker_heartbeat,
    WorkerLeaving: MasterCore._worker_leaving,
    DriverStateChanged: MasterCore._driver_state,
    ExecutorStateChanged: MasterCore._executor_state,
    SubmitDriver: MasterCore._submit,
    KillJob: MasterCore._kill,
    GetStatus: MasterCore._get_status,
    DrainWorkers: MasterCore._drain_workers,
    ForgetWorkers: MasterCore._forget_workers,
    WatchDriver: MasterCore._watch,
    RegisterApplication: MasterCore._register_app,
    UnregisterApplication: MasterCore._unregister_app,
    ApplicationHeartbeat: MasterCore._app_heartbeat,
    RequestExecutors: MasterCore._request_executors,
    KillExecutors: MasterCore._kill_executors,
}
