"""Both sides of the application protocol joined, without I/O: the master's core, an application's core, and workers
that do as they are told. Masters crash, workers vanish, executors end; from a seed, in no time.

What must hold once all is quiet: both sides have the same books, and a finite application's share was run exactly once.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from stoker.core.application import events as ev
from stoker.core.application.machine import ApplicationCore
from stoker.core.model import messages as m
from stoker.core.model.policy import Policy
from stoker.core.model.states import ApplicationState, ExecutorState
from stoker.core.model.states import RegistrationPhase as Phase
from stoker.core.model.values import ApplicationDescription, Command, ExecutorReport, Exit
from stoker.core.peer import events as peer
from stoker.wire import codec
from tests.support.core import Bench

MASTER = "m:7077"


@dataclass
class Worker:
    """Runs executors until it is ordered to stop them, and repeats their ends until they are acknowledged."""

    peer: str
    worker_id: str
    connected: bool = True
    running: dict[tuple[str, int], m.LaunchExecutor] = field(default_factory=dict)
    ended: dict[tuple[str, int], tuple[m.LaunchExecutor, ExecutorState, Exit]] = field(default_factory=dict)

    def reports(self) -> tuple[ExecutorReport, ...]:
        alive = [(launch, ExecutorState.RUNNING, Exit()) for launch in self.running.values()]
        return tuple(
            ExecutorReport(
                app_id=launch.app_id,
                executor_id=launch.executor_id,
                cores=launch.cores,
                memory_mib=launch.memory_mib,
                state=state,
                app=launch.app,
                exit=exit,
            )
            for launch, state, exit in (*alive, *self.ended.values())
        )


class Cluster:
    def __init__(self, seed: int, app: ApplicationDescription, *, workers: int = 3) -> None:
        self.rng = random.Random(seed)
        self.bench = Bench(policy=Policy(executor_backoff_cap=0.2), seed=seed)
        self.master_is_up = True
        self.workers = [Worker(f"w{number}", "") for number in range(1, workers + 1)]
        for worker in self.workers:
            worker.worker_id = self.bench.worker(worker.peer)
            self.bench.inbox.clear()
        self.connections = 0
        self.client = ""  # the routing id of the application's present connection
        self.events: list[ev.ApplicationEvent] = []
        self.done: list[tuple[int, int, Exit]] = []  # (executor id, cores, how it ended) by itself
        self.app = ApplicationCore(app=app, masters=(MASTER,), token="t", rng=random.Random(seed), now=self.bench.mono)
        self.settle()

    # --- moving messages ---

    def settle(self) -> None:
        """Deliver all messages, in turns, until none is left."""
        for _ in range(200):
            self.app.tick(self.bench.mono)
            moved = self._from_application()
            if self.master_is_up:
                moved |= self._to_workers() | self._to_application()
            if not moved:
                return
        raise AssertionError("the two sides never fall silent")

    def _from_application(self) -> bool:
        effects = self.app.take_effects()
        for effect in effects:
            if isinstance(effect, peer.Connect):
                self._connect()
            elif isinstance(effect, peer.Disconnect):
                self._hang_up()
            elif isinstance(effect, peer.Send):
                if self.client and self.master_is_up:
                    self.bench.send(self.client, codec.to_master.decode(codec.encode(effect.message)))
            elif not isinstance(effect, (peer.Note, peer.Answered, peer.Lost)):
                self.events.append(effect)
        return bool(effects)

    def _connect(self) -> None:
        if not self.master_is_up:
            self.app.handle(peer.LinkClosed(MASTER, "cannot connect"), self.bench.mono)
            return
        self.connections += 1
        self.client = f"c{self.connections}"
        self.app.handle(peer.LinkOpened(MASTER), self.bench.mono)

    def _hang_up(self) -> None:
        if self.client and self.master_is_up:
            self.bench.gone(self.client)
        self.client = ""

    def _to_application(self) -> bool:
        messages = self.bench.inbox.pop(self.client, [])
        for message in messages:
            self.app.handle(peer.LinkMessage(MASTER, message), self.bench.mono)
        return bool(messages)

    def _to_workers(self) -> bool:
        moved = False
        for worker in self.workers:
            for message in self.bench.inbox.pop(worker.peer, []):
                moved = True
                if worker.connected:
                    self._order(worker, message)
        return moved

    def _order(self, worker: Worker, message: m.Message) -> None:
        if isinstance(message, m.LaunchExecutor):
            key = (message.app_id, message.executor_id)
            assert key not in worker.ended and key not in worker.running, "an executor id was used twice"
            worker.running[key] = message
            self._report(worker, key, ExecutorState.RUNNING, Exit())
        elif isinstance(message, m.KillExecutor):
            launch = worker.running.pop((message.app_id, message.executor_id), None)
            if launch is not None:
                self._end(worker, launch, ExecutorState.KILLED, Exit(signal=15))
        elif isinstance(message, m.ExecutorStateAck):
            worker.ended.pop((message.app_id, message.executor_id), None)

    def _end(self, worker: Worker, launch: m.LaunchExecutor, state: ExecutorState, exit: Exit) -> None:
        key = (launch.app_id, launch.executor_id)
        worker.ended[key] = (launch, state, exit)
        self._report(worker, key, state, exit)

    def _report(self, worker: Worker, key: tuple[str, int], state: ExecutorState, exit: Exit) -> None:
        if worker.connected and self.master_is_up:
            message = m.ExecutorStateChanged(
                worker_id=worker.worker_id, app_id=key[0], executor_id=key[1], state=state, exit=exit
            )
            self.bench.send(worker.peer, message)

    # --- what happens to them ---

    def pass_time(self, seconds: float) -> None:
        for _ in range(max(1, round(seconds / 0.25))):
            if self.master_is_up:
                self.bench.live(0.25)
            else:
                self.bench.mono += 0.25
            self.settle()

    def executor_ends(self, code: int) -> None:
        busy = [worker for worker in self.workers if worker.running]
        if busy:
            worker = self.rng.choice(busy)
            launch = worker.running.pop(self.rng.choice(sorted(worker.running)))
            self.done.append((launch.executor_id, launch.cores, Exit(code=code)))
            self._end(worker, launch, ExecutorState.EXITED, Exit(code=code))
            self.settle()

    def master_crashes(self) -> None:
        if self.master_is_up:
            self.master_is_up = False
            self.client = ""
            self.app.handle(peer.LinkClosed(MASTER, "connection closed"), self.bench.mono)
            self.settle()

    def master_returns(self, *, keep: bool) -> None:
        if not self.master_is_up:
            self.master_is_up = True
            self.bench.restart(keep=keep)
            order = [self._register_again(worker) for worker in self.workers]
            order.insert(self.rng.randrange(4), lambda: self.pass_time(self.rng.choice((0.25, 1.0, 1.75))))
            for step in order:
                step()
            self.pass_time(2.0)  # the application's back-off is over by then

    def _register_again(self, worker: Worker):  # type: ignore[no-untyped-def]
        def register() -> None:
            self.bench.worker(worker.peer, worker_id=worker.worker_id, executors=worker.reports())
            self.settle()

        return register

    def worker_machine_dies(self, worker: Worker) -> None:
        worker.running.clear()
        worker.ended.clear()
        if self.master_is_up:
            self.bench.gone(worker.peer)
            self.bench.inbox.pop(worker.peer, None)
            self.settle()
            worker.peer += "'"
            worker.worker_id = self.bench.worker(
                worker.peer, worker_id=f"{worker.worker_id[:-1]}{self.rng.randrange(10)}"
            )
            self.settle()

    # --- what must hold ---

    def books_agree(self) -> None:
        app = self.bench.core.ctx.books.apps.get(self.app.app_id)
        theirs = {executor.id: executor.state for executor in app.executors.values()} if app else {}
        ours = {e.id: e.state for e in self.app.executors.all() if not e.state.is_final}
        assert ours == theirs
        real = {key[1] for worker in self.workers for key in worker.running}
        assert set(theirs) == real


def finite(**more: object) -> ApplicationDescription:
    options: dict[str, object] = {"max_cores": 6, "cores_per_executor": 1, "memory_mib": 256} | more
    return ApplicationDescription(name="f", command=Command(argv=("true",)), finite=True, **options)  # type: ignore[arg-type]


def removed(cluster: Cluster) -> ev.Removed | None:
    return next((event for event in cluster.events if isinstance(event, ev.Removed)), None)


def run_out(cluster: Cluster, *, code: int = 0) -> None:
    """Let all executors and their replacements end, until the application has ended."""
    for _ in range(200):
        if removed(cluster):
            return
        cluster.executor_ends(code)
        cluster.pass_time(0.25)
    raise AssertionError("the application never ends")


def test_a_finite_application_runs_its_share_once() -> None:
    cluster = Cluster(1, finite())
    cluster.books_agree()
    run_out(cluster)
    assert sorted(id for id, _, _ in cluster.done) == list(range(6))
    assert removed(cluster) == ev.Removed(ApplicationState.FINISHED, "")


def test_without_a_limit_its_share_is_the_first_grant() -> None:
    cluster = Cluster(1, finite(max_cores=None, cores_per_executor=None))
    run_out(cluster)
    assert sorted(cores for _, cores, _ in cluster.done) == [4, 4, 4]


def test_one_failure_makes_it_failed_but_the_others_run() -> None:
    cluster = Cluster(1, finite(max_cores=3))
    cluster.executor_ends(2)
    assert removed(cluster) is None
    run_out(cluster)
    last = removed(cluster)
    assert last is not None and last.state is ApplicationState.FAILED
    assert len(cluster.done) == 3


def test_an_unlimited_one_goes_on_over_a_master_that_keeps_nothing() -> None:
    app = ApplicationDescription(name="a", command=Command(argv=("true",)), cores_per_executor=2, memory_mib=256)
    cluster = Cluster(3, app)
    before = {e.id for e in cluster.app.executors.all()}
    assert len(before) == 6
    cluster.master_crashes()
    cluster.pass_time(5)
    cluster.master_returns(keep=False)
    cluster.pass_time(15)
    cluster.books_agree()
    assert {e.id for e in cluster.app.executors.all()} == before  # nothing was restarted, nothing lost
    assert cluster.app.phase is Phase.REGISTERED


@pytest.mark.parametrize("cores", [8, None], ids=["limited", "first grant"])
@pytest.mark.parametrize("keep", [True, False], ids=["records kept", "nothing kept"])
@pytest.mark.parametrize("seed", range(40))
def test_over_crashes_the_share_is_run_exactly_once(seed: int, keep: bool, cores: int | None) -> None:
    cluster = Cluster(seed, finite(max_cores=cores))
    rng = cluster.rng
    for _ in range(30):
        if removed(cluster):
            break
        act = rng.randrange(6)
        if act == 0:
            cluster.master_crashes()
        elif act == 1:
            cluster.master_returns(keep=keep)
        elif act == 2 and cluster.master_is_up:
            cluster.worker_machine_dies(rng.choice(cluster.workers))
        elif act == 3 and rng.random() < 0.5:
            cluster.executor_ends(rng.choice((0, 0, 1)))
        else:
            cluster.pass_time(rng.choice((0.25, 1.0, 6.0)))
    cluster.master_returns(keep=keep)
    cluster.pass_time(15)
    if not removed(cluster):
        cluster.books_agree()
    run_out(cluster)
    failed = any(exit.code for _, _, exit in cluster.done)
    assert sum(done for _, done, _ in cluster.done) == (cores or 12)
    last = removed(cluster)
    assert last is not None and last.state is (ApplicationState.FAILED if failed else ApplicationState.FINISHED)
    assert not any(worker.running for worker in cluster.workers)
    told = {e.id: e.exit for e in cluster.app.executors.all() if e.state is ExecutorState.EXITED}
    assert told == {id: exit for id, _, exit in cluster.done}  # stoker run's exit code is made of these
