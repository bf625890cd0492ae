"""A master is replaced by a new one: with its records (FILESYSTEM), and without (NONE). Spec 13.3."""

from __future__ import annotations

import msgspec
import pytest

from stoker.core.model.messages import (
    ExecutorAdded,
    Failed,
    KillDriver,
    KillExecutor,
    LaunchDriver,
    LaunchExecutor,
    Reconnect,
    RegisterApplication,
    RegisteredWorker,
    RegisterWorker,
    RegisterWorkerFailed,
    SubmitDriver,
)
from stoker.core.model.policy import Policy
from stoker.core.model.states import ApplicationState, DriverState, ExecutorState, MasterState, WorkerState
from stoker.core.model.values import DriverReport, ExecutorReport, Exit, SparkProgram
from tests.support.core import Bench, application, driver


def busy(policy: Policy | None = None) -> tuple[Bench, str, str, DriverReport, ExecutorReport]:
    """One worker with a running driver and a running executor."""
    bench = Bench(policy=policy or Policy())
    bench.worker("w1", cores=3)
    driver_id = bench.submit("c1")
    launch = bench.take_all("w1", LaunchDriver)[0]
    bench.driver_is("w1", launch, DriverState.RUNNING)
    app_id = bench.application("c2", token="tok", max_cores=2)
    executor = bench.take_all("w1", LaunchExecutor)[0]
    bench.executor_is("w1", executor, ExecutorState.RUNNING)
    driver_report = DriverReport(
        driver_id=driver_id, attempt=1, state=DriverState.RUNNING, driver=launch.driver, pid=100, started=5.0
    )
    executor_report = ExecutorReport(
        app_id=app_id,
        executor_id=0,
        cores=executor.cores,
        memory_mib=executor.memory_mib,
        state=ExecutorState.RUNNING,
        app=executor.app,
        pid=101,
    )
    return bench, driver_id, app_id, driver_report, executor_report


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("worker_first", [True, False])
def test_everything_running_goes_on(keep: bool, worker_first: bool) -> None:
    bench, driver_id, app_id, driver_report, executor_report = busy()
    bench.restart(keep=keep)
    steps = [
        lambda: bench.worker("w1'", cores=3, drivers=(driver_report,), executors=(executor_report,)),
        lambda: bench.application("c2'", token="tok", max_cores=2, app_id=app_id, highest_executor_id=0),
    ]
    for step in steps if worker_first else reversed(steps):
        step()
    books = bench.core.ctx.books
    assert bench.core.ctx.state is MasterState.ALIVE
    assert books.drivers[driver_id].record.state is DriverState.RUNNING
    assert books.drivers[driver_id].record.attempts[-1].pid == 100
    assert books.apps[app_id].record.state is ApplicationState.RUNNING
    bench.wait(5)
    for unwanted in (LaunchDriver, KillDriver, LaunchExecutor, KillExecutor):
        assert bench.take_all("w1'", unwanted) == []
    assert {added.executor_id for added in bench.take_all("c2'", ExecutorAdded)} == {0}
    assert bench.submit("c9") > driver_id, "an id is never used twice"


def test_recovery_refuses_submissions_until_all_have_answered() -> None:
    bench, _, app_id, driver_report, executor_report = busy()
    bench.restart(keep=True)
    assert bench.core.ctx.state is MasterState.RECOVERING
    bench.send("c5", SubmitDriver(request=1, token="n", driver=driver()))
    failed = bench.take("c5", Failed)
    assert failed.code == "not-leader" and "Current state is not alive: RECOVERING" in failed.reason
    bench.worker("w1'", cores=3, drivers=(driver_report,), executors=(executor_report,))
    assert bench.core.ctx.state is MasterState.RECOVERING
    bench.application("c2'", token="tok", app_id=app_id)
    assert bench.core.ctx.state is MasterState.ALIVE


def test_recovery_gives_up_on_the_silent() -> None:
    bench, driver_id, app_id, _, _ = busy(Policy(recovery_timeout=30.0))
    bench.restart(keep=True)
    bench.wait(29)
    assert bench.core.ctx.state is MasterState.RECOVERING
    bench.wait(2)
    assert bench.core.ctx.state is MasterState.ALIVE
    books = bench.core.ctx.books
    assert books.completed_drivers[driver_id].record.state is DriverState.ERROR
    assert books.completed_apps[app_id].record.state is ApplicationState.FAILED
    assert [worker.record.state for worker in books.workers.values()] == [WorkerState.DEAD]


def test_queued_drivers_and_history_survive() -> None:
    bench = Bench()
    bench.worker("w1", cores=1)
    first = bench.submit()
    bench.driver_is("w1", bench.take_all("w1", LaunchDriver)[0], DriverState.FAILED, code=3)
    second = bench.submit(cores=2)
    third = bench.submit(cores=2)
    bench.restart(keep=True)
    bench.worker("w1'", cores=4)
    launched = [launch.driver_id for launch in bench.take_all("w1'", LaunchDriver)]
    assert launched == [second, third]
    old = bench.core.ctx.books.completed_drivers[first].record
    assert (old.state, old.attempts[0].exit) == (DriverState.FAILED, Exit(code=3))


def test_same_token_after_restart_is_the_same_driver() -> None:
    bench = Bench()
    first = bench.submit(token="once")
    bench.restart(keep=True)
    assert bench.submit(token="once") == first


def test_driver_that_ended_meanwhile_keeps_its_exit_code() -> None:
    bench, driver_id, _, driver_report, _ = busy()
    bench.restart(keep=True)
    ended = DriverReport(
        driver_id=driver_id, attempt=1, state=DriverState.FAILED, driver=driver_report.driver, exit=Exit(code=9)
    )
    bench.worker("w1'", cores=3, drivers=(ended,))
    assert bench.core.ctx.books.completed_drivers[driver_id].record.attempts[0].exit.code == 9


def test_worker_that_obeys_a_newer_master_is_refused() -> None:
    bench = Bench(epoch=7)
    bench.worker("w1", highest_epoch=8)
    assert "newer master" in bench.take("w1", RegisterWorkerFailed).reason
    bench.worker("w2", highest_epoch=7)
    bench.take("w2", RegisteredWorker)


def test_nothing_recorded_is_alive_at_once() -> None:
    bench = Bench()
    bench.restart(keep=True)
    assert bench.core.ctx.state is MasterState.ALIVE


def test_driver_of_an_absent_worker_is_not_started_again_while_its_keeper_may_run_it() -> None:
    bench = Bench(policy=Policy(reconnect_timeout=10.0))
    bench.worker("w1", cores=1)
    driver_id = bench.submit(supervise=True)
    bench.driver_is("w1", bench.take_all("w1", LaunchDriver)[0], DriverState.RUNNING)
    bench.gone("w1")  # the daemon crashed; and so does the master, a moment later
    bench.restart(keep=True)
    assert bench.core.ctx.state is MasterState.ALIVE  # nobody is left who could answer
    bench.worker("w2", cores=1)
    bench.wait(9.0)
    assert bench.core.ctx.books.drivers[driver_id].record.state is DriverState.UNKNOWN
    assert bench.take_all("w2", LaunchDriver) == []
    bench.wait(1.1)
    assert [launch.attempt for launch in bench.take_all("w2", LaunchDriver)] == [2]


def test_silent_worker_keeps_its_drivers_as_long_as_its_keeper_may_run_them() -> None:
    bench = Bench(policy=Policy(recovery_timeout=2.0, reconnect_timeout=10.0))
    bench.worker("w1", cores=1)
    driver_id = bench.submit(supervise=True)
    bench.restart(keep=True)
    bench.wait(3.0)
    assert bench.core.ctx.state is MasterState.ALIVE
    assert bench.core.ctx.books.drivers[driver_id].record.state is DriverState.UNKNOWN
    bench.wait(7.1)
    assert bench.core.ctx.books.drivers[driver_id].record.state is DriverState.SUBMITTED


@pytest.mark.parametrize("worker_first", [True, False])
def test_number_of_an_executor_that_ended_between_two_masters_is_not_given_out_again(worker_first: bool) -> None:
    """There are no records, and the application did not know of the grant."""
    bench, _, app_id, _, report = busy()
    bench.restart(keep=False)
    ended = msgspec.structs.replace(report, state=ExecutorState.EXITED, executor_id=5, exit=Exit(code=0))
    steps = [
        lambda: bench.worker("w1'", cores=3, executors=(ended,)),
        lambda: bench.application("c2'", token="tok", max_cores=2, app_id=app_id, highest_executor_id=0),
    ]
    for step in steps if worker_first else reversed(steps):
        step()
    bench.live(5)
    assert [launch.executor_id for launch in bench.take_all("w1'", LaunchExecutor)] == [6]


def test_driver_whose_worker_has_no_record_waits_for_the_keeper_too() -> None:
    bench = Bench(policy=Policy(reconnect_timeout=10.0))
    worker_id = bench.worker("w1", cores=1)
    driver_id = bench.submit()
    del bench.store[f"worker/{worker_id}"]  # quarantined
    bench.restart(keep=True)
    bench.wait(9.0)
    assert bench.core.ctx.books.drivers[driver_id].record.state is DriverState.UNKNOWN
    bench.wait(1.1)
    assert bench.core.ctx.books.completed_drivers[driver_id].record.state is DriverState.ERROR


def test_order_of_submission_survives_a_master_whose_clock_was_ahead() -> None:
    bench = Bench()
    bench.mono += 86400.0
    first = bench.submit(cores=4)
    bench.mono -= 86400.0
    second = bench.submit(cores=4)
    assert second < first
    bench.restart(keep=True)
    bench.worker("w1", cores=4)
    assert [launch.driver_id for launch in bench.take_all("w1", LaunchDriver)] == [first]


def test_worker_is_believed_only_when_it_obeys_the_new_master() -> None:
    """A command of the old master that is still on its way may overtake an earlier report."""
    bench = Bench()
    worker_id = bench.worker("w1", cores=1)
    driver_id = bench.submit()
    bench.restart(keep=True)
    message = RegisterWorker(
        worker_id=worker_id, boot="b", host="h1", port=4001, cores=1, memory_mib=4096, highest_epoch=bench.epoch - 1
    )
    bench.send("w1'", message)
    assert bench.take("w1'", Reconnect).epoch == bench.epoch
    assert bench.core.ctx.state is MasterState.RECOVERING
    bench.nothing_else()
    bench.send("w1'", msgspec.structs.replace(message, highest_epoch=bench.epoch))
    assert bench.core.ctx.state is MasterState.ALIVE
    assert [launch.driver_id for launch in bench.take_all("w1'", LaunchDriver)] == [driver_id]


def test_a_spark_driver_that_registers_with_the_next_leader_too_stays_one_application() -> None:
    """Spark's driver sends its registration to every master of its URL; the standby sees it when it leads."""
    mine = {"spark": SparkProgram(release="4.3", driver_host="d", driver_port=40000), "max_cores": 1}
    bench = Bench()
    app_id = bench.application("c1", token="one", **mine)
    bench.restart(keep=True)
    assert bench.invited == [app_id]
    late = RegisterApplication(request=1, token="two", app=application(**mine))
    bench.send("c2", late)
    bench.nothing_else()
    assert list(bench.core.ctx.books.apps) == [app_id]
    assert bench.invited == [app_id, app_id], "this connection may be the only one to it"
    assert bench.application("c1'", token="three", app_id=app_id, **mine) == app_id
    bench.send("c2", late)  # it comes later still
    bench.nothing_else()
    assert list(bench.core.ctx.books.apps) == [app_id] and len(bench.invited) == 2
    assert bench.core.ctx.state is MasterState.ALIVE
    elsewhere = {**mine, "spark": SparkProgram(release="4.3", driver_host="d", driver_port=40001)}
    assert bench.application("c3", token="four", **elsewhere) != app_id
    bench.gone("c1'")
    assert bench.application("c4", token="five", **mine) != app_id, "the next program at that address"
