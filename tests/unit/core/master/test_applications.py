"""Applications and executors in the master's core (spec 9.4, 10, 18)."""

from __future__ import annotations

from typing import Any

import pytest

from stoker.core.master.books import REMOVED_EXECUTORS_SHOWN
from stoker.core.model.messages import (
    Accepted,
    ApplicationFinished,
    ApplicationHeartbeat,
    ApplicationRemoved,
    ExecutorAdded,
    ExecutorStateAck,
    ExecutorStateChanged,
    ExecutorUpdated,
    Failed,
    KillExecutor,
    KillExecutors,
    KillJob,
    LaunchExecutor,
    Reconnect,
    RegisterApplication,
    RegisteredWorker,
    RequestExecutors,
    UnregisterApplication,
)
from stoker.core.model.policy import Policy
from stoker.core.model.states import ApplicationState, ExecutorState
from stoker.core.model.values import ExecutorReport, SparkProgram
from tests.support.core import Bench, application


@pytest.fixture
def bench() -> Bench:
    return Bench()


def workers(bench: Bench, count: int, cores: int = 4, memory: int = 4096) -> None:
    for number in range(1, count + 1):
        bench.worker(f"w{number}", cores=cores, memory=memory)
        bench.take(f"w{number}", RegisteredWorker)


def launches(bench: Bench) -> list[LaunchExecutor]:
    return [launch for peer in sorted(bench.inbox) for launch in bench.take_all(peer, LaunchExecutor)]


def cores(bench: Bench) -> list[int]:
    return sorted((launch.cores for launch in launches(bench)), reverse=True)


def app_state(bench: Bench, app_id: str) -> ApplicationState:
    found = bench.core.ctx.books.find_app(app_id)
    assert found is not None
    return found.record.state


# --- acceptance vectors of spec 18 -----------------------------------------------------------------------------


def test_four_workers_of_16_cores_48_wanted_16_each_gives_three_executors(bench: Bench) -> None:
    workers(bench, 4, cores=16, memory=16384)
    bench.application(max_cores=48, cores_per_executor=16)
    assert cores(bench) == [16, 16, 16]


@pytest.mark.parametrize(
    ("spread", "per_executor", "expected"),
    [(True, None, [2, 1, 1]), (False, None, [4]), (True, 1, [1, 1, 1, 1]), (False, 4, [4])],
)
def test_spread_or_pack(spread: bool, per_executor: int | None, expected: list[int]) -> None:
    bench = Bench(policy=Policy(spread_out_apps=spread))
    workers(bench, 3)
    bench.application(max_cores=4, cores_per_executor=per_executor)
    assert cores(bench) == expected


def test_second_unlimited_application_waits_for_the_first(bench: Bench) -> None:
    workers(bench, 2)
    first = bench.application("c1")
    first_launches = {peer: bench.take_all(peer, LaunchExecutor) for peer in ("w1", "w2")}
    second = bench.application("c2")
    assert launches(bench) == [] and app_state(bench, second) is ApplicationState.WAITING
    bench.send("c1", UnregisterApplication(request=2, app_id=first))
    assert launches(bench) == [], "cores are free only when the workers say so"
    for peer, old in first_launches.items():
        bench.executor_is(peer, old[0], ExecutorState.KILLED, signal=15)
    assert cores(bench) == [4, 4]


def test_default_cores_apply_to_applications_without_a_limit() -> None:
    bench = Bench(policy=Policy(default_cores=2))
    workers(bench, 1)
    bench.application()
    assert cores(bench) == [2]


def test_remainder_below_executor_cores_stays_unused(bench: Bench) -> None:
    workers(bench, 1, cores=10)
    bench.application(cores_per_executor=4)
    assert cores(bench) == [4, 4]


def test_memory_bounds_the_number_of_executors(bench: Bench) -> None:
    workers(bench, 1, cores=8, memory=2048)
    bench.application(max_cores=3, cores_per_executor=1, memory_mib=1024)
    assert cores(bench) == [1, 1]


def test_drivers_come_before_applications(bench: Bench) -> None:
    app_id = bench.application()
    driver_id = bench.submit(cores=4)
    workers(bench, 1)
    assert launches(bench) == []
    assert bench.core.ctx.books.drivers[driver_id].record.state.value == "RUNNING"
    assert app_state(bench, app_id) is ApplicationState.WAITING


def test_an_application_that_does_not_fit_is_passed_over(bench: Bench) -> None:
    workers(bench, 1, cores=4)
    bench.application("c1", cores_per_executor=16)
    bench.application("c2", max_cores=1)
    assert cores(bench) == [1]


# --- life of executors -------------------------------------------------------------------------------------------------


def one(bench: Bench, **more: Any) -> tuple[str, LaunchExecutor]:
    workers(bench, 1)
    app_id = bench.application(**more)
    launch = bench.take("w1", LaunchExecutor)
    bench.take("c1", ExecutorAdded)
    bench.executor_is("w1", launch, ExecutorState.RUNNING)
    assert bench.take("c1", ExecutorUpdated).state is ExecutorState.RUNNING
    bench.nothing_else()
    return app_id, launch


def test_failed_executor_is_replaced_after_a_growing_delay(bench: Bench) -> None:
    _, launch = one(bench)
    delays = []
    for _ in range(4):
        bench.executor_is("w1", launch, ExecutorState.EXITED, code=1)
        bench.take("w1", ExecutorStateAck)
        assert bench.take_all("w1", LaunchExecutor) == []
        start = bench.mono
        while not bench.inbox.get("w1"):
            bench.wait(0.01)
        delays.append(bench.mono - start)
        launch = bench.take("w1", LaunchExecutor)
    assert delays == sorted(delays) and 0.07 < delays[0] < 0.2 and delays[3] > 0.5
    assert launch.executor_id == 4, "ids are never used twice"


def test_ten_failures_in_a_row_with_none_running_fail_the_application(bench: Bench) -> None:
    app_id, launch = one(bench)
    for _ in range(10):
        bench.executor_is("w1", launch, ExecutorState.EXITED, code=1, reason="exited with code 1")
        found: list[LaunchExecutor] = []
        while not found and not app_state(bench, app_id).is_final:
            bench.live(0.2)
            found = bench.take_all("w1", LaunchExecutor)
        launch = found[0] if found else launch
    assert app_state(bench, app_id) is ApplicationState.FAILED
    removed = bench.take_all("c1", ApplicationRemoved)[0]
    assert removed.state is ApplicationState.FAILED and "10 executors failed in a row" in removed.reason


def test_negative_limit_never_gives_up() -> None:
    bench = Bench(policy=Policy(max_executor_retries=-1))
    app_id, launch = one(bench)
    for _ in range(25):
        bench.executor_is("w1", launch, ExecutorState.EXITED, code=1)
        bench.live(10)
        launch = bench.take_all("w1", LaunchExecutor)[0]
    assert app_state(bench, app_id) is ApplicationState.RUNNING


def test_failures_with_another_executor_running_do_not_end_the_application(bench: Bench) -> None:
    workers(bench, 2)
    app_id = bench.application()
    by_peer = {peer: bench.take_all(peer, LaunchExecutor)[0] for peer in ("w1", "w2")}
    for peer, launch in by_peer.items():
        bench.executor_is(peer, launch, ExecutorState.RUNNING)
    for _ in range(15):
        bench.executor_is("w1", by_peer["w1"], ExecutorState.EXITED, code=1)
        bench.live(10)
        by_peer["w1"] = bench.take_all("w1", LaunchExecutor)[0]
    assert app_state(bench, app_id) is ApplicationState.RUNNING


def test_executors_of_a_crashed_worker_are_replaced_at_once(bench: Bench) -> None:
    workers(bench, 2)
    bench.application(max_cores=4, cores_per_executor=4)
    peer = "w1" if bench.inbox.get("w1") else "w2"
    other = "w2" if peer == "w1" else "w1"
    bench.take(peer, LaunchExecutor)
    bench.take_all("c1", ExecutorAdded)
    bench.gone(peer)
    update = bench.take("c1", ExecutorUpdated)
    assert update.state is ExecutorState.LOST and update.worker_lost
    assert bench.take(other, LaunchExecutor).executor_id == 1
    assert bench.take("c1", ExecutorAdded).executor_id == 1
    bench.nothing_else()


def report(launch: LaunchExecutor, state: ExecutorState = ExecutorState.RUNNING) -> ExecutorReport:
    return ExecutorReport(
        app_id=launch.app_id,
        executor_id=launch.executor_id,
        cores=launch.cores,
        memory_mib=launch.memory_mib,
        state=state,
        app=launch.app,
        pid=100,
    )


def test_lost_executor_that_comes_back_is_taken_back_if_not_replaced(bench: Bench) -> None:
    app_id, launch = one(bench)
    bench.gone("w1")
    assert app_state(bench, app_id) is ApplicationState.WAITING
    bench.worker("w1'", executors=(report(launch),))
    assert bench.take_all("w1'", KillExecutor) == []
    assert bench.take_all("w1'", LaunchExecutor) == []
    assert list(bench.core.ctx.books.apps[app_id].executors) == [0]
    assert app_state(bench, app_id) is ApplicationState.RUNNING


def test_lost_executor_of_a_spark_application_is_replaced_and_never_taken_back(bench: Bench) -> None:
    """Its driver was notified and sends it no task again: if it were taken back, it would hold cores and do nothing."""
    bench.worker("w1", cores=2)
    program = SparkProgram(release="4.3", driver_host="d", driver_port=1)
    app_id = bench.application("c1", max_cores=2, spark=program)
    launch = bench.take_all("w1", LaunchExecutor)[0]
    bench.executor_is("w1", launch, ExecutorState.RUNNING)
    bench.gone("w1")
    bench.worker("w1'", cores=2, executors=(report(launch),))
    assert [kill.executor_id for kill in bench.take_all("w1'", KillExecutor)] == [0]
    ended = ExecutorStateChanged(
        worker_id="worker-20270101000000-h1-4001", app_id=app_id, executor_id=0, state=ExecutorState.KILLED
    )
    bench.send("w1'", ended)
    assert [new.executor_id for new in bench.take_all("w1'", LaunchExecutor)] == [1]


def test_lost_executor_that_was_replaced_is_killed_on_return(bench: Bench) -> None:
    _, launch = one(bench, max_cores=4)
    bench.worker("w2")
    bench.gone("w1")
    assert bench.take_all("w2", LaunchExecutor)
    bench.worker("w1'", executors=(report(launch),))
    assert bench.take_all("w1'", KillExecutor)[0].executor_id == 0


def test_executor_killed_while_its_worker_was_away_is_not_taken_back(bench: Bench) -> None:
    app_id, launch = one(bench)
    bench.restart(keep=True)
    bench.application("c1'", token="a0", app_id=app_id)
    bench.send("c1'", KillExecutors(request=2, app_id=app_id, executor_ids=(0,)))
    bench.worker("w1'", executors=(report(launch),))
    assert [kill.executor_id for kill in bench.take_all("w1'", KillExecutor)] == [0]
    assert 0 not in bench.core.ctx.books.apps[app_id].executors


def test_announced_restart_keeps_executors(bench: Bench) -> None:
    from stoker.core.model.messages import WorkerLeaving

    app_id, launch = one(bench, max_cores=4)
    bench.worker("w2")
    bench.take("w2", RegisteredWorker)
    bench.send("w1", WorkerLeaving(worker_id="worker-20270101000000-h1-4001", keeping=True))
    bench.gone("w1")
    bench.nothing_else()
    bench.worker("w1'", worker_id="worker-20270101000005-h1-4001", executors=(report(launch),))
    assert bench.take_all("w2", LaunchExecutor) == []
    assert list(bench.core.ctx.books.apps[app_id].executors) == [0]


def test_closed_connection_ends_the_application_and_its_executors(bench: Bench) -> None:
    app_id, launch = one(bench)
    bench.gone("c1")
    assert bench.take("w1", KillExecutor).executor_id == launch.executor_id
    assert bench.take("w1", ApplicationFinished).app_id == app_id
    assert app_state(bench, app_id) is ApplicationState.FAILED
    bench.nothing_else()


def test_silent_application_ends_after_worker_timeout(bench: Bench) -> None:
    app_id, _ = one(bench)
    bench.wait(70)
    assert app_state(bench, app_id) is ApplicationState.FAILED


def test_request_and_kill_executors(bench: Bench) -> None:
    workers(bench, 1)
    app_id = bench.application(cores_per_executor=1, executor_limit=0)
    assert launches(bench) == []
    bench.send("c1", RequestExecutors(request=2, app_id=app_id, executor_limit=2))
    found = bench.take_all("w1", LaunchExecutor)
    assert len(found) == 2
    bench.send("c1", RequestExecutors(request=3, app_id=app_id, executor_limit=1))
    bench.send("c1", KillExecutors(request=4, app_id=app_id, executor_ids=(0, 77)))
    assert [kill.executor_id for kill in bench.take_all("w1", KillExecutor)] == [0]
    bench.executor_is("w1", found[0], ExecutorState.KILLED, signal=15)
    bench.wait(30)
    assert bench.take_all("w1", LaunchExecutor) == []


def test_only_the_registering_connection_may_steer_an_application(bench: Bench) -> None:
    app_id, _ = one(bench)
    bench.send("c2", RequestExecutors(request=2, app_id=app_id, executor_limit=0))
    assert bench.take("c2", Failed).code == "not-found"
    bench.send("c2", RegisterApplication(request=3, token="x", app=application(), app_id=app_id), key="k2")
    assert bench.take("c2", Failed).code == "not-authorized"
    bench.send("c2", KillJob(request=4, id=app_id), key="k2")
    assert bench.take("c2", Failed).code == "not-authorized"
    bench.nothing_else()


def test_kill_application(bench: Bench) -> None:
    app_id, _ = one(bench)
    bench.send("c9", KillJob(request=4, id=app_id))
    bench.take("c9", Accepted)
    assert bench.take("c1", ExecutorUpdated).state is ExecutorState.KILLED
    assert bench.take("c1", ApplicationRemoved).state is ApplicationState.KILLED
    bench.take("w1", KillExecutor)


# --- finite applications (stoker run) ----------------------------------------------------------------------------------


def test_finite_application_without_limit_takes_one_grant_and_finishes(bench: Bench) -> None:
    workers(bench, 2)
    app_id = bench.application(finite=True)
    by_peer = {peer: bench.take_all(peer, LaunchExecutor)[0] for peer in ("w1", "w2")}
    for peer, launch in by_peer.items():
        bench.executor_is(peer, launch, ExecutorState.EXITED, code=0)
        bench.wait(5)
        assert launches(bench) == []
    assert app_state(bench, app_id) is ApplicationState.FINISHED
    assert bench.take_all("c1", ApplicationRemoved)[0].state is ApplicationState.FINISHED


def test_finite_application_runs_the_rest_of_its_share_later(bench: Bench) -> None:
    workers(bench, 1, cores=2)
    app_id = bench.application(finite=True, max_cores=3, cores_per_executor=1)
    first = bench.take_all("w1", LaunchExecutor)
    assert len(first) == 2
    bench.executor_is("w1", first[0], ExecutorState.EXITED, code=0)
    third = bench.take_all("w1", LaunchExecutor)
    assert len(third) == 1
    bench.executor_is("w1", first[1], ExecutorState.EXITED, code=5)
    bench.executor_is("w1", third[0], ExecutorState.EXITED, code=0)
    assert app_state(bench, app_id) is ApplicationState.FAILED
    assert "1 of its executors failed" in bench.take_all("c1", ApplicationRemoved)[0].reason


def test_finite_application_replaces_lost_executors_only(bench: Bench) -> None:
    workers(bench, 2)
    app_id = bench.application(finite=True)
    by_peer = {peer: bench.take_all(peer, LaunchExecutor)[0] for peer in ("w1", "w2")}
    bench.executor_is("w1", by_peer["w1"], ExecutorState.EXITED, code=0)
    bench.gone("w2")
    again = bench.take_all("w1", LaunchExecutor)
    assert len(again) == 1
    bench.executor_is("w1", again[0], ExecutorState.EXITED, code=0)
    assert app_state(bench, app_id) is ApplicationState.FINISHED


def test_repeated_registration_is_one_application(bench: Bench) -> None:
    workers(bench, 1)
    first = bench.application("c1", token="same")
    assert bench.application("c1", token="same") == first
    assert len(bench.core.ctx.books.apps) == 1


def test_records_of_ended_executors_are_bounded(bench: Bench) -> None:
    bench.worker("w1", cores=1)
    app_id = bench.application(max_cores=1)
    for _ in range(REMOVED_EXECUTORS_SHOWN + 3):
        launch = bench.take_all("w1", LaunchExecutor)[0]
        bench.inbox.clear()
        bench.executor_is("w1", launch, ExecutorState.EXITED, code=0)
    kept = sorted(int(key.rpartition("/")[2]) for key in bench.store if key.startswith(f"executor/{app_id}/"))
    assert kept == list(range(3, REMOVED_EXECUTORS_SHOWN + 4))
    living = bench.take_all("w1", LaunchExecutor)[0]
    bench.worker("w1", cores=1, executors=(report(living),))  # a second time: an ended application stays in the history
    assert [executor.id for executor in bench.core.ctx.books.apps[app_id].removed] == kept[:-1]
    bench.restart(keep=True)
    assert [executor.id for executor in bench.core.ctx.books.apps[app_id].removed] == kept[:-1]


def test_heartbeat_on_a_connection_that_is_not_the_applications_is_answered(bench: Bench) -> None:
    """A registration sent on an earlier connection came in after that on the present one, and ended with it."""
    app_id = bench.application("c1'", token="a")
    bench.application("c1", token="a")
    bench.send("c1'", ApplicationHeartbeat(app_id=app_id))
    assert bench.take("c1'", Reconnect).epoch == bench.epoch
    bench.gone("c1")
    bench.send("c1'", ApplicationHeartbeat(app_id=app_id))
    assert bench.take("c1'", ApplicationRemoved).state is ApplicationState.FAILED
    bench.send("c1'", ApplicationHeartbeat(app_id="app-20270101000000-0999"))
    assert bench.take("c1'", Reconnect).epoch == bench.epoch
