"""A worker that was taken over. It has a good key, and says whatever it likes: about jobs that it does not run, in the name
of other workers, with invented jobs, inflated epochs, and messages repeated from before (ADR 23).

It knows all ids, and lies about everything but its own key. Jobs that a master places on it never run. ``checks_walls``
requires that nothing else suffers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stoker.core.model.messages import (
    DriverStateChanged,
    ExecutorStateChanged,
    LaunchDriver,
    Message,
    RegisterWorker,
    WorkerHeartbeat,
    WorkerLeaving,
)
from stoker.core.model.states import DriverState, ExecutorState
from stoker.core.model.values import Artifact, DrainMark, DriverDescription, DriverReport, ExecutorReport, Exit
from stoker.wire import codec
from tests.simulation.links import Links
from tests.simulation.network import Closed, Opened
from tests.simulation.process import Node

if TYPE_CHECKING:
    from tests.simulation.scenario import Cluster

HOSTILE = "evil"
PORT = 7078
INVENTED = ("driver-20270101000000-0000", "driver-20270101000000-999999999999")  # before any id of the cluster
_EXITS = (Exit(), Exit(code=0), Exit(code=1), Exit(signal=9))
_DRIVER_STATES = (
    DriverState.RUNNING,
    DriverState.RUNNING,
    DriverState.FINISHED,
    DriverState.FAILED,
    DriverState.KILLED,
)
_EXECUTOR_STATES = (ExecutorState.RUNNING, ExecutorState.RUNNING, ExecutorState.EXITED, ExecutorState.FAILED)
_INVENTED = DriverDescription(
    kind="program",
    main="job",
    artifacts=(Artifact(name="job", url="file:/bin/true"),),
    supervise=True,
    args=("job", "1.000", "0"),
    cores=0,
    memory_mib=0,
)


class HostileWorker(Node):
    def __init__(self, cluster: Cluster, host: Any) -> None:
        super().__init__(cluster.world, cluster.network, host, HOSTILE)
        self._cluster, self._rng = cluster, cluster.world.rng
        self._links = Links(self, "worker", self._refused)
        self._drivers: dict[str, Any] = {}  # what it has learned, also about jobs of masters that are gone
        self._executors: dict[tuple[str, int], Any] = {}
        self._workers: set[str] = set()  # ids that have been registered: new ones have a time that nobody knows
        self._said: list[Message] = []
        self._own: list[LaunchDriver] = []  # jobs that a master placed here
        self._next_lie = 0.0

    def started(self) -> None:
        self._links = Links(self, "worker", self._refused)
        self._next_lie = 0.0

    def _refused(self, address: str, reason: str) -> None:
        self.wake()

    def work(self) -> None:
        for connection, item in self.take_inbox():
            address = self._links.address_of(connection)
            if address is None or isinstance(item, Opened):
                continue
            if isinstance(item, Closed):
                self._links.closed(address)
                continue
            message = codec.to_worker.decode(item)
            self.world.note(self.name, "<-", address, message)
            if isinstance(message, LaunchDriver):
                self._own.append(message)
        if self.world.now >= self._next_lie:
            self._next_lie = self.world.now + self._rng.choice((0.05, 0.3, 2.0))
            self._look_around()
            self._lie()
        self.round_at(self._next_lie)

    def _look_around(self) -> None:
        """Connect to every master, and learn what each knows."""
        for master in self._cluster.masters:
            if master.address not in list(self._links) and self._rng.random() < 0.3:
                self._links.connect(master.address)
            if master.core is None:
                continue
            books = master.core.ctx.books
            self._workers.update(worker.record.id for worker in books.workers.values())
            for driver in (*books.drivers.values(), *books.completed_drivers.values()):
                self._drivers[driver.record.id] = (driver.record.attempt, driver.record.description)
            for app in books.apps.values():
                for number, executor in app.executors.items():
                    self._executors[app.record.id, number] = (executor, app.record.description)

    def _lie(self) -> None:
        kinds: tuple[Callable[[], Message], ...] = (
            self._register, self._register, self._end_driver, self._end_driver, self._end_executor, self._heartbeat,
            self._leave, self._repeat,
        )  # fmt: skip
        for address in self._links:
            message = self._rng.choice(kinds)()
            self._said.append(message)
            if self._links.send(address, codec.encode(message)):
                self.world.note(self.name, "->", address, message)

    # --- lies ---

    def _own_id(self) -> str:
        return f"worker-20270101000000-{HOSTILE}-{PORT}"

    def _any_worker(self) -> str:
        """Its own id half of the time, else one that another worker has registered."""
        ids = sorted(self._workers)
        return self._own_id() if not ids or self._rng.random() < 0.5 else self._rng.choice(ids)

    def _register(self) -> Message:
        is_itself = self._rng.random() < 0.7
        victim = self._rng.choice(self._cluster.workers)
        epochs = [master.core.ctx.epoch for master in self._cluster.masters if master.core is not None] or [1]
        honest = self._rng.random() < 0.9  # else two masters are said to lead
        return RegisterWorker(
            worker_id=self._own_id() if is_itself else self._any_worker(),
            boot="evil",
            host=HOSTILE if is_itself else victim.host.name,
            port=PORT,
            cores=self._rng.choice((1, 2)),
            memory_mib=1,  # only drivers without memory are placed here
            highest_epoch=max(epochs) if honest else max(epochs) + self._rng.choice((1, 2**61)),
            drivers=tuple(self._driver_report(name) for name in self._some(self._driver_ids())),
            executors=tuple(self._executor_report(*key) for key in self._some(list(self._executors))),
            drain=DrainMark(draining=self._rng.random() < 0.1, revision=self._rng.randint(0, 2**30)),
            heir_of=tuple({self._any_worker() for _ in range(self._rng.randint(0, 2))}),
            lost=tuple((name, self._attempt(name)) for name in self._some(self._driver_ids())),
        )

    def _driver_ids(self) -> list[str]:
        return [*self._drivers, *INVENTED]

    def _some(self, names: list[Any]) -> list[Any]:
        return self._rng.sample(names, min(len(names), self._rng.randint(0, 3)))

    def _attempt(self, driver_id: str) -> int:
        latest = self._drivers[driver_id][0] if driver_id in self._drivers else 1
        return max(1, latest + self._rng.choice((-1, 0, 0, 0, 1, 1000)))

    def _driver_report(self, driver_id: str) -> DriverReport:
        known = self._drivers.get(driver_id) or self._rng.choice([*self._drivers.values(), (1, _INVENTED)])
        seals = [launch.seal for launch in self._own] + ["", "0" * 64]
        return DriverReport(
            driver_id=driver_id,
            attempt=self._attempt(driver_id),
            state=self._rng.choice(_DRIVER_STATES),
            driver=known[1],
            pid=7,
            exit=self._rng.choice(_EXITS),
            principal=HOSTILE,
            seal=self._rng.choice(seals),
        )

    def _executor_report(self, app_id: str, number: int) -> ExecutorReport:
        executor, app = self._executors[app_id, number]
        return ExecutorReport(
            app_id=app_id,
            executor_id=max(0, number + self._rng.choice((0, 0, 1, 10**6))),
            cores=executor.cores,
            memory_mib=executor.memory_mib,
            state=self._rng.choice(_EXECUTOR_STATES),
            app=app,
            exit=self._rng.choice(_EXITS),
            principal=HOSTILE,
            seal="0" * 64,
        )

    def _end_driver(self) -> Message:
        name = self._rng.choice(self._driver_ids())
        return DriverStateChanged(
            worker_id=self._any_worker(),
            driver_id=name,
            attempt=self._attempt(name),
            state=self._rng.choice(_DRIVER_STATES),
            exit=self._rng.choice(_EXITS),
        )

    def _end_executor(self) -> Message:
        if not self._executors:
            return self._heartbeat()
        app_id, number = self._rng.choice(list(self._executors))
        state, exit = self._rng.choice(_EXECUTOR_STATES), self._rng.choice(_EXITS)
        return ExecutorStateChanged(
            worker_id=self._any_worker(), app_id=app_id, executor_id=number, state=state, exit=exit
        )

    def _heartbeat(self) -> Message:
        return WorkerHeartbeat(worker_id=self._any_worker())

    def _leave(self) -> Message:
        return WorkerLeaving(worker_id=self._any_worker(), keeping=self._rng.random() < 0.5)

    def _repeat(self) -> Message:
        return self._rng.choice(self._said) if self._said else self._heartbeat()
