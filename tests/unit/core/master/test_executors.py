"""Executors in the master's core: failed, lost, replaced, taken back (spec 10)."""

from __future__ import annotations

from stoker.core.master.books import REMOVED_EXECUTORS_SHOWN
from stoker.core.model.messages import (
    ApplicationRemoved,
    ExecutorAdded,
    ExecutorStateAck,
    ExecutorStateChanged,
    ExecutorUpdated,
    KillExecutor,
    KillExecutors,
    LaunchExecutor,
    RegisteredWorker,
)
from stoker.core.model.policy import Policy
from stoker.core.model.states import ApplicationState, ExecutorState
from stoker.core.model.values import SparkProgram
from tests.support.core import Bench
from tests.unit.core.master.steps import (
    app_state,
    executor_report,
    register_workers,
    running_application,
)


def test_failed_executor_is_replaced_after_a_growing_delay(bench: Bench) -> None:
    _, launch = running_application(bench)
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
    app_id, launch = running_application(bench)
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
    app_id, launch = running_application(bench)
    for _ in range(25):
        bench.executor_is("w1", launch, ExecutorState.EXITED, code=1)
        bench.live(10)
        launch = bench.take_all("w1", LaunchExecutor)[0]
    assert app_state(bench, app_id) is ApplicationState.RUNNING


def test_failures_with_another_executor_running_do_not_end_the_application(bench: Bench) -> None:
    register_workers(bench, 2)
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
    register_workers(bench, 2)
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


def test_lost_executor_that_comes_back_is_taken_back_if_not_replaced(bench: Bench) -> None:
    app_id, launch = running_application(bench)
    bench.gone("w1")
    assert app_state(bench, app_id) is ApplicationState.WAITING
    bench.worker("w1'", executors=(executor_report(launch),))
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
    bench.worker("w1'", cores=2, executors=(executor_report(launch),))
    assert [kill.executor_id for kill in bench.take_all("w1'", KillExecutor)] == [0]
    ended = ExecutorStateChanged(
        worker_id="worker-20270101000000-h1-4001", app_id=app_id, executor_id=0, state=ExecutorState.KILLED
    )
    bench.send("w1'", ended)
    assert [new.executor_id for new in bench.take_all("w1'", LaunchExecutor)] == [1]


def test_lost_executor_that_was_replaced_is_killed_on_return(bench: Bench) -> None:
    _, launch = running_application(bench, max_cores=4)
    bench.worker("w2")
    bench.gone("w1")
    assert bench.take_all("w2", LaunchExecutor)
    bench.worker("w1'", executors=(executor_report(launch),))
    assert bench.take_all("w1'", KillExecutor)[0].executor_id == 0


def test_executor_killed_while_its_worker_was_away_is_not_taken_back(bench: Bench) -> None:
    app_id, launch = running_application(bench)
    bench.restart(keep=True)
    bench.application("c1'", token="a0", app_id=app_id)
    bench.send("c1'", KillExecutors(request=2, app_id=app_id, executor_ids=(0,)))
    bench.worker("w1'", executors=(executor_report(launch),))
    assert [kill.executor_id for kill in bench.take_all("w1'", KillExecutor)] == [0]
    assert 0 not in bench.core.ctx.books.apps[app_id].executors


def test_announced_restart_keeps_executors(bench: Bench) -> None:
    from stoker.core.model.messages import WorkerLeaving

    app_id, launch = running_application(bench, max_cores=4)
    bench.worker("w2")
    bench.take("w2", RegisteredWorker)
    bench.send("w1", WorkerLeaving(worker_id="worker-20270101000000-h1-4001", keeping=True))
    bench.gone("w1")
    bench.nothing_else()
    bench.worker("w1'", worker_id="worker-20270101000005-h1-4001", executors=(executor_report(launch),))
    assert bench.take_all("w2", LaunchExecutor) == []
    assert list(bench.core.ctx.books.apps[app_id].executors) == [0]


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
    bench.worker(
        "w1", cores=1, executors=(executor_report(living),)
    )  # a second time: an ended application stays in the history
    assert [executor.id for executor in bench.core.ctx.books.apps[app_id].removed] == kept[:-1]
    bench.restart(keep=True)
    assert [executor.id for executor in bench.core.ctx.books.apps[app_id].removed] == kept[:-1]
