"""The worker's state machine: the life of its jobs (spec 9.1, 11, 12). No I/O, no clock.

Each event changes the books and leaves effects, which ``take_effects`` hands to the shell. Times are monotonic seconds
unless they come from ``Now.wall``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from stoker.core.model.lifecycles import JOB, JobEvent
from stoker.core.model.messages import (
    ApplicationFinished,
    DriverStateAck,
    ExecutorStateAck,
    KillDriver,
    KillExecutor,
    LaunchDriver,
    LaunchExecutor,
    Message,
    RegisteredWorker,
    RegisterWorker,
    SetDrain,
    WorkerLeaving,
)
from stoker.core.model.moves import Recent, move
from stoker.core.model.states import JobPhase
from stoker.core.model.values import DrainMark, Exit, Now, Rng, Unfit
from stoker.core.worker.effects import (
    ApplicationOver,
    CancelPrepare,
    ForgetJob,
    Log,
    Prepare,
    RememberDrain,
    SpawnJob,
    StopJob,
    WorkerEffect,
)
from stoker.core.worker.fitness import Fitness
from stoker.core.worker.jobs import AnyJob, DriverJob, ExecutorJob, key_of, never_had, other_attempts
from stoker.core.worker.registration import Registration, WorkerIdentity
from stoker.core.worker.room import Used, lack_for, used_by
from stoker.core.worker.succession import Succession


class WorkerCore:
    def __init__(
        self,
        identity: WorkerIdentity,
        *,
        masters: tuple[str, ...],
        grace: float,
        rng: Rng,
        drain: DrainMark = DrainMark(),  # noqa: B008 - immutable
    ) -> None:
        self.identity = identity
        self.drain = drain  # the latest mark; the worker only stores and reports it, the master decides on placement
        self.jobs: dict[str, AnyJob] = {}
        self.stopping = False
        self._keeping = False  # while stopping: the processes stay for the next daemon
        self._grace = grace
        self._succession = Succession()
        self._effects: list[WorkerEffect] = []
        self._recent = Recent()
        self.fitness = Fitness(self._fitness_changed)
        self.registration = Registration(
            identity.id, masters, rng, emit=self._emit, describe=self._describe, unfit=lambda: self.fitness.unfit
        )
        self._now = Now(0.0, 0.0)

    # --- the books ---

    @property
    def used(self) -> Used:
        """What its jobs use."""
        return used_by(self.jobs.values())

    def take_effects(self) -> list[WorkerEffect]:
        effects, self._effects = self._effects, []
        return effects

    def next_deadline(self) -> float:
        return min([self.registration.next_deadline(), *(job.due for job in self.jobs.values())])

    def _emit(self, effect: WorkerEffect) -> None:
        self._effects.append(effect)

    def _log(self, text: str, level: int = logging.INFO) -> None:
        self._emit(Log(level, text))

    def _send(self, message: Message) -> None:
        """Send to the leader; without a leader, the next registration reports everything."""
        self.registration.send(message)

    def _describe(self, highest_epoch: int) -> RegisterWorker:
        """Return the registration: everything a master must know of this worker."""
        return self.identity.registration(
            highest_epoch,
            drivers=tuple(job.report() for job in self.jobs.values() if isinstance(job, DriverJob)),
            executors=tuple(job.report() for job in self.jobs.values() if isinstance(job, ExecutorJob)),
            drain=self.drain,
            heir_of=self._succession.heir_of,
            lost=self._succession.lost_drivers,
            unfit=self.fitness.unfit,
            seal=self.registration.seal,
        )

    # --- time and connections ---

    def tick(self, now: Now) -> None:
        self._now = now
        self.registration.tick(now.mono)
        for job in self.jobs.values():
            if now.mono >= job.due and job.phase is JobPhase.ENDED:
                self._report(job)
            elif now.mono >= job.due:
                job.expire()
                self._emit(StopJob(job.key, self._grace))

    def link_opened(self, address: str, now: Now) -> None:
        self._now = now
        self.registration.link_opened(address, now.mono)

    def link_closed(self, address: str, reason: str, *, denied: bool, now: Now) -> None:
        self._now = now
        self.registration.link_closed(address, reason, denied=denied, now=now.mono)

    # --- messages from masters ---

    def handle(self, address: str, message: Message, now: Now) -> None:
        """Handle a message from the master at ``address``; ignore a master that no longer leads."""
        self._now = now
        if not self.registration.believes(address, message, now.mono):
            return
        handler = _HANDLERS.get(type(message))
        if handler is not None:
            handler(self, address, message)
        else:
            self.registration.handle(address, message, now.mono)

    def _registered(self, address: str, message: RegisteredWorker) -> None:
        self.registration.registered(address, message, self._now.mono)
        for job in self.jobs.values():
            if job.phase is JobPhase.ENDED:
                job.reported_at = self._now.mono
        for key in self._succession.told():
            self._emit(ForgetJob(key))
        if self.stopping:
            self._send(WorkerLeaving(worker_id=self.identity.id, keeping=self._keeping))

    def _set_drain(self, address: str, message: SetDrain) -> None:
        if message.drain != self.drain:
            self.drain = message.drain
            self._emit(RememberDrain(message.drain))
            self._log("draining: nothing new is placed here" if message.drain.draining else "not draining any more")

    def decommission(self, now: Now) -> None:
        """Drain, because this machine will be switched off (SIGPWR). The master learns it from a registration, which
        masters of every release understand."""
        self._now = now
        drain = self.drain.changed(True)
        if drain == self.drain:
            return
        self.drain = drain
        self._emit(RememberDrain(drain))
        self._log("decommissioned: draining, nothing new is placed here until 'stoker undrain'")
        self._send(self._describe(self.registration.epoch))

    # --- the host ---

    def measured(self, found: tuple[Unfit, ...], now: Now) -> None:
        """Note what is wrong with this host; masters learn it at once."""
        self._now = now
        self.fitness.measured(found)

    def probed(self, now: Now) -> None:
        """Note that a probe succeeded: this host could start jobs."""
        self._now = now
        self.fitness.works()

    def users_file(self, fault: str, *, is_obeyed: bool, now: Now) -> None:
        """Note what the keeper found wrong with ``users.yml``, "" for nothing, and whether an earlier one is obeyed."""
        self.fitness.no_accounts("" if is_obeyed else fault, now.wall)
        self.registration.users_file_is(fault if is_obeyed else "")

    def _fitness_changed(self, *, is_news: bool) -> None:
        if is_news and self.fitness.unfit:
            self._log(f"unfit: {self.fitness.objection}; no new job is started here", logging.WARNING)
        elif is_news:
            self._log("fit: new jobs are started here again")
        self.registration.beat()

    # --- orders about jobs ---

    def _launch_driver(self, address: str, message: LaunchDriver) -> None:
        if self._has(message):
            return
        job = DriverJob.ordered(message, self._now.wall)
        others = other_attempts(self.jobs.values(), message.driver_id)
        newest = max((other.attempt for other in others), default=0)
        if newest > message.attempt:
            self.jobs[job.key] = job  # an outdated order
            self._end(job, Exit(reason=f"attempt {newest} of it is already on this worker"), could_not_run=True)
            return
        for older in others:
            self._kill(older)
        self._accept(job, f"attempt {others[0].attempt} of it is still being stopped here" if others else "")

    def _launch_executor(self, address: str, message: LaunchExecutor) -> None:
        if not self._has(message):
            self._accept(ExecutorJob.ordered(message, self._now.wall), "")

    def _has(self, message: LaunchDriver | LaunchExecutor) -> bool:
        """Return whether the job is here already; if so, its state is the answer."""
        job = self.jobs.get(key_of(message))
        if job is not None:
            self._report(job)
        return job is not None

    def _kill_or_answer(self, address: str, message: KillDriver | KillExecutor) -> None:
        job = self.jobs.get(key_of(message))
        if job is None:
            self._send(never_had(message, self.identity.id))
        elif job.phase is JobPhase.ENDED:
            self._report(job)
        else:
            self._kill(job)

    def _acknowledged(self, address: str, message: DriverStateAck | ExecutorStateAck) -> None:
        job = self.jobs.get(key_of(message))
        if job is not None and job.phase is JobPhase.ENDED:
            del self.jobs[job.key]
            self._emit(ForgetJob(job.key))

    def _application_finished(self, address: str, message: ApplicationFinished) -> None:
        self._emit(ApplicationOver(message.app_id))

    # --- the life of a job ---

    def _accept(self, job: AnyJob, objection: str) -> None:
        """Prepare the job, or refuse it with a reason: a refused launch is answered (quirk 7)."""
        if self.stopping:
            objection = "the worker is stopping"
        elif self.fitness.unfit:  # the master did not know it yet, or is too old to obey it
            objection = objection or self.fitness.objection
        objection = objection or lack_for(job, self.identity, self.used)
        if objection:
            self._refuse(job, objection)
            return
        self.jobs[job.key] = job
        self._emit(Prepare(job))

    def _refuse(self, job: AnyJob, reason: str) -> None:
        self.jobs[job.key] = job
        self._end(job, Exit(reason=reason, refused=True), could_not_run=True)

    def prepared(self, key: str, now: Now) -> None:
        self._now = now
        job = self.jobs.get(key)
        if job is not None and job.phase is JobPhase.PREPARING:
            move(JOB, job, JobEvent.PREPARED, self._recent)
            self._emit(SpawnJob(job, self.registration.master_url))

    def could_not_prepare(self, key: str, exit: Exit, now: Now) -> None:
        self._now = now
        job = self.jobs.get(key)
        if job is not None and job.phase is JobPhase.PREPARING:
            self.fitness.could_not_start(exit, now.wall)
            self._end(job, exit, could_not_run=True)

    def started(self, key: str, pid: int, now: Now, account: str = "") -> None:
        """Note that the keeper has started a job, as ``account``; "": jobs run as the worker's account."""
        self._now = now
        job = self.jobs.get(key)
        if job is None or job.phase is JobPhase.ENDED:  # ended meanwhile: a process without a job must stop
            self._emit(StopJob(key, self._grace))
        if job is None or job.phase is not JobPhase.STARTING:
            return
        job.run(JobEvent.STARTED, self._recent)
        self.fitness.works()
        job.pid, job.started, job.account = pid, now.wall, account
        job.limit(now)
        self._report(job)
        if job.killed:
            self._emit(StopJob(key, self._grace))

    def could_not_start(self, key: str, exit: Exit, now: Now) -> None:
        self._now = now
        job = self.jobs.get(key)
        if job is not None and job.phase is JobPhase.STARTING:
            self.fitness.could_not_start(exit, now.wall)
            self._end(job, exit, could_not_run=True)

    def exited(self, key: str, exit: Exit, now: Now) -> None:
        self._now = now
        job = self.jobs.get(key)
        if job is None:
            self._emit(ForgetJob(key))
        elif job.phase is not JobPhase.ENDED:
            self._end(job, exit, could_not_run=False)

    def disk_used(self, key: str, used: int, now: Now) -> None:
        """Stop a job whose files take more disk than it may: ``used`` bytes."""
        self._now = now
        job = self.jobs.get(key)
        if job is not None and job.exceed_disk(used):
            self._emit(StopJob(key, self._grace))

    def adopt(self, job: AnyJob, now: Now) -> None:
        """Take over a job of an earlier daemon or keeper, running or ended, from the keeper."""
        self._now = now
        known = self.jobs.get(job.key)
        if known is not None and known.phase is JobPhase.ENDED:
            return  # reported already
        if known is not None:
            job.killed = known.killed
        self.jobs[job.key] = job
        job.limit(now)
        if job.phase is JobPhase.ENDED:
            self._report(job)

    def keeper_lost(self, now: Now) -> None:
        """Note the loss of the keeper, and with it of the exit codes. The next keeper first stops the remaining processes.
        Until then (``keeper_back``) nothing is reported, so no driver is started elsewhere while it still runs here."""
        self._now = now
        unsaid = {
            effect.job.key for effect in self._effects if isinstance(effect, SpawnJob)
        }  # the next keeper gets them
        at_keeper = {job.key for job in self.jobs.values() if job.phase in (JobPhase.STARTING, JobPhase.RUNNING)}
        self._succession.keeper_lost(at_keeper - unsaid)

    def keeper_back(
        self, now: Now, served: Sequence[str] = (), lost: Sequence[str] = (), kept: Sequence[str] = ()
    ) -> None:
        """The keeper is ready; of its predecessor's processes only those it reported still run. ``served``: the daemons whose
        jobs it knows. ``kept``: keys of jobs that it has (``adopt`` follows), ``lost``: of jobs whose end nobody saw."""
        self._now = now
        for key in self._succession.keeper_back(self.identity.id, self.jobs, served, lost, kept):
            job = self.jobs.get(key)
            if job is not None and job.phase is not JobPhase.ENDED:
                self._end(job, Exit(reason="the worker's process keeper died"), could_not_run=False)

    def _kill(self, job: AnyJob) -> None:
        job.killed = True
        if job.phase is JobPhase.PREPARING:
            self._emit(CancelPrepare(job.key))
            self._end(job, Exit(reason="killed before it started"), could_not_run=True)
        elif job.phase is JobPhase.RUNNING:
            self._emit(StopJob(job.key, self._grace))

    def _end(self, job: AnyJob, exit: Exit, *, could_not_run: bool) -> None:
        job.end(exit, could_not_run=could_not_run, recent=self._recent)
        if exit.refused:
            self._log(f"refused {job.key}: {exit.reason}", logging.WARNING)
        self._report(job)

    def _report(self, job: AnyJob) -> None:
        if job.phase is JobPhase.ENDED:
            job.reported_at = self._now.mono
        elif job.phase is not JobPhase.RUNNING:
            return  # nothing to report yet
        self._send(job.state_changed(self.identity.id))

    # --- stopping ---

    def stop(self, *, keeping: bool, now: Now) -> None:
        """Prepare the daemon's end. ``keeping``: its processes stay for the next daemon; otherwise all are stopped."""
        self._now = now
        self.stopping, self._keeping = True, keeping
        self._send(WorkerLeaving(worker_id=self.identity.id, keeping=keeping))
        if not keeping:
            for job in list(self.jobs.values()):
                if job.phase is not JobPhase.ENDED:
                    self._kill(job)

    @property
    def is_idle(self) -> bool:
        """Return whether no job runs and each end was acknowledged, or cannot be."""
        if any(job.phase is not JobPhase.ENDED for job in self.jobs.values()):
            return False
        return self.registration.leader is None or not self.jobs


_HANDLERS: dict[type[Message], Callable[[WorkerCore, str, Any], None]] = {
    RegisteredWorker: WorkerCore._registered,
    SetDrain: WorkerCore._set_drain,
    LaunchDriver: WorkerCore._launch_driver,
    KillDriver: WorkerCore._kill_or_answer,
    DriverStateAck: WorkerCore._acknowledged,
    LaunchExecutor: WorkerCore._launch_executor,
    KillExecutor: WorkerCore._kill_or_answer,
    ExecutorStateAck: WorkerCore._acknowledged,
    ApplicationFinished: WorkerCore._application_finished,
}
