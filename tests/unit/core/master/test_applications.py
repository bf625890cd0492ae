"""Applications in the master's core: placed, steered, ended (spec 9.4, 10, 18)."""

from __future__ import annotations

import pytest

from stoker.core.model.messages import (
    Accepted,
    ApplicationFinished,
    ApplicationHeartbeat,
    ApplicationRemoved,
    ExecutorUpdated,
    Failed,
    KillExecutor,
    KillExecutors,
    KillJob,
    LaunchExecutor,
    Reconnect,
    RegisterApplication,
    RequestExecutors,
    UnregisterApplication,
)
from stoker.core.model.policy import Policy
from stoker.core.model.states import ApplicationState, ExecutorState
from tests.support.core import Bench, application
from tests.unit.core.master.steps import (
    app_state,
    launches,
    register_workers,
    running_application,
)


def cores(bench: Bench) -> list[int]:
    return sorted((launch.cores for launch in launches(bench)), reverse=True)


# --- acceptance vectors of spec 18 -----------------------------------------------------------------------------


def test_four_workers_of_16_cores_48_wanted_16_each_gives_three_executors(bench: Bench) -> None:
    register_workers(bench, 4, cores=16, memory=16384)
    bench.application(max_cores=48, cores_per_executor=16)
    assert cores(bench) == [16, 16, 16]


@pytest.mark.parametrize(
    ("spread", "per_executor", "expected"),
    [(True, None, [2, 1, 1]), (False, None, [4]), (True, 1, [1, 1, 1, 1]), (False, 4, [4])],
)
def test_spread_or_pack(spread: bool, per_executor: int | None, expected: list[int]) -> None:
    bench = Bench(policy=Policy(spread_out_apps=spread))
    register_workers(bench, 3)
    bench.application(max_cores=4, cores_per_executor=per_executor)
    assert cores(bench) == expected


def test_second_unlimited_application_waits_for_the_first(bench: Bench) -> None:
    register_workers(bench, 2)
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
    register_workers(bench, 1)
    bench.application()
    assert cores(bench) == [2]


def test_remainder_below_executor_cores_stays_unused(bench: Bench) -> None:
    register_workers(bench, 1, cores=10)
    bench.application(cores_per_executor=4)
    assert cores(bench) == [4, 4]


def test_memory_bounds_the_number_of_executors(bench: Bench) -> None:
    register_workers(bench, 1, cores=8, memory=2048)
    bench.application(max_cores=3, cores_per_executor=1, memory_mib=1024)
    assert cores(bench) == [1, 1]


def test_drivers_come_before_applications(bench: Bench) -> None:
    app_id = bench.application()
    driver_id = bench.submit(cores=4)
    register_workers(bench, 1)
    assert launches(bench) == []
    assert bench.core.ctx.books.drivers[driver_id].record.state.value == "RUNNING"
    assert app_state(bench, app_id) is ApplicationState.WAITING


def test_an_application_that_does_not_fit_is_passed_over(bench: Bench) -> None:
    register_workers(bench, 1, cores=4)
    bench.application("c1", cores_per_executor=16)
    bench.application("c2", max_cores=1)
    assert cores(bench) == [1]


def test_closed_connection_ends_the_application_and_its_executors(bench: Bench) -> None:
    app_id, launch = running_application(bench)
    bench.gone("c1")
    assert bench.take("w1", KillExecutor).executor_id == launch.executor_id
    assert bench.take("w1", ApplicationFinished).app_id == app_id
    assert app_state(bench, app_id) is ApplicationState.FAILED
    bench.nothing_else()


def test_silent_application_ends_after_worker_timeout(bench: Bench) -> None:
    app_id, _ = running_application(bench)
    bench.wait(70)
    assert app_state(bench, app_id) is ApplicationState.FAILED


def test_request_and_kill_executors(bench: Bench) -> None:
    register_workers(bench, 1)
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
    app_id, _ = running_application(bench)
    bench.send("c2", RequestExecutors(request=2, app_id=app_id, executor_limit=0))
    assert bench.take("c2", Failed).code == "not-found"
    bench.send("c2", RegisterApplication(request=3, token="x", app=application(), app_id=app_id), key="k2")
    assert bench.take("c2", Failed).code == "not-authorized"
    bench.send("c2", KillJob(request=4, id=app_id), key="k2")
    assert bench.take("c2", Failed).code == "not-authorized"
    bench.nothing_else()


def test_kill_application(bench: Bench) -> None:
    app_id, _ = running_application(bench)
    bench.send("c9", KillJob(request=4, id=app_id))
    bench.take("c9", Accepted)
    assert bench.take("c1", ExecutorUpdated).state is ExecutorState.KILLED
    assert bench.take("c1", ApplicationRemoved).state is ApplicationState.KILLED
    bench.take("w1", KillExecutor)


# --- finite applications (stoker run) ----------------------------------------------------------------------------------


def test_finite_application_without_limit_takes_one_grant_and_finishes(bench: Bench) -> None:
    register_workers(bench, 2)
    app_id = bench.application(finite=True)
    by_peer = {peer: bench.take_all(peer, LaunchExecutor)[0] for peer in ("w1", "w2")}
    for peer, launch in by_peer.items():
        bench.executor_is(peer, launch, ExecutorState.EXITED, code=0)
        bench.wait(5)
        assert launches(bench) == []
    assert app_state(bench, app_id) is ApplicationState.FINISHED
    assert bench.take_all("c1", ApplicationRemoved)[0].state is ApplicationState.FINISHED


def test_finite_application_runs_the_rest_of_its_share_later(bench: Bench) -> None:
    register_workers(bench, 1, cores=2)
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
    register_workers(bench, 2)
    app_id = bench.application(finite=True)
    by_peer = {peer: bench.take_all(peer, LaunchExecutor)[0] for peer in ("w1", "w2")}
    bench.executor_is("w1", by_peer["w1"], ExecutorState.EXITED, code=0)
    bench.gone("w2")
    again = bench.take_all("w1", LaunchExecutor)
    assert len(again) == 1
    bench.executor_is("w1", again[0], ExecutorState.EXITED, code=0)
    assert app_state(bench, app_id) is ApplicationState.FINISHED


def test_repeated_registration_is_one_application(bench: Bench) -> None:
    register_workers(bench, 1)
    first = bench.application("c1", token="same")
    assert bench.application("c1", token="same") == first
    assert len(bench.core.ctx.books.apps) == 1


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
