"""Whatever an authorised peer sends, the master continues: no message that decodes may stop it, overflow its records or
its answers, or use up what other peers need."""

from __future__ import annotations

from enum import Enum
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stoker.core.master.effects import Received
from stoker.core.master.rules import RULES
from stoker.core.model import lifecycles
from stoker.core.model.messages import (
    GetStatus,
    LaunchDriver,
    LaunchExecutor,
    Message,
    RegisterApplication,
    RegisteredApplication,
    RegisterWorker,
    Status,
    SubmitDriver,
    Submitted,
    ToMaster,
    WorkerLeaving,
    roles_allowed,
)
from stoker.core.model.moves import IllegalMove
from stoker.core.model.states import ApplicationState, DriverState, ExecutorState, Role, WorkerState
from stoker.core.model.values import (
    APP_ID,
    ApplicationDescription,
    Artifact,
    Command,
    DriverDescription,
    DriverReport,
    ExecutorReport,
    Exit,
)
from stoker.errors import ProtocolError
from stoker.wire import codec
from tests.support.core import Bench, driver

DRIVER = DriverDescription(kind="program", main="t", artifacts=(Artifact(name="t", url="local:/bin/true"),))
APP = ApplicationDescription(name="x", command=Command(argv=("a",)), max_cores=2)
FINITE = msgspec.structs.replace(APP, finite=True)
WORKER_ID = "worker-20270101000000-h1-4001"
BY_THE_SHELL = {"LogData", "ReadLog", "FetchBlob", "UploadChunk", "FindMissingBlobs"}  # the core never sees them
KINDS = {kind.__name__: kind for kind in get_args(ToMaster) if kind.__name__ not in BY_THE_SHELL}

EDGES = [-(2**63), -(2**31), -1, 4001, 2**31 - 1, 2**31, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
NUMBERS = st.integers(0, 4) | st.integers(0, 4) | st.sampled_from(EDGES)  # mostly bodies that decode
IDS = st.sampled_from(
    [
        "",
        "x",
        "../../etc",
        WORKER_ID,
        "worker-20270101000000-h2-4002",
        "app-20270101000000-0001",
        "app-20270101000000-" + "9" * 12,
        "app-20270101000000-" + "9" * 30,
        "app-20270101000000-" + "9" * 5000,
        "driver-20270101000000-0001",
        "driver-20270101000000-" + "9" * 12,
        "driver-20270101000000-" + "9" * 40,
        "a" * 2000,
        "ü\n\x1b[2J",
    ]
)
FLOATS = st.sampled_from([0.0, -1.0, 1e308, float("inf"), float("nan")])


def plain(value: msgspec.Struct) -> Any:
    return msgspec.to_builtins(value)


EXIT = st.sampled_from(
    [plain(Exit()), plain(Exit(code=0)), plain(Exit(signal=9)), {"code": 2**63}, {"code": 1, "signal": 9}]
)
VIEW = st.fixed_dictionaries(
    {"id": NUMBERS, "worker_id": IDS, "host": IDS, "cores": NUMBERS, "memory_mib": NUMBERS, "state": st.just("EXITED")},
    optional={"exit": EXIT, "started": FLOATS},
)
DRIVER_REPORT = st.fixed_dictionaries(
    {
        "driver_id": IDS,
        "attempt": NUMBERS,
        "state": st.sampled_from([state.value for state in DriverState]),
        "driver": st.just(plain(DRIVER)),
    },
    optional={"started": FLOATS, "pid": NUMBERS, "exit": EXIT},
)
EXECUTOR_REPORT = st.fixed_dictionaries(
    {
        "app_id": IDS,
        "executor_id": NUMBERS,
        "cores": NUMBERS,
        "memory_mib": NUMBERS,
        "state": st.sampled_from([state.value for state in ExecutorState]),
        "app": st.sampled_from([plain(APP), plain(FINITE)]),
    },
    optional={"started": FLOATS, "pid": NUMBERS, "exit": EXIT},
)
BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    "driver": st.just(plain(DRIVER)),
    "app": st.sampled_from([plain(APP), plain(FINITE)]),
    "drivers": st.lists(DRIVER_REPORT, max_size=2),
    "executors": st.lists(EXECUTOR_REPORT, max_size=2),
    "ended": st.lists(VIEW, max_size=3),
    "exit": EXIT,
    "executor_ids": st.lists(NUMBERS, max_size=3),
    "stream": st.just("stdout"),
    "data": st.just(b""),
}


def field(name: str, kind: type[Message], annotation: Any) -> st.SearchStrategy[Any]:
    if name in BY_NAME:
        return BY_NAME[name]
    if name == "state":
        states: dict[str, type[Enum]] = {
            "UnregisterApplication": ApplicationState,
            "ExecutorStateChanged": ExecutorState,
        }
        return st.sampled_from([state.value for state in states.get(kind.__name__, DriverState)])
    return {int: NUMBERS, float: FLOATS, bool: st.booleans(), str: IDS}.get(annotation, st.just([]))


def hostile(kind: type[Message]) -> st.SearchStrategy[dict[str, Any]]:
    """Bodies of one kind: mostly decodable, with values at and over every edge."""
    required: dict[str, st.SearchStrategy[Any]] = {"type": st.just(kind.__name__)}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for info in msgspec.structs.fields(kind):
        (required if info.required else optional)[info.name] = field(info.name, kind, info.type)
    return st.fixed_dictionaries(required, optional=optional)


MESSAGES = st.sampled_from(sorted(KINDS)).flatmap(
    lambda name: st.tuples(
        st.sampled_from(["w1", "w2"] if Role.WORKER in roles_allowed(KINDS[name]) else ["c1", "c2"]),
        hostile(KINDS[name]),
    )
)


class Besieged(Bench):
    """A bench that takes raw bodies. Its books are not checked for over-commitment: hostile workers claim anything."""

    def attack(self, peer: str, body: dict[str, Any]) -> bool:
        """Return False if the codec rejected it, or the role may not send it."""
        try:
            message = codec.to_master.decode([codec.HEADER, msgspec.msgpack.encode(body)])
        except ProtocolError as error:
            assert str(error).isprintable()
            return False
        role = Role.WORKER if peer.startswith("w") else Role.CLIENT
        if role not in roles_allowed(type(message)):
            return False
        self.core.handle(Received(peer.encode(), peer, role, message), self.now)
        self.settle()
        return True

    def settle(self) -> None:
        self._apply(self.core.finish_batch(self.now))

    def lives_on(self) -> None:
        """Time passes, the master restarts from its records, and serves everybody else."""
        for _ in range(30):
            self.mono += 5
            self.settle()
        self.restart(keep=True)
        for _ in range(30):
            self.mono += 5
            self.settle()
        for message in (
            RegisterWorker(
                worker_id="worker-20270101000000-h9-9", boot="b", host="h9", port=9, cores=8, memory_mib=9999
            ),
            SubmitDriver(request=1, token="honest driver", driver=DRIVER),
            RegisterApplication(request=2, token="honest application", app=APP),
            GetStatus(request=3),
        ):
            peer = "w9" if isinstance(message, RegisterWorker) else "c9"
            role = Role.WORKER if peer == "w9" else Role.CLIENT
            self.core.handle(Received(peer.encode(), peer, role, message), self.now)
            self.settle()
        driver_id = self.take_all("c9", Submitted)[0].driver_id
        assert APP_ID.fullmatch(self.take_all("c9", RegisteredApplication)[0].app_id)
        assert self.take_all("c9", Status)[0].cluster is not None
        assert driver_id in {launch.driver_id for launch in self.take_all("w9", LaunchDriver)}


def besieged() -> Besieged:
    bench = Besieged()
    bench.worker("w1")
    bench.send("c1", SubmitDriver(request=1, token="d", driver=DRIVER), key="c1")
    bench.send("c1", RegisterApplication(request=2, token="a", app=APP, app_id="app-20270101000000-0001"), key="c1")
    return bench


@settings(max_examples=400, deadline=None)
@given(messages=st.lists(MESSAGES, min_size=2, max_size=10))
def test_no_sequence_of_messages_stops_the_master(messages: list[tuple[str, dict[str, Any]]]) -> None:
    bench = besieged()
    for peer, body in messages:
        bench.attack(peer, body)
    bench.lives_on()


def test_the_attack_gets_through() -> None:
    """Enough of the generated bodies pass the codec for the property to mean something."""
    passed: set[str] = set()

    @settings(max_examples=400, deadline=None, derandomize=True, database=None)
    @given(attack=MESSAGES)
    def look(attack: tuple[str, dict[str, Any]]) -> None:
        peer, body = attack
        if besieged().attack(peer, body):
            passed.add(body["type"])

    look()
    assert passed >= {"RegisterApplication", "RegisterWorker", "DriverStateChanged", "KillExecutors", "SubmitDriver"}


def test_an_absurd_id_does_not_use_up_the_numbers() -> None:
    bench = besieged()
    greedy = RegisterApplication(request=1, token="g", app=APP, app_id="app-20270101000000-" + "9" * 12)
    bench.send("c2", greedy, key="c2")
    assert bench.take_all("c2", RegisteredApplication)
    bench.lives_on()


def test_reports_of_impossible_things_are_refused_by_the_codec() -> None:
    report = plain(
        DriverReport(driver_id="driver-20270101000000-0001", attempt=1, state=DriverState.RUNNING, driver=DRIVER)
    )
    executor = plain(
        ExecutorReport(
            app_id="app-20270101000000-0007", executor_id=1, cores=1, memory_mib=1, state=ExecutorState.RUNNING, app=APP
        )
    )
    register = {"type": "RegisterWorker", "worker_id": WORKER_ID, "boot": "b", "host": "h1", "port": 4001} | {
        "cores": 4,
        "memory_mib": 4096,
    }
    assert besieged().attack("w1", register | {"drivers": [report], "executors": [executor]})
    for fault in ({"attempt": 0}, {"driver_id": "../../etc"}, {"started": float("nan")}):
        assert not besieged().attack("w1", register | {"drivers": [report | fault]})
    for fault in ({"cores": 0}, {"cores": 2**62}, {"app_id": "x"}, {"executor_id": -1}):
        assert not besieged().attack("w1", register | {"executors": [executor | fault]})


# --- messages that ask for an illegal move ---------------------------------------------------------------------------


def one_executor() -> tuple[Bench, LaunchExecutor]:
    bench = Bench()
    bench.worker("w1")
    bench.application("c1", max_cores=1, cores_per_executor=1)
    launch = bench.take_all("w1", LaunchExecutor)[0]
    bench.executor_is("w1", launch, ExecutorState.RUNNING)
    bench.inbox.clear()
    bench.log.clear()
    return bench, launch


@pytest.mark.parametrize("state", [ExecutorState.LAUNCHING, ExecutorState.LOST, ExecutorState.DECOMMISSIONED])
def test_a_report_that_no_worker_can_make_is_dropped_with_a_line(state: ExecutorState) -> None:
    bench, launch = one_executor()
    bench.executor_is("w1", launch, state)
    assert len(bench.log) == 1 and "dropped" in bench.log[0] and state.value in bench.log[0]
    bench.nothing_else()
    executor = bench.core.ctx.books.apps[launch.app_id].executors[launch.executor_id]
    assert executor.state is ExecutorState.RUNNING


def test_an_executor_that_registers_as_lost_counts_as_missing() -> None:
    bench, launch = one_executor()
    report = ExecutorReport(
        app_id=launch.app_id,
        executor_id=launch.executor_id,
        cores=1,
        memory_mib=1024,
        state=ExecutorState.LOST,
        app=launch.app,
    )
    bench.worker("w1'", executors=(report,))
    assert any("dropped" in line for line in bench.log)
    app = bench.core.ctx.books.apps[launch.app_id]
    assert [executor.state for executor in app.removed] == [ExecutorState.LOST]
    assert list(app.executors) == [launch.executor_id + 1], "it is replaced"


def test_a_worker_that_stops_cannot_restart() -> None:
    bench = Bench()
    worker_id = bench.worker("w1")
    bench.send("w1", WorkerLeaving(worker_id=worker_id, keeping=False))
    bench.log.clear()
    bench.send("w1", WorkerLeaving(worker_id=worker_id, keeping=True))
    worker = bench.core.ctx.books.workers[worker_id]
    assert len(bench.log) == 1 and "dropped" in bench.log[0]
    assert (worker.record.state, worker.keeping) == (WorkerState.DECOMMISSIONED, False)
    bench.gone("w1")
    assert worker.record.state is WorkerState.DEAD


def test_our_own_illegal_move_stops_the_master_and_tells_the_story() -> None:
    bench = Bench()
    bench.worker("w1")
    driver_id = bench.submit()
    ctx = bench.core.ctx
    record = ctx.books.drivers[driver_id].record
    before = plain(record)
    with pytest.raises(IllegalMove) as raised:
        ctx.move(lifecycles.DRIVER, record, lifecycles.DriverEvent.PLACED)
    assert driver_id in str(raised.value) and "SUBMITTED -PLACED-> RUNNING" in str(raised.value)
    assert plain(record) == before


def test_every_message_has_exactly_one_rule() -> None:
    """Of the core, or of the shell, which keeps files and passes output on."""
    assert {kind.__name__ for kind in RULES} | BY_THE_SHELL == {kind.__name__ for kind in get_args(ToMaster)}
    assert not {kind.__name__ for kind in RULES} & BY_THE_SHELL


def test_a_worker_cannot_fill_the_log_with_its_reports() -> None:
    """Whatever it repeats is logged by the shell at a limited rate."""
    cluster = Bench()
    cluster.worker("w1")
    job = LaunchDriver(epoch=1, driver_id="driver-20270101000000-0001", attempt=1, driver=driver())
    before = len(cluster.log)
    for _ in range(50):
        cluster.driver_is("w1", job, DriverState.RUNNING)
    assert len(cluster.log) == before + 50
    assert cluster.log[before:] == cluster.limited
