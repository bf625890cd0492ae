"""Immutable views of the master's records: what status commands, pages and JSON show.

Only the core makes them; nothing outside it reads its live state. Memory is in MiB, times are
seconds since the Unix epoch (0: not yet).
"""

# Annotations stay values, as in messages.py.

from collections import Counter
from typing import Any, NamedTuple

import msgspec

from stoker.core.model.addresses import address_of
from stoker.core.model.pools import Pool, ShadowView
from stoker.core.model.principal import shown
from stoker.core.model.profiles import Profile
from stoker.core.model.resources import Addresses, Amounts
from stoker.core.model.states import ApplicationState, DriverState, ExecutorState, MasterState, WorkerState
from stoker.core.model.values import AfterEnd, Exit, Order, Unfit, Value


def shown_version(version: str, keeper_release: str) -> str:
    """Return a worker's release for people, with that of a keeper from before an upgrade ("": there is none)."""
    return f"{version} (its keeper: {keeper_release}, until its jobs have ended)" if keeper_release else version


class WorkerView(Value, frozen=True):
    """A worker: its address, its state, and the resources that it has and uses."""

    id: str
    host: str
    port: int
    state: WorkerState
    cores: int  # that it offers
    cores_used: int
    memory_mib: int  # that it offers
    memory_used_mib: int
    webui_url: str = ""
    last_heartbeat: float = 0.0
    version: str = ""  # the release of Stoker on it
    draining: bool = False  # nothing new is placed on it
    running: int = 0  # its drivers and executors, including those being stopped
    refusal: str = ""  # why it refused the latest job; "" once a job has started on it
    avoided: bool = False  # nothing is placed on it for a while, because it refused a job
    drain: Order | None = None  # the latest order to drain or undrain it
    resources: Addresses = ()  # named ones that it offers, as GPUs
    resources_used: Addresses = ()  # those that jobs hold, also while they are being stopped
    keeper_release: str = ""  # that of its keeper, if it is not ``version``: jobs from before an upgrade still run
    unfit: tuple[Unfit, ...] = ()  # what is wrong with its host; nothing is placed on it meanwhile
    drain_reason: str = ""  # the operator's words
    drain_until: float = 0.0  # then what still runs on it is stopped; 0: never
    limits: str = ""  # for people: whether it limits and measures its jobs, and how; "": unknown
    run_as: str = ""  # for people: which accounts its jobs run as; "": unknown
    users_fault: str = ""  # for people: what is wrong with its users.yml, while the one before the fault is obeyed

    @property
    def shown_version(self) -> str:
        """The release for people, with that of a keeper from before an upgrade."""
        return shown_version(self.version, self.keeper_release)

    @property
    def trouble(self) -> str:
        """Why nothing is placed on it although it runs and nobody drains it; "" if jobs are."""
        if self.unfit:
            return "is unfit: " + "; ".join(one.text for one in self.unfit)
        return f"refuses work and is tried again soon: {self.refusal}" if self.avoided else ""

    @property
    def address(self) -> str:
        """HOST:PORT, or [HOST]:PORT for IPv6: how commands name this worker."""
        return address_of(self.host, self.port)

    @property
    def shown_state(self) -> WorkerState:
        """The state for people: DECOMMISSIONED, Spark's word, while a live worker is draining (ADR 6)."""
        return WorkerState.DECOMMISSIONED if self.draining and self.state is WorkerState.ALIVE else self.state

    @property
    def is_live(self) -> bool:
        """Whether it counts as a live worker: connected, and not draining. Pages, JSON, metrics and commands count so."""
        return self.shown_state is WorkerState.ALIVE


class AttemptView(Value, frozen=True):
    """One run of a driver."""

    number: int  # counts from 1
    worker_id: str
    state: DriverState
    started: float
    ended: float = 0.0
    pid: int = 0  # 0: not started
    exit: Exit = Exit()
    resources: Addresses = ()  # named ones that it holds, or held
    account: str = ""  # unix account that it ran as; "": the worker's, which runs no job as another one


class TaskRun(Value, frozen=True):
    """Tasks of an array, one after the other, that are in the same state."""

    indices: str  # as in ``--array``
    state: str  # WAITING, HELD, RUNNING, FINISHED, FAILED, KILLED or ERROR
    tasks: int


class ArrayView(Value, frozen=True):
    """The tasks of an array, or some of them, counted by state."""

    indices: str  # as in ``--array``
    tasks: int
    limit: int = 0  # of tasks that run at once; 0: none
    waiting: int = 0
    held: int = 0
    running: int = 0  # started, and not ended: also those that are to be placed again
    finished: int = 0
    failed: int = 0
    killed: int = 0
    error: int = 0
    status: int = 0  # the highest exit status, at least 1 if a task ended in another state than FINISHED
    runs: tuple[TaskRun, ...] = ()  # the first ones; only in the view of a single array

    @property
    def ended(self) -> int:
        """How many have ended."""
        return self.finished + self.failed + self.killed + self.error

    @property
    def not_started(self) -> int:
        """How many have not started."""
        return self.waiting + self.held


class DriverView(Value, frozen=True):
    """A submitted driver and all its attempts; or an array (``array`` is set), which has none of its own."""

    id: str
    name: str
    state: DriverState
    submitted: float
    cores: int
    memory_mib: int
    main: str  # the name of the file that is run
    main_class: str = ""
    args: tuple[str, ...] = ()
    user: str = ""
    supervise: bool = False
    started: float = 0.0  # of the latest attempt
    ended: float = 0.0
    worker_id: str = ""  # of the latest attempt; "" while it waits
    worker_host: str = ""
    reason: str = ""  # why it waits, or why it ended
    attempts: tuple[AttemptView, ...] = ()
    principal: str = ""  # who submitted it, as proved; ``user`` is a label
    kill: Order | None = None  # the order to kill it
    resources: Amounts = ()  # named ones that it needs, as GPUs
    pool: str = ""  # which it is charged to; "": the default pool
    priority: int = 0  # within its pool; higher goes first
    time_limit: float = 0.0  # seconds that one attempt may run; 0: no limit
    hold: Order | None = None  # the order to hold it; None: it is not held
    after: tuple[str, ...] = ()  # ids of the drivers after which it starts
    after_end: AfterEnd = "ok"  # how each of them must end
    awaits: tuple[str, ...] = ()  # those of them that have not ended
    max_disk_mib: int = 0  # that its directory may hold; 0: no limit
    array: ArrayView | None = None  # None: it is not an array

    @property
    def is_queued(self) -> bool:
        """Whether it waits for a worker, and for nothing else."""
        return self.state is DriverState.SUBMITTED and self.hold is None and not self.awaits

    @property
    def running_since(self) -> float:
        """When the process of its latest attempt started; 0: it does not run."""
        last = self.attempts[-1] if self.attempts else None
        return last.started if last is not None and last.pid and not last.state.is_final else 0.0

    @property
    def who(self) -> str:
        """Who submitted it, for people."""
        return shown(self.principal, self.user)


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
    pid: int = 0  # 0: not started
    exit: Exit = Exit()
    resources: Addresses = ()  # named ones that it holds, or held
    profile: int = 0  # as in ``ExecutorRecord``
    account: str = ""  # as in ``AttemptView``


class AppView(Value, frozen=True):
    """An application and its executors."""

    id: str
    name: str
    user: str
    state: ApplicationState
    submitted: float
    ended: float = 0.0
    cores_granted: int = 0  # of its running executors together
    cores_max: int | None = None  # None: unlimited
    cores_per_executor: int | None = None  # None: all cores granted on a worker
    memory_mib: int = 0  # per executor
    executor_limit: int | None = None  # None: unlimited
    ui_url: str = ""
    reason: str = ""  # why it waits, or why it ended
    executors: tuple[ExecutorView, ...] = ()  # those that run or start
    removed_executors: tuple[ExecutorView, ...] = ()  # the latest of those that ended
    principal: str = ""  # who registered it, as proved; ``user`` is a label
    kill: Order | None = None  # the order to kill it
    resources: Amounts = ()  # named ones that each executor needs, as GPUs
    pool: str = ""  # as in ``DriverView``
    priority: int = 0
    time_limit: float = 0.0  # seconds that one of its executors may run; 0: no limit
    hold: Order | None = None  # the order to hold it; None: it is not held
    profiles: tuple[Profile, ...] = ()  # besides the default one
    finite: bool = False  # its executors end by themselves, and are not replaced then
    cores_done: int = 0  # finite applications: cores of executors that have ended by themselves
    max_disk_mib: int = 0  # that the files of one of its executors may take; 0: no limit
    at_once: int = 0  # how many executors it needs to begin; 0: it has begun, or one is enough

    @property
    def running_since(self) -> float:
        """When the process of its oldest executor started; 0: none runs."""
        return min((executor.started for executor in self.executors if executor.pid), default=0.0)

    @property
    def who(self) -> str:
        """Who registered it, for people."""
        return shown(self.principal, self.user)


class PrincipalView(Value, frozen=True):
    """What one principal uses in a pool. ``part`` decides whose turn it is: what runs now, and past use."""

    name: str  # "": jobs of nobody in particular
    cores: int = 0
    memory_mib: int = 0
    drivers: int = 0
    waiting: int = 0  # drivers
    part: float = 0.0  # of the cluster
    resources: Amounts = ()  # named ones that its jobs hold


class PoolView(Value, frozen=True):
    """A pool of ``pools.yml``, what its jobs use, and what waits in it."""

    name: str
    settings: Pool
    cores: int = 0
    memory_mib: int = 0
    drivers: int = 0  # that run
    driver_cores: int = 0
    applications: int = 0
    waiting: int = 0  # drivers without a worker, and applications without an executor
    oldest: float = 0.0  # since when the first of them waits; 0: nothing waits
    part_now: float = 0.0  # of the cluster, what runs now
    part_past: float = 0.0  # the average of what ran; use counts half after each half-life
    principals: tuple[PrincipalView, ...] = ()
    resources: Amounts = ()  # named ones that its jobs hold

    @property
    def is_below_min(self) -> bool:
        """Whether it has less than its min_share, so that it is served before others."""
        least, held = self.settings.min_share, dict(self.resources)
        return (
            self.cores < (least.cores or 0)
            or self.memory_mib < (least.memory_mib or 0)
            or any(held.get(name, 0) < amount for name, amount in least.resources)
        )


class PlaceView(Value, frozen=True):
    """A worker of a reservation, and what other jobs may have of it without a time limit that ends before."""

    worker_id: str
    spare_cores: int = 0
    spare_memory_mib: int = 0
    spare_resources: Amounts = ()


class ReservationView(Value, frozen=True):
    """Workers that are kept for a job that has waited long."""

    job_id: str
    pool: str
    since: float
    until: float = 0.0  # then all of it is free at the latest, by the time limits of what runs there; 0: unknown
    places: tuple[PlaceView, ...] = ()


class JobNumbers(NamedTuple):
    """How many jobs the cluster has."""

    running: int
    waiting: int  # not started, or without an executor; also those that are held
    relaunching: int  # their restart is due later
    completed: int  # as far as they are retained; an array counts once, beside its tasks


class ClusterView(Value, frozen=True):
    """The whole cluster, as the answering master sees it."""

    url: str  # ``spark://HOST:PORT`` of this master
    state: MasterState
    epoch: int  # grows with every change of the leader
    version: str  # the release of Stoker on the master
    workers: tuple[WorkerView, ...] = ()
    active_drivers: tuple[DriverView, ...] = ()
    completed_drivers: tuple[DriverView, ...] = ()
    active_apps: tuple[AppView, ...] = ()
    completed_apps: tuple[AppView, ...] = ()
    webui_url: str = ""
    leader_url: str = ""  # on a standby: the leading master
    leader_webui_url: str = ""
    warnings: tuple[str, ...] = ()  # lines for people, for example that the cluster runs without authentication
    dashboards: tuple[str, ...] = ()  # with ZooKeeper: the URLs of the dashboards of all masters
    pools: tuple[PoolView, ...] = ()  # empty without a pools.yml
    max_drivers: int | None = None  # spark.deploy.maxDrivers; None: no limit
    reservations: tuple[ReservationView, ...] = ()
    shadow: ShadowView | None = None  # None: pools.yml names no shadow

    @property
    def live_workers(self) -> list[WorkerView]:
        """The workers whose cores and memory count in totals."""
        return [worker for worker in self.workers if worker.is_live]

    @property
    def driver_states(self) -> Counter[DriverState]:
        """How many drivers are in each state. Of an array its tasks count, and the array itself does not."""
        every = (*self.active_drivers, *self.completed_drivers)
        found = Counter(driver.state for driver in every if driver.array is None)
        found[DriverState.SUBMITTED] += sum(driver.array.not_started for driver in every if driver.array is not None)
        return found

    @property
    def driver_numbers(self) -> JobNumbers:
        """How many drivers run, wait, are restarted later, and have ended: what pages, charts and commands show."""
        states = self.driver_states
        waiting, later = states[DriverState.SUBMITTED], states[DriverState.RELAUNCHING]
        active = sum(count for state, count in states.items() if not state.is_final)
        return JobNumbers(active - waiting - later, waiting, later, len(self.completed_drivers))

    @property
    def app_numbers(self) -> JobNumbers:
        """As ``driver_numbers``, of the applications."""
        waiting = sum(app.state is ApplicationState.WAITING for app in self.active_apps)
        return JobNumbers(len(self.active_apps) - waiting, waiting, 0, len(self.completed_apps))


class Sample(Value, frozen=True):
    """The resources that the cluster had and used at one moment."""

    at: float
    workers: int  # alive and not draining; the cores and memory below are theirs
    cores: int
    cores_used: int
    memory_mib: int
    memory_used_mib: int
    drivers: int  # running
    drivers_waiting: int
    apps: int  # with an executor
    apps_waiting: int


def complete(value: Any) -> Any:
    """Return a view, or a tuple of views, as plain data with all fields. The wire leaves out fields with default values;
    programs should find them all."""
    if isinstance(value, msgspec.Struct):
        return {name: complete(field) for name, field in msgspec.structs.asdict(value).items()}
    if isinstance(value, tuple):
        return [complete(item) for item in value]
    return value
