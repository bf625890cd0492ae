"""Immutable views of the master's books: what status commands, pages and JSON show.

The core makes them; nothing else reads its live state. Memory in MiB, times in seconds since the Unix epoch (0: not yet).
"""

from __future__ import annotations

from stoker.core.model.addresses import address_of
from stoker.core.model.states import ApplicationState, DriverState, ExecutorState, MasterState, WorkerState
from stoker.core.model.values import Exit, Value


class WorkerView(Value, frozen=True):
    """A worker: its address, state, and what it has and uses."""

    id: str
    host: str
    port: int
    state: WorkerState
    cores: int
    cores_used: int
    memory_mib: int
    memory_used_mib: int
    webui_url: str = ""
    last_heartbeat: float = 0.0
    version: str = ""
    draining: bool = False  # gets nothing new
    running: int = 0  # drivers and executors there, those being ended included
    refusal: str = ""  # why it refused the latest job; empty once one has started there
    avoided: bool = False  # nothing is placed there for a while, after a refusal

    @property
    def address(self) -> str:
        """HOST:PORT, [HOST]:PORT for IPv6: what commands take for this worker."""
        return address_of(self.host, self.port)


class AttemptView(Value, frozen=True):
    """One run of a driver."""

    number: int
    worker_id: str
    state: DriverState
    started: float
    ended: float = 0.0
    pid: int = 0
    exit: Exit = Exit()


class DriverView(Value, frozen=True):
    """A submitted driver and all its attempts."""

    id: str
    name: str
    state: DriverState
    submitted: float
    cores: int
    memory_mib: int
    main: str
    main_class: str = ""
    args: tuple[str, ...] = ()
    user: str = ""
    supervise: bool = False
    started: float = 0.0  # of the latest attempt
    ended: float = 0.0
    worker_id: str = ""
    worker_host: str = ""
    reason: str = ""  # why it waits, or why it ended
    attempts: tuple[AttemptView, ...] = ()


class ExecutorView(Value, frozen=True):
    """One executor of an application."""

    id: int
    worker_id: str
    host: str
    cores: int
    memory_mib: int
    state: ExecutorState
    started: float = 0.0
    ended: float = 0.0
    pid: int = 0
    exit: Exit = Exit()


class AppView(Value, frozen=True):
    """An application and its executors."""

    id: str
    name: str
    user: str
    state: ApplicationState
    submitted: float
    ended: float = 0.0
    cores_granted: int = 0
    cores_max: int | None = None  # None: unlimited
    cores_per_executor: int | None = None
    memory_mib: int = 0  # per executor
    executor_limit: int | None = None  # None: unlimited
    ui_url: str = ""
    reason: str = ""
    executors: tuple[ExecutorView, ...] = ()
    removed_executors: tuple[ExecutorView, ...] = ()


class ClusterView(Value, frozen=True):
    """The whole cluster, as the answering master sees it."""

    url: str
    state: MasterState
    epoch: int
    version: str
    workers: tuple[WorkerView, ...] = ()
    active_drivers: tuple[DriverView, ...] = ()
    completed_drivers: tuple[DriverView, ...] = ()
    active_apps: tuple[AppView, ...] = ()
    completed_apps: tuple[AppView, ...] = ()
    webui_url: str = ""
    leader_url: str = ""  # of a standby: whom to ask
    leader_webui_url: str = ""
    warnings: tuple[str, ...] = ()  # e.g. running without authentication


class Sample(Value, frozen=True):
    """What the cluster had and used at one moment."""

    at: float
    workers: int  # alive and not draining; cores and memory are theirs
    cores: int
    cores_used: int
    memory_mib: int
    memory_used_mib: int
    drivers: int  # active, those waiting for a worker not counted
    drivers_waiting: int
    apps: int  # active, those without an executor not counted
    apps_waiting: int
