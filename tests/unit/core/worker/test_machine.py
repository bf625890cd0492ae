"""The worker's core: registration, leaders and their epochs, stop (spec 9.1, 12)."""

from __future__ import annotations

import pytest

from stoker.core.model.messages import (
    ApplicationFinished,
    DriverStateAck,
    DriverStateChanged,
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
from stoker.core.model.states import DriverState
from stoker.core.model.values import Unfit
from stoker.core.peer.events import Connect, Disconnect, Send
from stoker.core.worker import effects
from tests.support.core import application, driver
from tests.unit.core.worker.bench import APP, D1, A, B, WorkerBench


def test_registration_is_tried_for_ever_with_growing_jittered_delays() -> None:
    bench = WorkerBench()
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
    bench = WorkerBench((A,))
    bench.tick()
    bench.core.link_opened(A, bench.now)
    bench.collect()
    bench.say(Failed(request=0, reason="standby", code="not-leader", leader=B))
    bench.out.clear()
    bench.tick(0.001)
    assert [effect.address for effect in bench.did(Connect)] == [B]
    bench.register(B)


def test_what_is_wrong_with_the_host_is_sent_with_each_change_and_logged_once(bench: WorkerBench) -> None:
    done: list[effects.WorkerEffect] = []
    for text in ("12 MiB free", "11 MiB free", ""):
        bench.core.measured((Unfit(kind="disk", text=text),) if text else (), bench.now)
        done += bench.core.take_effects()
    sent = [effect.message for effect in done if isinstance(effect, Send)]
    reasons = [[one.text for one in message.unfit] for message in sent if isinstance(message, WorkerHeartbeat)]
    assert reasons == [["12 MiB free"], ["11 MiB free"], []]
    logged = [effect.text for effect in done if isinstance(effect, effects.Log)]
    assert logged == ["unfit: 12 MiB free; no new job is started here", "fit: new jobs are started here again"]


def test_heartbeats_go_to_the_leader_at_its_interval(bench: WorkerBench) -> None:
    bench.tick(14.9)
    assert bench.sent(WorkerHeartbeat) == []
    bench.tick(0.2)
    assert len(bench.sent(WorkerHeartbeat)) == 1


def test_the_release_of_an_old_keeper_is_reported_at_once_and_to_each_leader(bench: WorkerBench) -> None:
    registration = bench.core.registration
    for release, reports in (("0.1.0", ["0.1.0"]), ("0.1.0", []), ("", [""])):
        registration.keeper_is(release)
        bench.collect()
        assert [beat.keeper_release for beat in bench.sent(WorkerHeartbeat)] == reports
        bench.out.clear()
    bench = WorkerBench((A,))
    bench.core.registration.keeper_is("0.1.0")
    bench.register(A)
    assert bench.sent(WorkerHeartbeat)[-1].keeper_release == "0.1.0"


def test_registration_after_reconnection_reports_running_and_ended(bench: WorkerBench) -> None:
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
def test_commands_of_a_deposed_master_have_no_effect(bench: WorkerBench, command: Message) -> None:
    bench.run()
    bench.say(command, B)
    assert bench.out == [] and list(bench.core.jobs) == [f"{D1}:1"] and bench.core.registration.leader == A


def test_a_deposed_master_that_takes_us_for_its_own_learns_better() -> None:
    bench = WorkerBench((A, B))
    bench.register(A)
    bench.say(RegisteredWorker(epoch=4, worker_id="w", master_url="spark://old"), B)
    assert bench.core.registration.leader == A
    (told,) = bench.sent(RegisterWorker)
    assert told.highest_epoch == 5 and bench.out == []


def test_higher_epoch_is_followed_and_the_old_leader_learns_of_it() -> None:
    bench = WorkerBench((A, B))
    bench.register(A)
    bench.say(RegisteredWorker(epoch=9, worker_id="w", master_url="spark://b"), B)
    assert bench.core.registration.leader == B
    (told,) = bench.sent(RegisterWorker)
    assert told.highest_epoch == 9
    bench.launch(epoch=5)
    assert bench.did(effects.Prepare) == []


@pytest.mark.parametrize("keeping", [True, False])
def test_stop(bench: WorkerBench, keeping: bool) -> None:
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
    bench = WorkerBench()
    bench.core.link_opened(A, bench.now)
    bench.collect()
    bench.core.stop(keeping=keeping, now=bench.now)
    bench.say(RegisteredWorker(epoch=5, worker_id="w", master_url=f"spark://{A}"))
    assert [message.keeping for message in bench.sent(WorkerLeaving)] == [keeping]


def test_reconnect_registers_again(bench: WorkerBench) -> None:
    bench.say(Reconnect(epoch=5))
    assert len(bench.sent(RegisterWorker)) == 1


def test_a_standby_that_comes_to_lead_is_registered_with_and_its_predecessor_obeyed_no_more() -> None:
    bench = WorkerBench(masters=(A, B))
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
    assert bench.core.registration.leader == B


def test_masters_are_learned_from_the_leader_and_forgotten_when_they_are_gone() -> None:
    bench = WorkerBench(masters=(A,))
    bench.register(A)
    bench.say(MastersChanged(epoch=5, masters=(A, B)))
    bench.tick(0.1)
    assert [effect.address for effect in bench.did(Connect)] == [B]
    bench.core.link_closed(B, "gone", denied=False, now=bench.now)
    bench.say(MastersChanged(epoch=5, masters=(B,)), B)
    bench.say(MastersChanged(epoch=5, masters=(A,)))
    bench.tick(10)
    assert bench.did(Connect) == [], "it was not of the list this worker was started with"


def test_refused_registration_is_tried_again_later(bench: WorkerBench) -> None:
    bench.say(RegisterWorkerFailed(epoch=5, reason="same address"))
    assert [effect.address for effect in bench.did(Disconnect)] == [A]
    bench.tick(2.1)
    assert [effect.address for effect in bench.did(Connect)] == [A]


def test_application_finished_is_passed_on(bench: WorkerBench) -> None:
    bench.say(ApplicationFinished(epoch=5, app_id=APP))
    assert [effect.app_id for effect in bench.did(effects.ApplicationOver)] == [APP]
