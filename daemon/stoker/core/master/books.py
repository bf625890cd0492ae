"""The master's books: its tables in memory, and the arithmetic that keeps them consistent.

A ``Worker``, ``Driver`` or ``BookedApp`` here is a persisted record plus the state that matters only while this master runs:
the connection, deadlines (``time.monotonic`` seconds), cached views.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from stoker.core.master.arrays.tasks import Tasks
from stoker.core.master.scheduling.queue import Demand, DriverQueue, Lane
from stoker.core.master.sharing.accounts import Account, Accounts
from stoker.core.master.waiting.parked import Parked
from stoker.core.model.arrays.ids import runs_tasks
from stoker.core.model.pools import DEFAULT_POOL
from stoker.core.model.profiles import Profile
from stoker.core.model.records import AppRecord, Counters, DriverRecord, ExecutorRecord, WorkerRecord
from stoker.core.model.resources import Addresses, Amounts, hold, release, take_lowest
from stoker.core.model.states import WorkerState
from stoker.core.model.values import UNLIMITED, ApplicationDescription, Unfit, number_of
from stoker.core.model.views import AppView, DriverView, WorkerView

ExecutorKey = tuple[str, int]  # (application id, executor id)

_HIGHEST_FOLLOWED = 10**10  # number of an id; far beyond what a cluster counts, far below what an id may have
_FORGOTTEN_KEPT = 10_000  # ids
TASKS = "tasks of arrays"  # asked for as a named resource, which workers of release 0.1.0 do not offer
REMOVED_EXECUTORS_SHOWN = 1000  # per application, as spark.worker.ui.retainedExecutors


@dataclass(slots=True)
class Worker:
    record: WorkerRecord
    peer: bytes | None = None
    last_seen: float = float("-inf")
    has_registered: bool = False  # with this master
    leaving: bool = False  # it announced the end of its connection; no new job is placed there
    keeping: bool = False  # it announced a restart; its processes keep running
    reconnect_until: float | None = None  # until then its drivers may come back with it
    drivers: set[str] = field(default_factory=set)
    executors: set[ExecutorKey] = field(default_factory=set)
    # Killed but not yet reported as ended: (driver id, attempt) or (app id, executor id) -> cores, memory and addresses
    # still held.
    dying: dict[tuple[str, int], tuple[int, int, Addresses]] = field(default_factory=dict)
    refusal: str = ""  # why it refused the latest job, until one has started there
    refusals: int = 0  # in a row
    avoided_until: float | None = None  # until then no job is placed there
    unfit: tuple[Unfit, ...] = ()  # what the worker reports to be wrong with its host
    cores_used: int = 0
    memory_used: int = 0
    # (resource, address) -> how many jobs hold it; more than one only if workers report so
    held: dict[tuple[str, str], int] = field(default_factory=dict)
    view: WorkerView | None = None
    kin: frozenset[str] = frozenset()  # other keys of the same name: its host's before they were changed
    keeper_release: str = ""  # that of its keeper, if it is another than the worker's
    limits: str = ""  # as it reports
    run_as: str = ""  # likewise
    users_fault: str = ""  # likewise

    def owns(self, key: str) -> bool:
        """Return whether ``key`` is of this worker's machine. An unknown key is anybody's."""
        return not key or key == self.record.key or key in self.kin

    @property
    def is_usable(self) -> bool:
        alive = self.record.state is WorkerState.ALIVE and self.peer is not None
        return alive and not self.leaving and not self.objections

    @property
    def objections(self) -> tuple[str, ...]:
        """Return the kinds of reasons for which nothing new is placed there: ``operator``, ``refusing`` (it has just refused
        a job), and what the worker itself reports (``Unfit.kind``)."""
        if not self.unfit and self.avoided_until is None and not self.record.drain.draining:
            return ()  # as nearly always
        own = ("operator",) * self.record.drain.draining + ("refusing",) * (self.avoided_until is not None)
        return (*own, *(one.kind for one in self.unfit))

    @property
    def unfit_words(self) -> str:
        return "; ".join(one.text for one in self.unfit)

    @property
    def cores_free(self) -> int:
        return self.record.cores - self.cores_used

    @property
    def memory_free(self) -> int:
        return self.record.memory_mib - self.memory_used

    def resources_free(self) -> dict[str, int]:
        """Return how many addresses of each named resource no job holds. Tasks of arrays are asked for like one."""
        found = {
            name: sum((name, one) not in self.held for one in addresses) for name, addresses in self.record.resources
        }
        return found | {TASKS: UNLIMITED} if runs_tasks(self.record.version) else found

    def lowest_free(self, amounts: Amounts) -> Addresses:
        """Return the lowest free addresses for ``amounts``."""
        return take_lowest(self.record.resources, self.held, amounts) if amounts else ()


@dataclass(slots=True)
class Driver:
    record: DriverRecord
    launched_via: bytes = b""  # connection the latest launch command went out on
    relaunch_at: float | None = None
    evicted: str = ""  # why its latest attempt was told to end, so that the driver goes elsewhere
    queued_at: float = 0.0  # since when it waits for a worker (seconds since the Unix epoch)
    watchers: list[tuple[bytes, int]] = field(default_factory=list)  # (connection, request number)
    view: DriverView | None = None
    tasks: Tasks | None = None  # of an array; None: it is not one

    @property
    def lane(self) -> Lane:
        """Where it waits."""
        description = self.record.description
        named, array = description.resources, ""
        if self.tasks is not None:
            named, array = (*named, (TASKS, 1)), self.record.id
        demand = Demand(description.cores, description.memory_mib, named)
        return Lane(demand, *self.account, description.priority or 0, description.time_limit, array)

    @property
    def account(self) -> Account:
        """What it is charged to."""
        return self.record.description.pool or DEFAULT_POOL, self.record.principal or ""


@dataclass(slots=True)
class BookedApp:
    record: AppRecord
    peer: bytes | None = None
    last_seen: float = 0.0
    reconnect_until: float | None = None  # recovered; until then its process may come back
    executors: dict[int, ExecutorRecord] = field(default_factory=dict)  # live ones
    removed: deque[ExecutorRecord] = field(default_factory=lambda: deque(maxlen=REMOVED_EXECUTORS_SHOWN))
    launched_via: dict[int, bytes] = field(default_factory=dict)  # executor id -> connection of the launch command
    cores_granted: int = 0
    retries: int = 0
    not_before: float = 0.0  # no new executor before this time, after failures
    taken_over: bool = False  # from a master without records: executors that ended under it may be missing here
    view: AppView | None = None

    @property
    def pool(self) -> str:
        return self.record.description.pool or DEFAULT_POOL

    @property
    def cores_left(self) -> int:
        """How many more cores it may be granted. Cores of a finite application's ended executors are used up."""
        return self.record.cores_max - self.record.cores_done - self.cores_granted

    @property
    def at_once(self) -> int:
        """How many executors it needs to begin; 0 once it has begun, or if one is enough."""
        record = self.record
        return 0 if record.next_executor_id else min(record.description.min_executors, record.executor_limit)

    def executors_of(self, profile: int) -> int:
        """Return how many live executors of a profile it has."""
        return sum(executor.profile == profile for executor in self.executors.values())

    def profile(self, number: int) -> Profile | None:
        """Return one of its profiles; None for the default one."""
        return next((profile for profile in self.record.profiles if profile.id == number), None)

    @property
    def account(self) -> Account:
        """What its executors are charged to."""
        return self.pool, self.record.principal or ""


class Books:
    """All tables. Methods keep the indexes and the workers' used cores and memory equal to a recount."""

    def __init__(self) -> None:
        self.workers: dict[str, Worker] = {}
        self.with_free_cores: dict[str, Worker] = {}  # the workers that a scheduling pass has to look at
        self.worker_of_peer: dict[bytes, str] = {}
        self.worker_at: dict[tuple[str, int], str] = {}  # (host, port) -> id
        self.successor: dict[str, str] = {}  # id of a restarted worker -> its new id, to find old logs
        self.drivers: dict[str, Driver] = {}  # active; arrays, too, and those of their tasks that have started
        self.arrays: dict[str, Driver] = {}  # active
        self.completed_drivers: dict[str, Driver] = {}  # oldest first
        self.queue: DriverQueue = DriverQueue()
        self.relaunching: set[str] = set()
        self.waited_for: dict[str, dict[str, None]] = {}  # driver -> those that start after it and wait for its end
        self.ended: deque[DriverRecord] = deque()  # drivers whose end their children do not know yet
        self.parked: Parked = Parked()  # SUBMITTED drivers that are not in the queue
        self.touched_arrays: dict[str, Driver] = {}  # changed in this batch
        self.watching: dict[bytes, set[str]] = {}  # connection -> active drivers it watches
        self.apps: dict[str, BookedApp] = {}  # active, in order of registration
        self.completed_apps: dict[str, BookedApp] = {}
        self.app_of_peer: dict[bytes, set[str]] = {}
        self.tokens: dict[str, str] = {}  # client-chosen token -> driver or application id
        self.forgotten: dict[str, None] = {}  # drivers and applications that left the history last, oldest first
        self.next_executor_ids: dict[str, int] = {}  # of applications known only from workers' reports
        self.counters: Counters = Counters()
        self.accounts: Accounts = Accounts()  # of pools and principals

    # --- ids ---

    def forget(self, identifier: str, token: str) -> None:
        """Remember that a job left the history, so that a worker that comes back with a process of it does not revive it."""
        self.tokens.pop(token, None)
        self.forgotten[identifier] = None
        while len(self.forgotten) > _FORGOTTEN_KEPT:
            del self.forgotten[next(iter(self.forgotten))]

    def new_driver_id(self, wall: float) -> str:
        number = self.counters.drivers
        self.counters.drivers += 1
        return f"driver-{_stamp(int(wall))}-{number:04d}"

    def new_app_id(self, wall: float) -> str:
        number = self.counters.apps
        self.counters.apps += 1
        return f"app-{_stamp(int(wall))}-{number:04d}"

    def reserve_id(self, identifier: str) -> None:
        """Never assign the number of this id again: an earlier master assigned it. Absurdly large numbers are ignored,
        or one invented id would use up all numbers; the time in ids then keeps ids apart."""
        number = number_of(identifier) + 1
        if number > _HIGHEST_FOLLOWED:
            return
        if identifier.startswith("driver-"):
            self.counters.drivers = max(self.counters.drivers, number)
        else:
            self.counters.apps = max(self.counters.apps, number)

    def reserve_executor_id(self, app_id: str, executor_id: int) -> None:
        """Never assign this executor's number again: an earlier master granted it, even if these books never had it."""
        app = self.find_app(app_id)
        if app is not None:
            app.record.next_executor_id = max(app.record.next_executor_id, executor_id + 1)
        elif app_id not in self.forgotten:
            self.next_executor_ids[app_id] = max(self.next_executor_ids.pop(app_id, 0), executor_id + 1)
            while len(self.next_executor_ids) > _FORGOTTEN_KEPT:
                del self.next_executor_ids[next(iter(self.next_executor_ids))]

    # --- look-ups ---

    def find_driver(self, driver_id: str) -> Driver | None:
        return self.drivers.get(driver_id) or self.completed_drivers.get(driver_id)

    def waiting_drivers(self, pool: str, principal: str | None = None) -> int:
        """Return how many SUBMITTED drivers of a pool there are, of one principal or of all; of an array, its tasks."""
        arrays = [
            head for head in self.arrays.values() if head.account[0] == pool and principal in (None, head.account[1])
        ]
        tasks = sum(head.tasks.left - 1 for head in arrays if head.tasks is not None)
        return self.queue.waiting(pool, principal) + self.parked.waiting(pool, principal) + tasks

    def find_app(self, app_id: str) -> BookedApp | None:
        return self.apps.get(app_id) or self.completed_apps.get(app_id)

    def app_of_driver(self, description: ApplicationDescription, principal: str) -> BookedApp | None:
        """Return the active application of the Spark driver that sent this description. A Spark driver registers with every
        master; the next leader must not treat that as another application. It is never another principal's."""
        found = (app for app in self.apps.values() if app.record.description.has_driver_of(description))
        return next((app for app in found if app.record.principal in (None, "", principal)), None)

    def current_worker(self, worker_id: str) -> Worker | None:
        """Return the worker with that id, or its successor after a restart."""
        seen = 0
        while worker_id in self.successor and seen < 1000:
            worker_id, seen = self.successor[worker_id], seen + 1
        return self.workers.get(worker_id)

    # --- who runs what where ---

    def add_worker(self, worker: Worker) -> None:
        self.workers[worker.record.id] = worker
        self.worker_at[(worker.record.host, worker.record.port)] = worker.record.id
        self._sort_in(worker)

    def drop_worker(self, worker: Worker) -> None:
        record = worker.record
        self.workers.pop(record.id, None)
        self.with_free_cores.pop(record.id, None)
        self.leave_address(worker)
        self.unbind_worker(worker)

    def leave_address(self, worker: Worker) -> None:
        record = worker.record
        if self.worker_at.get((record.host, record.port)) == record.id:
            del self.worker_at[(record.host, record.port)]

    def bind_worker(self, worker: Worker, peer: bytes) -> None:
        self.unbind_worker(worker)
        worker.peer = peer
        self.worker_of_peer[peer] = worker.record.id

    def unbind_worker(self, worker: Worker) -> None:
        if worker.peer is not None and self.worker_of_peer.get(worker.peer) == worker.record.id:
            del self.worker_of_peer[worker.peer]
        worker.peer = None

    def place_driver(self, driver: Driver, worker: Worker) -> None:
        """Charge the worker for the driver's latest attempt."""
        description = driver.record.description
        worker.drivers.add(driver.record.id)
        self._charge(worker, description.cores, description.memory_mib)
        hold(worker.held, driver.record.attempts[-1].resources)
        self.accounts.charge_driver(driver.account, description, 1)

    def release_driver(self, driver: Driver) -> None:
        """Free the driver's resources on its worker, if it holds any."""
        if not driver.record.attempts:
            return
        worker = self.workers.get(driver.record.attempts[-1].worker_id)
        if worker is not None and driver.record.id in worker.drivers:
            worker.drivers.discard(driver.record.id)
            description = driver.record.description
            self._charge(worker, -description.cores, -description.memory_mib)
            release(worker.held, driver.record.attempts[-1].resources)
            self.accounts.charge_driver(driver.account, description, -1)

    def mark_dying(
        self, worker: Worker, key: tuple[str, int], cores: int, memory_mib: int, resources: Addresses
    ) -> None:
        """Charge the worker for a process that is being killed: it belongs to no job now but still uses resources."""
        if key not in worker.dying:
            worker.dying[key] = (cores, memory_mib, resources)
            self._charge(worker, cores, memory_mib)
            hold(worker.held, resources)

    def release_dying(self, worker: Worker, key: tuple[str, int]) -> bool:
        """Free the resources of a dying process that has ended; False if there was none."""
        held = worker.dying.pop(key, None)
        if held is None:
            return False
        self._charge(worker, -held[0], -held[1])
        release(worker.held, held[2])
        return True

    def place_executor(self, app: BookedApp, executor: ExecutorRecord, worker: Worker) -> None:
        app.executors[executor.id] = executor
        app.cores_granted += executor.cores
        app.view = None
        worker.executors.add((executor.app_id, executor.id))
        self._charge(worker, executor.cores, executor.memory_mib)
        hold(worker.held, executor.resources)
        self.accounts.charge_executor(app.account, executor, 1)

    def release_executor(self, app: BookedApp, executor: ExecutorRecord) -> None:
        app.executors.pop(executor.id, None)
        app.launched_via.pop(executor.id, None)
        app.cores_granted -= executor.cores
        app.view = None
        worker = self.workers.get(executor.worker_id)
        if worker is not None and (executor.app_id, executor.id) in worker.executors:
            worker.executors.discard((executor.app_id, executor.id))
            self._charge(worker, -executor.cores, -executor.memory_mib)
            release(worker.held, executor.resources)
            self.accounts.charge_executor(app.account, executor, -1)

    def account_changed(self, job: BookedApp | Driver, before: Account) -> None:
        """Charge what the job holds to its present account, and no longer to the one of ``before``."""
        if job.account == before:
            return
        if isinstance(job, Driver):
            self._driver_account_changed(job, before)
            return
        app = job
        for executor in app.executors.values():
            self.accounts.charge_executor(before, executor, -1)
            self.accounts.charge_executor(app.account, executor, 1)

    def _driver_account_changed(self, driver: Driver, before: Account) -> None:
        record = driver.record
        worker = self.workers.get(record.attempts[-1].worker_id) if record.attempts else None
        if worker is not None and record.id in worker.drivers:
            self.accounts.charge_driver(before, record.description, -1)
            self.accounts.charge_driver(driver.account, record.description, 1)

    def _charge(self, worker: Worker, cores: int, memory_mib: int) -> None:
        worker.cores_used += cores
        worker.memory_used += memory_mib
        self._sort_in(worker)

    def _sort_in(self, worker: Worker) -> None:
        worker_id = worker.record.id
        if worker.cores_free > 0 and self.workers.get(worker_id) is worker:
            self.with_free_cores[worker_id] = worker
        else:
            self.with_free_cores.pop(worker_id, None)


@lru_cache(1)  # thousands of ids are made in one second
def _stamp(second: int) -> str:
    return datetime.fromtimestamp(second).strftime("%Y%m%d%H%M%S")  # the master's local time zone (spec 6)
