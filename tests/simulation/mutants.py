"""Planted bugs, which show that the simulator finds bugs. Each changes the real code within a ``with`` block, and a run of
seeds must find it (test_mutants.py, and the table in docs/simulation.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from stoker.core.master import (
    driver_reports,
    drivers,
    executor_reports,
    executors,
    recovery,
    schedule,
    vouching,
    workers,
)
from stoker.core.master.books import Books
from stoker.core.master.books import Worker as BookedWorker
from stoker.core.master.clock import OwnTime
from stoker.core.master.context import Context
from stoker.core.master.effects import Batch, Effect, Persist, Received, Send, batch_of
from stoker.core.master.fitness import unfit
from stoker.core.master.scheduling.queue import DriverQueue, Lane
from stoker.core.master.sharing.accounts import Accounts
from stoker.core.master.sharing.turns import Turns
from stoker.core.model.lifecycles import DRIVER, DriverEvent
from stoker.core.model.messages import DriverStateAck, ExecutorStateAck, LaunchDriver, Reconnect
from stoker.core.model.principal import Asker
from stoker.core.model.resources import pairs, take_lowest
from stoker.core.model.values import Exit
from stoker.core.peer.following import Following
from stoker.core.peer.masters import NEVER, Masters
from stoker.core.peer.requests import Requests
from stoker.core.worker import machine
from stoker.core.worker.machine import WorkerCore
from stoker.core.worker.registration import Registration
from stoker.core.worker.room import lack_for
from stoker.worker.keeper.job import KeptJob
from tests.simulation import master
from tests.simulation.keeper import SimulatedKeeper
from tests.simulation.mutants_journal import (
    trusted_after_a_power_cut,
    unnamed_loss,
    unread_notes,
    unsynced_end,
    unwritten_intent,
)
from tests.simulation.storage import Ensemble, FencedEngine

Mutation = Callable[[], Any]  # a context manager


def _nothing(*_: Any, **__: Any) -> None:
    """Replaces a line that somebody forgot."""


@contextmanager
def skip_fence() -> Iterator[None]:
    """A deposed leader's writes are applied."""
    with patch.object(FencedEngine, "check_fence", _nothing):
        yield


@contextmanager
def same_epoch() -> Iterator[None]:
    """An election does not raise the epoch."""
    elect = Ensemble._elect

    def keep(self: Ensemble) -> None:
        before = self.epoch
        self.epoch = max(0, before - 1)
        elect(self)
        self.epoch = max(before, self.epoch)

    with patch.object(Ensemble, "_elect", keep):
        yield


@contextmanager
def send_before_persist() -> Iterator[None]:
    """Messages that depend on a batch's records are sent before the records are written."""

    def release(self: master.Master, effects: list[Effect]) -> Iterator[float]:
        batch = batch_of(effects)
        for effect in batch.after:
            if isinstance(effect, Send):
                self._send(effect.peer, effect.message)
        yield from original(self, [effect for effect in effects if not isinstance(effect, Send)])

    original = master.Master._release
    with patch.object(master.Master, "_release", release):
        yield


@contextmanager
def lost_write() -> Iterator[None]:
    """The record of a submission is not written."""

    def without(effects: list[Effect]) -> Batch:
        batch = batch_of(effects)
        writes: Mapping[str, Any] = batch.writes
        return replace(batch, writes={key: value for key, value in writes.items() if not key.startswith("driver/")})

    with patch.object(master, "batch_of", without):
        yield


@contextmanager
def double_launch() -> Iterator[None]:
    """A driver's launch command goes to a second worker too."""
    launch = drivers.launch

    def twice(ctx: Context, driver: Any, worker: Any) -> None:
        launch(ctx, driver, worker)
        for other in ctx.books.workers.values():
            if other is not worker and other.peer is not None:
                record = driver.record
                ctx.send(
                    other.peer,
                    LaunchDriver(
                        epoch=ctx.epoch, driver_id=record.id, attempt=record.attempt, driver=record.description
                    ),
                )
                return

    with patch.object(drivers, "launch", twice):
        yield


@contextmanager
def lost_ack() -> Iterator[None]:
    """Final reports of workers are not acknowledged."""
    send = Context.send

    def silent(self: Context, peer: bytes | None, message: Any) -> None:
        if not isinstance(message, (DriverStateAck, ExecutorStateAck)):
            send(self, peer, message)

    with patch.object(Context, "send", silent):
        yield


@contextmanager
def reused_id() -> Iterator[None]:
    """The counters are not recorded, and ids on record are not reserved. (The clock stands still, or all ids would
    differ.)"""
    with (
        patch.object(Context, "save_counters", _nothing),
        patch.object(Books, "reserve_id", _nothing),
        patch("stoker.core.master.books._stamp", lambda wall: "20270101000000"),
    ):
        yield


@contextmanager
def ignored_death() -> Iterator[None]:
    """The master ignores that a worker's connection has closed."""
    with patch.object(workers, "peer_gone", _nothing):
        yield


@contextmanager
def leaked_cores() -> Iterator[None]:
    """The cores of an ended driver are not released."""
    release = Books.release_driver

    def leak(self: Books, driver: Any) -> None:
        worker = self.workers.get(driver.record.attempts[-1].worker_id) if driver.record.attempts else None
        before = worker.cores_used if worker is not None else 0
        release(self, driver)
        if worker is not None:
            worker.cores_used = before

    with patch.object(Books, "release_driver", leak):
        yield


@contextmanager
def kill_without_report() -> Iterator[None]:
    """A killed driver is booked as ended before its worker reports it."""
    kill = drivers.kill

    def at_once(ctx: Context, peer: bytes | None, request: int, driver_id: str, *, by: Asker) -> None:
        kill(ctx, peer, request, driver_id, by=by)
        driver = ctx.books.drivers.get(driver_id)
        if driver is not None and driver.record.kill_requested:
            ctx.books.release_driver(driver)
            drivers.finish(ctx, driver, DriverEvent.KILLED, "killed on request")

    with patch.object(drivers, "kill", at_once):
        yield


@contextmanager
def stale_report() -> Iterator[None]:
    """A report about an earlier attempt is taken for one about the latest."""
    state_changed = driver_reports.state_changed

    def any_attempt(ctx: Context, worker: Any, peer: bytes, message: Any) -> None:
        driver = ctx.books.drivers.get(message.driver_id)
        if driver is not None and driver.record.attempts:
            worker = ctx.books.workers.get(driver.record.attempts[-1].worker_id, worker)
            message = type(message)(
                **{name: getattr(message, name) for name in message.__struct_fields__}
                | {"attempt": driver.record.attempt}
            )
        state_changed(ctx, worker, peer, message)

    with patch.object(driver_reports, "state_changed", any_attempt):
        yield


@contextmanager
def obey_anybody() -> Iterator[None]:
    """A worker carries out commands of a lower epoch than it has seen."""
    believes = Registration.believes

    def obey(self: Registration, address: str, message: Any, now: float) -> bool:
        seen = self.epoch
        self.epoch = min(seen, getattr(message, "epoch", seen))
        believed = believes(self, address, message, now)
        self.epoch = max(seen, self.epoch)
        return believed

    with patch.object(Registration, "believes", obey):
        yield


@contextmanager
def silent_registration() -> Iterator[None]:
    """A worker that registers again does not report its running jobs."""

    original = WorkerCore._describe

    def describe(self: WorkerCore, highest_epoch: int) -> Any:
        jobs, self.jobs = self.jobs, {}
        described = original(self, highest_epoch)
        self.jobs = jobs
        return described

    with patch.object(WorkerCore, "_describe", describe):
        yield


@contextmanager
def forgotten_end() -> Iterator[None]:
    """A worker forgets an ended job after reporting it, not after the acknowledgement."""
    end = WorkerCore._end

    def once(self: WorkerCore, job: Any, exit: Any, *, could_not_run: bool) -> None:
        end(self, job, exit, could_not_run=could_not_run)
        self.jobs.pop(job.key, None)

    with patch.object(WorkerCore, "_end", once):
        yield


@contextmanager
def immortal() -> Iterator[None]:
    """A keeper without a daemon runs indefinitely."""
    with patch.object(SimulatedKeeper, "_stop_all_without_daemon", _nothing):
        yield


@contextmanager
def no_limits() -> Iterator[None]:
    """A pass does not ask for the limits of pools."""
    turns_of = schedule.turns_of

    def blind(ctx: Context) -> Turns:
        turns = turns_of(ctx)
        turns.refusal = lambda *_, **__: ""  # type: ignore[method-assign]
        return turns

    with patch.object(schedule, "turns_of", blind):  # the checker has the real one
        yield


@contextmanager
def never_credited() -> Iterator[None]:
    """The end of a driver is not credited to its pool and user."""
    charge = Accounts.charge

    def only_debits(self: Accounts, account: Any, cores: int, memory_mib: int, *, drivers: int = 0) -> None:
        if drivers >= 0:
            charge(self, account, cores, memory_mib, drivers=drivers)

    with patch.object(Accounts, "charge", only_debits):
        yield


@contextmanager
def last_in_first_out() -> Iterator[None]:
    """New drivers go to the head of the queue."""
    push = DriverQueue.push

    def at_the_head(self: DriverQueue, driver_id: str, lane: Lane, *, first: bool = False) -> None:
        push(self, driver_id, lane, first=True)

    with patch.object(DriverQueue, "push", at_the_head):
        yield


@contextmanager
def ignored_token() -> Iterator[None]:
    """A repeated submission makes a second driver."""
    submit = drivers.submit

    def afresh(ctx: Context, event: Received, message: Any) -> None:
        ctx.books.tokens.pop(message.token, None)
        submit(ctx, event, message)

    with patch.object(drivers, "submit", afresh):
        yield


@contextmanager
def hasty_recovery() -> Iterator[None]:
    """A new master declares the drivers of absent workers lost at once, and does not wait for their keepers."""

    def give_up(ctx: Context, worker: Any) -> None:
        worker.reconnect_until = ctx.now.mono
        ctx.wake_at(worker.reconnect_until, f"worker-reconnect {worker.record.id}")

    with patch.object(recovery, "_wait_for_keeper", give_up):
        yield


@contextmanager
def hasty_replacement() -> Iterator[None]:
    """A crashed worker's drivers are started elsewhere at once."""

    def lost(ctx: Context, driver: Any) -> None:
        drivers.lost(ctx, driver, "its worker is unreachable")

    with patch.object(drivers, "worker_disconnected", lost):
        yield


@contextmanager
def free_while_dying() -> Iterator[None]:
    """Cores and memory of processes that are still being killed are granted again."""
    with patch.object(Books, "mark_dying", _nothing):
        yield


@contextmanager
def freed_at_kill() -> Iterator[None]:
    """An address is granted again when the kill is sent, and the worker does not notice that it is still held."""
    mark, kill = Books.mark_dying, drivers.kill

    def without(self: Books, worker: Any, key: Any, cores: int, memory_mib: int, resources: Any) -> None:
        mark(self, worker, key, cores, memory_mib, ())

    def freeing(ctx: Context, peer: Any, request: int, driver_id: str, *, by: Asker) -> None:
        kill(ctx, peer, request, driver_id, by=by)
        driver = ctx.books.drivers.get(driver_id)
        if driver is not None and driver.record.attempts:
            attempt = driver.record.attempts[-1]
            worker = ctx.books.workers.get(attempt.worker_id)
            if worker is not None and driver_id in worker.drivers:
                for pair in pairs(attempt.resources):
                    worker.held.pop(pair)
                attempt.resources = ()

    def blind(job: Any, identity: Any, used: Any) -> str:
        return lack_for(job, identity, used._replace(resources=()))

    with (
        patch.object(Books, "mark_dying", without),
        patch.object(drivers, "kill", freeing),
        patch.object(machine, "lack_for", blind),
    ):
        yield


@contextmanager
def second_grant() -> Iterator[None]:
    """An address that a job holds is granted to another one."""

    def of_all(self: BookedWorker, amounts: Any) -> Any:
        return take_lowest(self.record.resources, (), amounts)

    with patch.object(BookedWorker, "lowest_free", of_all):
        yield


@contextmanager
def forgotten_kill() -> Iterator[None]:
    """The kill of a driver is not recorded."""
    save = Context.save_driver

    def without(self: Context, record: Any) -> None:
        save(self, record)
        effect = self._effects[-1]
        assert isinstance(effect, Persist)
        if record.kill_requested and not record.state.is_final:
            copy = type(record)(
                **{name: getattr(record, name) for name in record.__struct_fields__} | {"kill_requested": False}
            )
            self._effects[-1] = Persist(effect.key, copy)

    with patch.object(Context, "save_driver", without):
        yield


@contextmanager
def orphaned_executors() -> Iterator[None]:
    """The executors of an ended application are not killed."""
    with patch.object(executors, "kill", _nothing):
        yield


@contextmanager
def no_replacement() -> Iterator[None]:
    """After an executor has ended, the master does not look for work for its cores."""
    ended = executor_reports.ended

    def idle(ctx: Context, app: Any, executor: Any, event: Any, exit: Any) -> None:
        before = ctx.schedule_wanted
        ended(ctx, app, executor, event, exit)
        ctx.schedule_wanted = before

    with patch.object(executor_reports, "ended", idle):
        yield


@contextmanager
def second_run() -> Iterator[None]:
    """A driver that is not supervised and may have been started is placed again."""
    never_started = drivers.never_started

    def hopeful(ctx: Context, driver: Any, *, surely: bool, renumber: bool = False) -> None:
        never_started(ctx, driver, surely=True, renumber=renumber or not surely)

    with patch.object(drivers, "never_started", hopeful):
        yield


@contextmanager
def ignored_end() -> Iterator[None]:
    """A driver that was declared lost stays ERROR, although its worker reports how it ended."""
    with patch.object(driver_reports, "_true_end", lambda ctx, worker, report: False):
        yield


@contextmanager
def counted_refusal() -> Iterator[None]:
    """A driver that a worker refused for its own reasons ends as ERROR."""

    def end(ctx: Context, driver: Any, worker: Any, reason: str) -> None:
        drivers.ended(ctx, driver, DriverEvent.ERROR, Exit(reason=reason, refused=True))

    with patch.object(drivers, "refused", end):
        yield


@contextmanager
def ignored_illness() -> Iterator[None]:
    """A master places jobs on a worker that has reported that its host is not well."""
    with patch.object(unfit, "reported", _nothing):
        yield


@contextmanager
def own_sleep() -> Iterator[None]:
    """A master takes the time in which it was stopped for the silence of its peers, also of workers about to register."""

    def ask(ctx: Context, event: Received, worker_id: str) -> None:
        ctx.send(event.peer, Reconnect(epoch=ctx.epoch))

    with patch.object(OwnTime, "at", lambda self, now, due: now), patch.object(workers, "ask_to_register", ask):
        yield


@contextmanager
def second_end() -> Iterator[None]:
    """A driver that is killed while its worker is unreachable ends, and is then queued again like a supervised one."""
    lost = drivers.lost

    def again(ctx: Context, driver: Any, why: str) -> None:
        lost(ctx, driver, why)
        if driver.record.kill_requested:
            ctx.move(DRIVER, driver.record, DriverEvent.REQUEUED)
            drivers.enqueue(ctx, driver)

    with patch.object(drivers, "lost", again):
        yield


@contextmanager
def forgotten_question() -> Iterator[None]:
    """Questions that a lost leader has not answered are not asked again."""
    with patch.object(Requests, "leader_lost", lambda self: []):
        yield


@contextmanager
def believed_standby() -> Iterator[None]:
    """A client follows a master although it answers that it does not lead."""
    with patch.object(Following, "not_leader", _nothing):
        yield


@contextmanager
def single_try() -> Iterator[None]:
    """A link that has failed is not tried again."""
    with patch.object(Masters, "next_try", lambda self, master, now: NEVER):
        yield


@contextmanager
def unlimited() -> Iterator[None]:
    """A keeper does not stop a job that has reached its time limit."""
    with patch.object(KeptJob, "stop_at", float("inf")):
        yield


@contextmanager
def believed_report() -> Iterator[None]:
    """A worker's report counts wherever the books have placed the job."""
    with patch.object(vouching, "is_placed", lambda worker, placed: True):
        yield


@contextmanager
def requeued_invention() -> Iterator[None]:
    """A driver that a worker reported without a seal, and then did not report again, is started elsewhere."""
    never_started, refused = drivers.never_started, drivers.refused

    def proved(ctx: Context, driver: Any, *rest: Any, **options: Any) -> None:
        driver.record.unsealed = False
        never_started(ctx, driver, *rest, **options)

    def proved_too(ctx: Context, driver: Any, *rest: Any) -> None:
        driver.record.unsealed = False
        refused(ctx, driver, *rest)

    with patch.object(drivers, "never_started", proved), patch.object(drivers, "refused", proved_too):
        yield


# The faults that reveal the bug; () for those that the seeds choose.
MUTANTS: dict[Mutation, tuple[str, ...]] = {
    skip_fence: ("expire_session", "freeze_master"),
    same_epoch: ("expire_session",),
    send_before_persist: ("kill_master", "slow_disk"),
    lost_write: ("kill_master",),
    double_launch: (),
    lost_ack: (),
    reused_id: ("kill_master",),
    ignored_death: ("kill_worker", "reset"),
    leaked_cores: (),
    kill_without_report: (),
    stale_report: ("freeze_worker", "cut", "reset"),
    obey_anybody: ("expire_session", "freeze_master", "freeze_worker"),
    silent_registration: ("reset", "kill_master"),
    forgotten_end: ("stop_master", "kill_master"),
    immortal: ("kill_worker",),
    last_in_first_out: (),
    no_limits: (),
    never_credited: (),
    ignored_token: ("reset", "kill_master"),
    hasty_recovery: ("kill_master", "kill_worker"),
    hasty_replacement: ("kill_worker", "reset"),
    free_while_dying: (),
    freed_at_kill: (),
    second_grant: (),
    forgotten_kill: (),
    orphaned_executors: (),
    no_replacement: (),
    counted_refusal: ("full_worker",),
    believed_report: ("hostile",),
    requeued_invention: ("hostile",),
    ignored_illness: ("ill_worker",),
    second_run: ("power_cut_at_start",),
    unwritten_intent: ("kill_daemon_and_keeper_at_start",),
    unread_notes: ("kill_daemon_and_keeper", "kill_master"),
    unnamed_loss: ("kill_daemon_and_keeper_at_start",),
    unsynced_end: ("power_cut_at_end", "kill_master"),
    trusted_after_a_power_cut: ("power_cut_at_start",),
    ignored_end: ("cut", "freeze_worker"),
    second_end: ("kill_worker",),
    own_sleep: ("hang_new_master", "reset"),
    forgotten_question: ("reset", "kill_master"),
    believed_standby: ("kill_master",),
    single_try: (),
    unlimited: (),
}
