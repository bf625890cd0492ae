"""A worker's jobs: the drivers and executors it runs, or ran and has not been acknowledged for."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from stoker.core.model.messages import DriverStateChanged, ExecutorStateChanged
from stoker.core.model.states import DriverState, ExecutorState
from stoker.core.model.values import ApplicationDescription, DriverDescription, DriverReport, ExecutorReport, Exit


class Phase(Enum):
    PREPARING = "preparing"  # directories and files
    STARTING = "starting"  # the keeper has been told
    RUNNING = "running"
    ENDED = "ended"  # reported, not acknowledged yet


@dataclass(slots=True, kw_only=True)
class Job:
    """Base of both kinds. ``key`` names the process at the keeper."""

    key: str
    cores: int
    memory_mib: int
    phase: Phase = Phase.PREPARING
    pid: int = 0
    started: float = 0.0  # seconds since the Unix epoch
    killed: bool = False
    exit: Exit = field(default_factory=Exit)
    reported_at: float = 0.0  # monotonic seconds; of the final report


@dataclass(slots=True, kw_only=True)
class DriverJob(Job):
    driver_id: str
    attempt: int
    driver: DriverDescription
    state: DriverState = DriverState.RUNNING

    def report(self) -> DriverReport:
        return DriverReport(
            driver_id=self.driver_id,
            attempt=self.attempt,
            state=self.state,
            driver=self.driver,
            started=self.started,
            pid=self.pid,
            exit=self.exit,
        )

    def state_changed(self, worker_id: str) -> DriverStateChanged:
        return DriverStateChanged(
            worker_id=worker_id,
            driver_id=self.driver_id,
            attempt=self.attempt,
            state=self.state,
            pid=self.pid,
            exit=self.exit,
        )

    def end(self, exit: Exit, *, could_not_run: bool) -> None:
        self.phase, self.exit = Phase.ENDED, exit
        if self.killed:
            self.state = DriverState.KILLED
        elif could_not_run:
            self.state = DriverState.ERROR
        else:
            self.state = DriverState.FINISHED if exit.is_success else DriverState.FAILED


@dataclass(slots=True, kw_only=True)
class ExecutorJob(Job):
    app_id: str
    executor_id: int
    app: ApplicationDescription
    state: ExecutorState = ExecutorState.LAUNCHING

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
        )

    def state_changed(self, worker_id: str) -> ExecutorStateChanged:
        return ExecutorStateChanged(
            worker_id=worker_id,
            app_id=self.app_id,
            executor_id=self.executor_id,
            state=self.state,
            pid=self.pid,
            exit=self.exit,
        )

    def end(self, exit: Exit, *, could_not_run: bool) -> None:
        self.phase, self.exit = Phase.ENDED, exit
        if self.killed:
            self.state = ExecutorState.KILLED
        else:
            self.state = ExecutorState.FAILED if could_not_run else ExecutorState.EXITED


AnyJob = DriverJob | ExecutorJob


def driver_job_key(driver_id: str, attempt: int) -> str:
    return f"{driver_id}:{attempt}"


def executor_job_key(app_id: str, executor_id: int) -> str:
    return f"{app_id}/{executor_id}"
