"""A master's core with the books of a snapshot: every worker is connected, every running job is where it runs."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import msgspec

from stoker.core.master import drivers
from stoker.core.master.arrays import booking
from stoker.core.master.books import BookedApp, Driver, Worker
from stoker.core.master.machine import MasterCore
from stoker.core.model.arrays.ids import task_id, tasks_id
from stoker.core.model.messages import Scheduling
from stoker.core.model.records import (
    AppRecord,
    ArrayRecord,
    Attempt,
    DriverRecord,
    ExecutorRecord,
    UsageRecord,
    WorkerRecord,
)
from stoker.core.model.states import ApplicationState, DriverState, WorkerState
from stoker.core.model.values import (
    UNLIMITED,
    ApplicationDescription,
    Artifact,
    Command,
    DrainMark,
    DriverDescription,
    Now,
    Rng,
)
from stoker.core.model.views import AppView, ArrayView, ClusterView, DriverView, WorkerView

_NEVER = 1e12  # seconds: nobody falls silent in virtual time
_PLACED = (DriverState.RUNNING, DriverState.UNKNOWN)
PROGRAM = (Artifact(name="job", url="file:/bin/true"),)


class Snapshot(NamedTuple):
    """The cluster at one moment, and how its master decides."""

    cluster: ClusterView
    scheduling: Scheduling

    @property
    def at(self) -> float:
        """The moment, by the master's clock: seconds since the Unix epoch."""
        return self.scheduling.at


def rebuild(snapshot: Snapshot, rng: Rng) -> MasterCore:
    """Return a core at virtual time 0, which is ``snapshot.at`` by the clock. What is only known for moments (processes that
    are being killed, pauses after refusals and failures) is left out."""
    policy = msgspec.structs.replace(
        snapshot.scheduling.policy, worker_timeout=_NEVER, retained_apps=1, retained_drivers=1
    )
    core = MasterCore(policy=policy, epoch=1, url="", rng=rng)
    now = Now(0.0, snapshot.at)
    core.recover({}, now)
    core.pools_are(snapshot.scheduling.pools, now)
    for usage in snapshot.scheduling.usage:
        core.ctx.books.accounts.load(
            UsageRecord(
                pool=usage.pool,
                principal=usage.principal,
                cores=usage.cores,
                memory_mib=usage.memory_mib,
                at=round(snapshot.at * 1000),
            )
        )
    for worker in snapshot.cluster.workers:
        if worker.state is WorkerState.ALIVE:
            _add_worker(core, worker)
    for app in snapshot.cluster.active_apps:
        _add_app(core, app)
    for driver in snapshot.cluster.active_drivers:
        if driver.array is None:
            _add_driver(core, driver)
        else:
            _add_array(core, driver, driver.array)
    core.ctx.schedule_wanted = True
    return core


def peer_of(identifier: str) -> bytes:
    """Return the connection of a worker or an application in a core of ``rebuild``."""
    return identifier.encode()


def _add_worker(core: MasterCore, view: WorkerView) -> None:
    record = WorkerRecord(
        id=view.id,
        host=view.host,
        port=view.port,
        cores=view.cores,
        memory_mib=view.memory_mib,
        version=view.version,
        drain=DrainMark(draining=view.draining),
        resources=view.resources,
    )
    worker = Worker(record, last_seen=0.0, has_registered=True, unfit=view.unfit, limits=view.limits)
    core.ctx.books.add_worker(worker)
    core.ctx.books.bind_worker(worker, peer_of(view.id))


def _add_driver(core: MasterCore, view: DriverView) -> None:
    books = core.ctx.books
    record = DriverRecord(
        id=view.id,
        description=_driver_description(view),
        submitted=view.submitted,
        principal=view.principal,
        hold=view.hold,
        awaits=view.awaits,
    )
    driver = Driver(record)
    books.reserve_id(record.id)
    worker = books.workers.get(view.worker_id) if view.state in _PLACED else None
    if worker is not None:
        last = view.attempts[-1]
        attempt = Attempt(
            number=last.number,
            worker_id=last.worker_id,
            worker_host=view.worker_host,
            started=last.started,
            pid=last.pid or 1,
            resources=last.resources,
        )
        record.state, record.attempts = DriverState.RUNNING, [attempt]
        driver.launched_via = peer_of(worker.record.id)
        books.drivers[record.id] = driver
        books.place_driver(driver, worker)
    elif view.state not in _PLACED:
        books.drivers[record.id] = driver
        drivers.enqueue(core.ctx, driver)
        _await_parents(core, record)


def numbered(cluster: ClusterView) -> ClusterView:
    """Return the cluster with the indices of each array's started tasks counted from 0: which tasks are left does not
    matter."""
    started: Counter[str] = Counter()
    drivers = []
    for driver in cluster.active_drivers:
        task = tasks_id(driver.id)
        if task is not None:
            driver = msgspec.structs.replace(driver, id=task_id(task.array_id, started[task.array_id]))  # noqa: PLW2901
            started[task.array_id] += 1
        drivers.append(driver)
    return msgspec.structs.replace(cluster, active_drivers=tuple(drivers))


def _add_array(core: MasterCore, view: DriverView, array: ArrayView) -> None:
    """Add an array of the tasks that have started, as ``numbered`` counts them, and of those that wait."""
    tasks = array.running + array.waiting
    if not tasks:
        return
    limit = f"%{array.limit}" if array.limit else ""
    record = ArrayRecord(
        id=view.id,
        token=view.id,
        description=msgspec.structs.replace(_driver_description(view), array=f"0-{tasks - 1}{limit}"),
        submitted=view.submitted,
        principal=view.principal,
        hold=view.hold,
        awaits=view.awaits,
    )
    head = booking.add(core.ctx.books, record)
    core.ctx.books.reserve_id(record.id)
    assert head.tasks is not None
    for _ in range(array.running):
        head.tasks.start_next()
    _await_parents(core, record)
    drivers.enqueue(core.ctx, head)


def _await_parents(core: MasterCore, record: DriverRecord) -> None:
    for parent in record.description.after if record.awaits else ():
        core.ctx.books.waited_for.setdefault(parent, {})[record.id] = None


def _driver_description(view: DriverView) -> DriverDescription:
    return DriverDescription(
        kind="program",
        main="job",
        name=view.name,
        artifacts=PROGRAM,
        cores=view.cores,
        memory_mib=view.memory_mib,
        resources=view.resources,
        pool=view.pool,
        priority=view.priority,
        time_limit=view.time_limit,
        after=view.after,
        after_end=view.after_end,
    )


def _add_app(core: MasterCore, view: AppView) -> None:
    books = core.ctx.books
    limit = UNLIMITED if view.executor_limit is None else view.executor_limit
    described = ApplicationDescription(
        name=view.name,
        command=Command(argv=("job",)),
        cores_per_executor=view.cores_per_executor,
        memory_mib=view.memory_mib,
        executor_limit=limit,
        finite=view.finite,
        min_executors=view.at_once,
        resources=view.resources,
        pool=view.pool,
        priority=view.priority,
        time_limit=view.time_limit,
    )
    record = AppRecord(
        id=view.id,
        description=described,
        submitted=view.submitted,
        state=ApplicationState.RUNNING if view.executors else ApplicationState.WAITING,
        executor_limit=limit,
        cores_max=UNLIMITED if view.cores_max is None else view.cores_max,
        cores_done=view.cores_done,
        next_executor_id=1 + max((executor.id for executor in (*view.executors, *view.removed_executors)), default=-1),
        principal=view.principal,
        hold=view.hold,
        profiles=view.profiles,
    )
    app = BookedApp(record, peer=peer_of(view.id), last_seen=0.0)
    books.reserve_id(record.id)
    books.apps[record.id] = app
    for executor in view.executors:
        worker = books.workers.get(executor.worker_id)
        if worker is not None:
            app.launched_via[executor.id] = peer_of(executor.worker_id)
            held = ExecutorRecord(
                app_id=view.id,
                id=executor.id,
                worker_id=executor.worker_id,
                worker_host=executor.host,
                cores=executor.cores,
                memory_mib=executor.memory_mib,
                state=executor.state,
                started=executor.started,
                pid=executor.pid,
                resources=executor.resources,
                profile=executor.profile,
            )
            books.place_executor(app, held, worker)
