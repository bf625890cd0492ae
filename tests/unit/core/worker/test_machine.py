"""The worker's core: registration, commands, jobs, fencing (spec 9.1, 11, 12)."""

from __future__ import annotations

import random
from typing import Any, TypeVar

import pytest

from stoker.core.model.messages import (
    ApplicationFinished,
    DriverStateAck,
    DriverStateChanged,
    ExecutorStateChanged,
    Failed,
    KillDriver,
    KillExecutor,
    LaunchDriver,
    LaunchExecutor,
    MastersChanged,
    Message,
    Reconnect,
    RegisteredWorker,
    RegisterWorker,
    RegisterWorkerFailed,
    WorkerHeartbeat,
    WorkerLeaving,
)
from stoker.core.model.states import DriverState, ExecutorState, JobPhase
from stoker.core.model.values import Exit, Now
from stoker.core.peer.events import Connect, Disconnect, Send
from stoker.core.worker import effects
from stoker.core.worker.jobs import REPORT_AGAIN, DriverJob
from stoker.core.worker.machine import WorkerCore
from stoker.core.worker.registration import WorkerIdentity
from stoker.wire import codec
from tests.support.core import application, driver

E = TypeVar("E")
M = TypeVar("M", bound=Message)
A, B = "a:7077", "b:7077"
D1 = "driver-20270101000000-0001"
APP = "app-20270101000000-0001"


class Bench:
    def __init__(self, masters: tuple[str, ...] = (A,), cores: int = 4) -> None:
        identity = WorkerIdentity(
            id="worker-20270101000000-h-1",
            boot="b",
            host="h",
            port=1,
            cores=cores,
            memory_mib=4096,
            webui_url="",
            version="",
        )
        self.core = WorkerCore(identity, masters=masters, grace=10.0, rng=random.Random(3))
        self.mono = 100.0
        self.out: list[Any] = []

    @property
    def now(self) -> Now:
        return Now(self.mono, 1e9 + self.mono)

    def tick(self, seconds: float = 0.0) -> None:
        self.mono += seconds
        self.core.tick(self.now)
        self.collect()

    def collect(self) -> None:
        for effect in self.core.take_effects():
            if isinstance(effect, Send):
                message = codec.to_master.decode(codec.encode(effect.message))
                self.out.append(Send(effect.address, message))
            elif not isinstance(effect, effects.Log):
                self.out.append(effect)

    def say(self, message: Message, address: str = A) -> None:
        self.core.handle(address, codec.to_worker.decode(codec.encode(message)), self.now)
        self.collect()

    def sent(self, kind: type[M]) -> list[M]:
        """Messages of that kind to masters, taken out."""
        found = [e.message for e in self.out if isinstance(e, Send) and isinstance(e.message, kind)]
        self.out = [e for e in self.out if not (isinstance(e, Send) and isinstance(e.message, kind))]
        return found

    def did(self, kind: type[E]) -> list[E]:
        found = [effect for effect in self.out if isinstance(effect, kind)]
        self.out = [effect for effect in self.out if not isinstance(effect, kind)]
        return found

    def register(self, address: str = A, epoch: int = 5) -> None:
        self.tick()
        self.did(Connect)
        self.core.link_opened(address, self.now)
        self.collect()
        assert len(self.sent(RegisterWorker)) == 1
        self.say(RegisteredWorker(epoch=epoch, worker_id="w", master_url=f"spark://{address}"), address)
        assert self.core.leader == address

    def launch(self, attempt: int = 1, epoch: int = 5, **more: Any) -> str:
        self.say(LaunchDriver(epoch=epoch, driver_id=D1, attempt=attempt, driver=driver(**more)))
        return f"{D1}:{attempt}"

    def run(self, **more: Any) -> str:
        key = self.launch(**more)
        assert [effect.job.key for effect in self.did(effects.Prepare)] == [key]
        self.core.prepared(key, self.now)
        self.collect()
        assert [effect.job.key for effect in self.did(effects.Spawn)] == [key]
        self.core.started(key, 42, self.now)
        self.collect()
        (report,) = self.sent(DriverStateChanged)
        assert (report.state, report.pid) == (DriverState.RUNNING, 42)
        return key

    def ends(self, key: str, **exit: Any) -> None:
        self.core.exited(key, Exit(**exit), self.now)
        self.collect()


@pytest.fixture
def bench() -> Bench:
    found = Bench()
    found.register()
    return found


def test_registration_is_tried_for_ever_with_growing_jittered_delays() -> None:
    bench = Bench()
    delays = []
    bench.tick()
    for _ in range(40):
        assert [effect.address for effect in bench.did(Connect)] == [A]
        bench.core.link_closed(A, "refused", denied=False, now=bench.now)
        delays.append(bench.core.next_deadline() - bench.mono)
        bench.tick(delays[-1])
    assert delays[0] <= 0.01 and all(delay <= 2.0 for delay in delays) and max(delays) > 0.9
    assert len(set(delays[10:])) > 20, "jitter"


def test_all_masters_are_tried_and_a_standby_names_the_leader() -> None:
    bench = Bench((A,))
    bench.tick()
    bench.core.link_opened(A, bench.now)
    bench.collect()
    bench.say(Failed(request=0, reason="standby", code="not-leader", leader=B))
    bench.out.clear()
    bench.tick(0.001)
    assert [effect.address for effect in bench.did(Connect)] == [B]
    bench.register(B)


def test_heartbeats_go_to_the_leader_at_its_interval(bench: Bench) -> None:
    bench.tick(14.9)
    assert bench.sent(WorkerHeartbeat) == []
    bench.tick(0.2)
    assert len(bench.sent(WorkerHeartbeat)) == 1


def test_the_release_of_an_old_keeper_is_reported_at_once_and_to_each_leader(bench: Bench) -> None:
    registration = bench.core.registration
    for release, reports in (("0.1.0", ["0.1.0"]), ("0.1.0", []), ("", [""])):
        registration.keeper_is(release)
        bench.collect()
        assert [beat.keeper_release for beat in bench.sent(WorkerHeartbeat)] == reports
        bench.out.clear()
    bench = Bench((A,))
    bench.core.registration.keeper_is("0.1.0")
    bench.register(A)
    assert bench.sent(WorkerHeartbeat)[-1].keeper_release == "0.1.0"


def test_driver_from_launch_to_acknowledgement(bench: Bench) -> None:
    key = bench.run()
    assert bench.core.used.cores == 1
    bench.ends(key, code=3)
    (report,) = bench.sent(DriverStateChanged)
    assert (report.state, report.exit.code, report.attempt) == (DriverState.FAILED, 3, 1)
    assert bench.core.used.cores == 0
    bench.say(DriverStateAck(epoch=5, driver_id=D1, attempt=1))
    assert [effect.key for effect in bench.did(effects.ForgetJob)] == [key]
    assert bench.core.jobs == {}


def test_final_report_is_repeated_until_acknowledged(bench: Bench) -> None:
    bench.ends(bench.run(), code=0)
    assert len(bench.sent(DriverStateChanged)) == 1
    for _ in range(3):
        bench.tick(REPORT_AGAIN)
        assert len(bench.sent(DriverStateChanged)) == 1


def test_registration_after_reconnection_reports_running_and_ended(bench: Bench) -> None:
    bench.ends(bench.run(), code=0)
    bench.sent(DriverStateChanged)
    bench.say(LaunchExecutor(epoch=5, app_id=APP, executor_id=0, cores=2, memory_mib=100, app=application()))
    bench.core.link_closed(A, "gone", denied=False, now=bench.now)
    bench.tick(3)
    bench.core.link_opened(A, bench.now)
    bench.collect()
    (message,) = bench.sent(RegisterWorker)
    assert [(r.driver_id, r.attempt, r.state) for r in message.drivers] == [(D1, 1, DriverState.FINISHED)]
    assert [(r.app_id, r.executor_id, r.cores) for r in message.executors] == [(APP, 0, 2)]
    assert message.highest_epoch == 5


@pytest.mark.parametrize(
    "command",
    [
        LaunchDriver(epoch=4, driver_id=D1, attempt=1, driver=driver()),
        KillDriver(epoch=4, driver_id=D1, attempt=1),
        LaunchExecutor(epoch=4, app_id=APP, executor_id=0, cores=1, memory_mib=1, app=application()),
        KillExecutor(epoch=4, app_id=APP, executor_id=0),
        ApplicationFinished(epoch=4, app_id=APP),
        RegisterWorkerFailed(epoch=4, reason="we obey another one"),
        MastersChanged(epoch=4, masters=("c:7077",)),
    ],
    ids=lambda command: type(command).__name__,
)
def test_commands_of_a_deposed_master_have_no_effect(bench: Bench, command: Message) -> None:
    bench.run()
    bench.say(command, B)
    assert bench.out == [] and list(bench.core.jobs) == [f"{D1}:1"] and bench.core.leader == A


def test_a_deposed_master_that_takes_us_for_its_own_learns_better() -> None:
    bench = Bench((A, B))
    bench.register(A)
    bench.say(RegisteredWorker(epoch=4, worker_id="w", master_url="spark://old"), B)
    assert bench.core.leader == A
    (told,) = bench.sent(RegisterWorker)
    assert told.highest_epoch == 5 and bench.out == []


def test_higher_epoch_is_followed_and_the_old_leader_learns_of_it() -> None:
    bench = Bench((A, B))
    bench.register(A)
    bench.say(RegisteredWorker(epoch=9, worker_id="w", master_url="spark://b"), B)
    assert bench.core.leader == B
    (told,) = bench.sent(RegisterWorker)
    assert told.highest_epoch == 9
    bench.launch(epoch=5)
    assert bench.did(effects.Prepare) == []


def test_over_commitment_is_refused_and_answered(bench: Bench) -> None:
    bench.launch(cores=5)
    (report,) = bench.sent(DriverStateChanged)
    assert report.state is DriverState.ERROR and "not free on this worker" in report.exit.reason
    bench.say(LaunchExecutor(epoch=5, app_id=APP, executor_id=0, cores=1, memory_mib=99999, app=application()))
    assert [report.state for report in bench.sent(ExecutorStateChanged)] == [ExecutorState.FAILED]
    assert bench.did(effects.Prepare) == []


def test_repeated_launch_is_answered_with_the_state(bench: Bench) -> None:
    bench.run()
    bench.launch()
    assert [report.state for report in bench.sent(DriverStateChanged)] == [DriverState.RUNNING]
    assert bench.did(effects.Prepare) == []


def test_kill_hits_its_attempt_only(bench: Bench) -> None:
    key = bench.run(attempt=2)
    bench.say(KillDriver(epoch=5, driver_id=D1, attempt=1))
    (answer,) = bench.sent(DriverStateChanged)
    assert (answer.attempt, answer.state) == (1, DriverState.KILLED) and bench.did(effects.StopJob) == []
    bench.say(KillDriver(epoch=5, driver_id=D1, attempt=2))
    assert [(effect.key, effect.grace) for effect in bench.did(effects.StopJob)] == [(key, 10.0)]
    bench.ends(key, signal=15)
    assert [report.state for report in bench.sent(DriverStateChanged)] == [DriverState.KILLED]


def test_kill_while_preparing_is_done_at_once(bench: Bench) -> None:
    key = bench.launch()
    bench.did(effects.Prepare)
    bench.say(KillDriver(epoch=5, driver_id=D1, attempt=1))
    assert [effect.key for effect in bench.did(effects.CancelPrepare)] == [key]
    assert [report.state for report in bench.sent(DriverStateChanged)] == [DriverState.KILLED]
    bench.core.prepared(key, bench.now)
    bench.collect()
    assert bench.did(effects.Spawn) == []


def test_kill_while_starting_stops_it_once_it_runs(bench: Bench) -> None:
    key = bench.launch()
    bench.core.prepared(key, bench.now)
    bench.say(KillDriver(epoch=5, driver_id=D1, attempt=1))
    bench.did(effects.Prepare), bench.did(effects.Spawn)
    assert bench.did(effects.StopJob) == []
    bench.core.started(key, 42, bench.now)
    bench.collect()
    assert [effect.key for effect in bench.did(effects.StopJob)] == [key]


def test_older_attempt_is_ended_before_a_newer_may_run(bench: Bench) -> None:
    old = bench.run(attempt=1)
    bench.launch(attempt=2)
    assert [effect.key for effect in bench.did(effects.StopJob)] == [old]
    assert bench.did(effects.Prepare) == []
    (report,) = bench.sent(DriverStateChanged)
    assert (report.attempt, report.state) == (2, DriverState.ERROR)


def test_lower_attempt_is_refused(bench: Bench) -> None:
    bench.run(attempt=3)
    bench.launch(attempt=2)
    (report,) = bench.sent(DriverStateChanged)
    assert (report.attempt, report.state) == (2, DriverState.ERROR) and bench.did(effects.StopJob) == []


def test_failures_to_prepare_and_to_start_are_errors(bench: Bench) -> None:
    key = bench.launch()
    bench.core.could_not_prepare(key, Exit(reason="no disk"), bench.now)
    bench.collect()
    assert [(r.state, r.exit.reason) for r in bench.sent(DriverStateChanged)] == [(DriverState.ERROR, "no disk")]
    bench.say(LaunchExecutor(epoch=5, app_id=APP, executor_id=0, cores=1, memory_mib=1, app=application()))
    bench.core.prepared(f"{APP}/0", bench.now)
    bench.core.could_not_start(f"{APP}/0", Exit(code=127), bench.now)
    bench.collect()
    assert [(r.state, r.exit.code) for r in bench.sent(ExecutorStateChanged)] == [(ExecutorState.FAILED, 127)]


def test_adopted_process_is_reported_and_ends_normally() -> None:
    bench = Bench()
    job = DriverJob(
        key=f"{D1}:1", cores=1, memory_mib=1, driver_id=D1, attempt=1, driver=driver(), phase=JobPhase.RUNNING, pid=7
    )
    bench.core.adopt(job, bench.now)
    bench.tick()
    bench.core.link_opened(A, bench.now)
    bench.collect()
    (message,) = bench.sent(RegisterWorker)
    assert [(report.driver_id, report.pid) for report in message.drivers] == [(D1, 7)]
    bench.say(RegisteredWorker(epoch=5, worker_id="w", master_url="spark://a"))
    bench.ends(job.key, code=0)
    assert [report.state for report in bench.sent(DriverStateChanged)] == [DriverState.FINISHED]


def test_lost_keeper_fails_what_ran(bench: Bench) -> None:
    bench.run()
    bench.core.keeper_lost(bench.now)
    bench.collect()
    assert bench.sent(DriverStateChanged) == [], "the next keeper has not ended it yet"
    bench.core.keeper_back(bench.now)
    bench.collect()
    (report,) = bench.sent(DriverStateChanged)
    assert report.state is DriverState.FAILED and "keeper" in report.exit.reason


def test_job_that_had_not_gone_to_the_lost_keeper_goes_to_the_next(bench: Bench) -> None:
    key = bench.launch()
    bench.core.prepared(key, bench.now)
    bench.core.keeper_lost(bench.now)
    bench.core.keeper_back(bench.now)
    bench.collect()
    assert [effect.job.key for effect in bench.did(effects.Spawn)] == [key]
    assert bench.sent(DriverStateChanged) == []


def test_process_that_starts_after_it_was_given_up_is_ended(bench: Bench) -> None:
    key = bench.launch()
    bench.core.prepared(key, bench.now)
    bench.collect()
    bench.core.keeper_lost(bench.now)
    bench.core.keeper_back(bench.now)
    bench.core.started(key, 7, bench.now)
    bench.collect()
    assert [effect.key for effect in bench.did(effects.StopJob)] == [key]


@pytest.mark.parametrize("keeping", [True, False])
def test_stop(bench: Bench, keeping: bool) -> None:
    key = bench.run()
    bench.core.stop(keeping=keeping, now=bench.now)
    bench.collect()
    assert [message.keeping for message in bench.sent(WorkerLeaving)] == [keeping]
    assert [effect.key for effect in bench.did(effects.StopJob)] == ([] if keeping else [key])
    bench.launch(attempt=1)
    bench.say(LaunchExecutor(epoch=5, app_id=APP, executor_id=0, cores=1, memory_mib=1, app=application()))
    assert bench.did(effects.Prepare) == [], "a stopping worker takes nothing"
    assert not bench.core.is_idle
    bench.ends(key, signal=15)
    bench.say(DriverStateAck(epoch=5, driver_id=D1, attempt=1))


@pytest.mark.parametrize("keeping", [True, False])
def test_a_registration_that_is_answered_after_stop_is_followed_by_the_same_announcement(keeping: bool) -> None:
    """Else the master of a worker that restarts replaces the executors that its keeper keeps."""
    bench = Bench()
    bench.core.link_opened(A, bench.now)
    bench.collect()
    bench.core.stop(keeping=keeping, now=bench.now)
    bench.say(RegisteredWorker(epoch=5, worker_id="w", master_url=f"spark://{A}"))
    assert [message.keeping for message in bench.sent(WorkerLeaving)] == [keeping]


def test_reconnect_registers_again(bench: Bench) -> None:
    bench.say(Reconnect(epoch=5))
    assert len(bench.sent(RegisterWorker)) == 1


def test_a_standby_that_comes_to_lead_is_registered_with_and_its_predecessor_obeyed_no_more() -> None:
    bench = Bench(masters=(A, B))
    bench.register(A)
    bench.core.link_opened(B, bench.now)
    bench.collect()
    bench.sent(RegisterWorker)
    bench.say(Failed(request=0, reason="a standby", code="not-leader", leader=A), B)
    bench.tick(5)
    assert bench.sent(RegisterWorker) == [], "with a leader a standby is not asked again and again"
    bench.say(Reconnect(epoch=6), B)
    assert [effect.address for effect in bench.did(Send)] == [B]
    bench.launch(epoch=5)
    assert bench.did(effects.Prepare) == []
    bench.say(RegisteredWorker(epoch=6, worker_id="w", master_url="spark://b"), B)
    assert bench.core.leader == B


def test_masters_are_learned_from_the_leader_and_forgotten_when_they_are_gone() -> None:
    bench = Bench(masters=(A,))
    bench.register(A)
    bench.say(MastersChanged(epoch=5, masters=(A, B)))
    bench.tick(0.1)
    assert [effect.address for effect in bench.did(Connect)] == [B]
    bench.core.link_closed(B, "gone", denied=False, now=bench.now)
    bench.say(MastersChanged(epoch=5, masters=(B,)), B)
    bench.say(MastersChanged(epoch=5, masters=(A,)))
    bench.tick(10)
    assert bench.did(Connect) == [], "it was not of the list this worker was started with"


def test_refused_registration_is_tried_again_later(bench: Bench) -> None:
    bench.say(RegisterWorkerFailed(epoch=5, reason="same address"))
    assert [effect.address for effect in bench.did(Disconnect)] == [A]
    bench.tick(2.1)
    assert [effect.address for effect in bench.did(Connect)] == [A]


def test_application_finished_is_passed_on(bench: Bench) -> None:
    bench.say(ApplicationFinished(epoch=5, app_id=APP))
    assert [effect.app_id for effect in bench.did(effects.ApplicationOver)] == [APP]


def test_job_whose_keeper_knows_no_time_limits_is_stopped_by_the_daemon(bench: Bench) -> None:
    key = bench.run(time_limit=60.0, supervise=True)
    bench.tick(64.0)
    assert not bench.did(effects.StopJob)
    assert bench.core.next_deadline() <= bench.mono + 1.0
    bench.tick(1.0)
    assert [effect.key for effect in bench.did(effects.StopJob)] == [key]
    bench.tick(1.0)
    assert not bench.did(effects.StopJob)
    bench.ends(key, code=0, reason="Command exited with code 0")
    (report,) = bench.sent(DriverStateChanged)
    assert (report.state, report.exit.reason, report.exit.expired) == (DriverState.FAILED, "time limit of 1 min", True)


def test_end_at_the_keepers_limit_is_reported_with_its_reason(bench: Bench) -> None:
    key = bench.run(time_limit=7200.0)
    bench.ends(key, signal=15, expired=True)
    (report,) = bench.sent(DriverStateChanged)
    assert (report.state, report.exit.status, report.exit.reason) == (DriverState.FAILED, 124, "time limit of 2 h")
