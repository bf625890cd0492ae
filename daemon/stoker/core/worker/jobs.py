"""A worker's jobs: drivers and executors that run, or whose end no master has acknowledged."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from stoker.core.model import limits
from stoker.core.model.lifecycles import ATTEMPT, EXECUTOR, JOB, DriverEvent, ExecutorEvent, JobEvent
from stoker.core.model.messages import (
    DriverStateAck,
    DriverStateChanged,
    ExecutorStateAck,
    ExecutorStateChanged,
    KillDriver,
    KillExecutor,
    LaunchDriver,
    LaunchExecutor,
)
from stoker.core.model.moves import Recent, move
from stoker.core.model.resources import Addresses
from stoker.core.model.states import DriverState, ExecutorState, JobPhase
from stoker.core.model.values import ApplicationDescription, DriverDescription, DriverReport, ExecutorReport, Exit, Now

REPORT_AGAIN = 5.0  # seconds without an acknowledgement
OVERDUE = 5.0  # seconds after its time limit that a job may run: a keeper of release 0.1.0 does not stop it (ADR 27)


@dataclass(slots=True, kw_only=True)
class Job:
    """Base of both kinds. ``key`` names the process at the keeper."""

    key: str
    cores: int
    memory_mib: int
    phase: JobPhase = JobPhase.PREPARING
    pid: int = 0
    started: float = 0.0  # seconds since the Unix epoch
    killed: bool = False
    exit: Exit = field(default_factory=Exit)
    reported_at: float = 0.0  # monotonic seconds; of the final report
    resources: Addresses = ()  # that it holds until it has ended
    stop_at: float = math.inf  # monotonic seconds; when the daemon stops it, because its keeper knows no time limits
    expired: bool = False  # the daemon has stopped it for that
    over_disk: str = ""  # why the daemon has stopped it: how much its directory held
    account: str = ""  # that its process runs as; "": the worker's, which runs no job as another account
    secret: str = field(default="", repr=False)  # of its Spark; neither kept nor reported

    @property
    def time_limit(self) -> float:
        """Seconds that its process may run; 0: no limit."""
        return 0.0

    @property
    def max_disk_mib(self) -> int:
        """MiB that its directory may hold; 0: no limit."""
        return 0

    @property
    def due(self) -> float:
        """When its end must be reported again, or when it must be stopped (monotonic seconds)."""
        return self.reported_at + REPORT_AGAIN if self.phase is JobPhase.ENDED else self.stop_at

    def limit(self, now: Now) -> None:
        """Note when the running job must have ended. A job of an earlier daemon has used up some of its time."""
        if self.time_limit:
            used = max(0.0, now.wall - self.started)
            self.stop_at = now.mono + max(0.0, self.time_limit - used) + OVERDUE

    def expire(self) -> None:
        """Note that the daemon stops the job, because its keeper has not."""
        self.expired, self.stop_at = True, math.inf

    def exceed_disk(self, used: int) -> bool:
        """Note that the job holds ``used`` bytes. Return whether it must be stopped for that, which it is once."""
        is_over = self.phase is JobPhase.RUNNING and 0 < self.max_disk_mib * 2**20 < used
        if not is_over or self.over_disk or self.killed:
            return False
        self.over_disk = limits.over_disk(used, self.max_disk_mib)
        return True

    def _explained(self, exit: Exit) -> Exit:
        """Return the exit with its reason, if it is a limit."""
        if self.over_disk and not exit.expired:
            return msgspec.structs.replace(exit, over_disk=True, reason=self.over_disk)
        if not (exit.expired or self.expired):
            return exit
        return msgspec.structs.replace(exit, expired=True, reason=limits.reason(self.time_limit))


@dataclass(slots=True, kw_only=True)
class DriverJob(Job):
    driver_id: str
    attempt: int
    driver: DriverDescription
    principal: str | None = None  # as in the order to launch it
    seal: str = ""  # likewise
    state: DriverState = DriverState.RUNNING

    @property
    def time_limit(self) -> float:
        return self.driver.time_limit

    @property
    def max_disk_mib(self) -> int:
        return self.driver.max_disk_mib

    @classmethod
    def ordered(cls, message: LaunchDriver, now: float) -> DriverJob:
        """Return the job that a master asks for. ``now`` is seconds since the Unix epoch."""
        return cls(
            key=key_of(message),
            cores=message.driver.cores,
            memory_mib=message.driver.memory_mib,
            driver_id=message.driver_id,
            attempt=message.attempt,
            driver=message.driver,
            principal=message.principal,
            seal=message.seal,
            started=now,
            resources=message.resources,
            secret=message.secret,
        )

    def report(self) -> DriverReport:
        return DriverReport(
            driver_id=self.driver_id,
            attempt=self.attempt,
            state=self.state,
            driver=self.driver,
            started=self.started,
            pid=self.pid,
            exit=self.exit,
            principal=self.principal,
            seal=self.seal,
            resources=self.resources,
            account=self.account,
        )

    def state_changed(self, worker_id: str) -> DriverStateChanged:
        return DriverStateChanged(
            worker_id=worker_id,
            driver_id=self.driver_id,
            attempt=self.attempt,
            state=self.state,
            pid=self.pid,
            exit=self.exit,
            account=self.account,
        )

    def run(self, event: JobEvent, recent: Recent | None = None) -> None:
        """Note that the keeper runs the job: just started, or kept since an earlier daemon. Raises IllegalMove."""
        move(JOB, self, event, recent)

    def end(self, exit: Exit, *, could_not_run: bool, recent: Recent | None = None) -> None:
        """Note how the job ended. Raises IllegalMove when it has ended already."""
        move(JOB, self, JobEvent.ENDED, recent)
        self.exit = exit = self._explained(exit)
        if self.killed:
            event = DriverEvent.KILLED
        elif could_not_run:
            event = DriverEvent.ERROR
        else:
            event = DriverEvent.FINISHED if exit.is_success else DriverEvent.FAILED
        move(ATTEMPT, self, event, recent)


@dataclass(slots=True, kw_only=True)
class ExecutorJob(Job):
    app_id: str
    executor_id: int
    app: ApplicationDescription
    principal: str | None = None  # as in the order to launch it
    seal: str = ""  # likewise
    state: ExecutorState = ExecutorState.LAUNCHING

    @property
    def time_limit(self) -> float:
        return self.app.time_limit

    @property
    def max_disk_mib(self) -> int:
        return self.app.max_disk_mib

    @classmethod
    def ordered(cls, message: LaunchExecutor, now: float) -> ExecutorJob:
        """As of a driver."""
        return cls(
            key=key_of(message),
            cores=message.cores,
            memory_mib=message.memory_mib,
            app_id=message.app_id,
            executor_id=message.executor_id,
            app=message.app,
            principal=message.principal,
            seal=message.seal,
            started=now,
            resources=message.resources,
            secret=message.secret,
        )

    def report(self) -> ExecutorReport:
        return ExecutorReport(
            app_id=self.app_id,
            executor_id=self.executor_id,
            cores=self.cores,
            memory_mib=self.memory_mib,
            state=self.state,
            app=self.app,
            started=self.started,
            pid=self.pid,
            exit=self.exit,
            principal=self.principal,
            seal=self.seal,
            resources=self.resources,
            account=self.account,
        )

    def state_changed(self, worker_id: str) -> ExecutorStateChanged:
        return ExecutorStateChanged(
            worker_id=worker_id,
            app_id=self.app_id,
            executor_id=self.executor_id,
            state=self.state,
            pid=self.pid,
            exit=self.exit,
            account=self.account,
        )

    def run(self, event: JobEvent, recent: Recent | None = None) -> None:
        """As of a driver."""
        move(JOB, self, event, recent)
        move(EXECUTOR, self, ExecutorEvent.STARTED, recent)

    def end(self, exit: Exit, *, could_not_run: bool, recent: Recent | None = None) -> None:
        """As of a driver."""
        move(JOB, self, JobEvent.ENDED, recent)
        self.exit = self._explained(exit)
        by_itself = ExecutorEvent.FAILED if could_not_run else ExecutorEvent.EXITED
        move(EXECUTOR, self, ExecutorEvent.KILLED if self.killed else by_itself, recent)


AnyJob = DriverJob | ExecutorJob
DriverMessage = LaunchDriver | KillDriver | DriverStateAck
ExecutorMessage = LaunchExecutor | KillExecutor | ExecutorStateAck


def driver_job_key(driver_id: str, attempt: int) -> str:
    return f"{driver_id}:{attempt}"


def driver_of(key: str) -> tuple[str, int] | None:
    """Return the driver and the attempt that a job's key names; None for another job."""
    driver_id, _, attempt = key.rpartition(":")
    return (driver_id, int(attempt)) if driver_id and attempt.isdecimal() else None


def executor_job_key(app_id: str, executor_id: int) -> str:
    return f"{app_id}/{executor_id}"


def key_of(message: DriverMessage | ExecutorMessage) -> str:
    """Return the key of the job that a master's message names."""
    if isinstance(message, DriverMessage):
        return driver_job_key(message.driver_id, message.attempt)
    return executor_job_key(message.app_id, message.executor_id)


def other_attempts(jobs: Iterable[AnyJob], driver_id: str) -> list[DriverJob]:
    """Return the attempts of the driver that have not ended."""
    drivers = (job for job in jobs if isinstance(job, DriverJob))
    return [job for job in drivers if job.driver_id == driver_id and job.phase is not JobPhase.ENDED]


def never_had(message: KillDriver | KillExecutor, worker_id: str) -> DriverStateChanged | ExecutorStateChanged:
    """Return the answer to an order to kill a job that this worker does not have."""
    if isinstance(message, KillDriver):
        return DriverStateChanged(
            worker_id=worker_id,
            driver_id=message.driver_id,
            attempt=message.attempt,
            state=DriverState.KILLED,
            exit=_NOT_HERE,
        )
    return ExecutorStateChanged(
        worker_id=worker_id,
        app_id=message.app_id,
        executor_id=message.executor_id,
        state=ExecutorState.KILLED,
        exit=_NOT_HERE,
    )


_NOT_HERE = Exit(reason="it was not on this worker")
