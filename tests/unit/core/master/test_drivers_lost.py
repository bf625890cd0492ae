"""Drivers whose worker, or whose launch, was lost: given up, moved, brought back (spec 11)."""

from __future__ import annotations

from typing import Any

import pytest

from stoker.core.model.messages import (
    DriverStateAck,
    DriverStateChanged,
    KillDriver,
    KillJob,
    LaunchDriver,
    RegisteredWorker,
    RegisterWorker,
)
from stoker.core.model.policy import Policy
from stoker.core.model.states import DriverState
from stoker.core.model.values import DriverReport, Exit
from tests.support.core import Bench
from tests.unit.core.master.steps import (
    driver_state,
    running_driver,
)


def test_crashed_worker_unsupervised_driver_is_unknown_then_error(bench: Bench) -> None:
    driver_id, _ = running_driver(bench)
    bench.gone("w1")
    assert driver_state(bench, driver_id) is DriverState.UNKNOWN
    bench.wait(9.9)
    assert driver_state(bench, driver_id) is DriverState.UNKNOWN
    bench.wait(0.2)
    assert driver_state(bench, driver_id) is DriverState.ERROR
    bench.nothing_else()


def test_crashed_worker_supervised_driver_moves_with_a_new_attempt(bench: Bench) -> None:
    driver_id, _ = running_driver(bench, supervise=True)
    bench.worker("w2")
    bench.take("w2", RegisteredWorker)
    bench.gone("w1")
    bench.nothing_else()
    bench.wait(10.1)
    launch = bench.take("w2", LaunchDriver)
    assert (launch.driver_id, launch.attempt) == (driver_id, 2)


def test_restarted_worker_brings_its_driver_back(bench: Bench) -> None:
    driver_id, launch = running_driver(bench)
    bench.gone("w1")
    report = DriverReport(driver_id=driver_id, attempt=1, state=DriverState.RUNNING, driver=launch.driver, pid=100)
    bench.worker("w1'", worker_id="worker-20270101000009-h1-4001", drivers=(report,))
    assert driver_state(bench, driver_id) is DriverState.RUNNING
    bench.take("w1'", RegisteredWorker)
    bench.nothing_else()
    bench.wait(20)
    assert driver_state(bench, driver_id) is DriverState.RUNNING


def test_driver_that_ended_while_its_worker_restarted_keeps_its_true_exit(bench: Bench) -> None:
    driver_id, launch = running_driver(bench)
    bench.gone("w1")
    report = DriverReport(
        driver_id=driver_id, attempt=1, state=DriverState.FAILED, driver=launch.driver, exit=Exit(code=3)
    )
    bench.worker("w1'", worker_id="worker-20270101000009-h1-4001", drivers=(report,))
    bench.take("w1'", RegisteredWorker)
    bench.take("w1'", DriverStateAck)
    found = bench.core.ctx.books.completed_drivers[driver_id].record
    assert (found.state, found.attempts[-1].exit.code) == (DriverState.FAILED, 3)


def test_returning_worker_loses_the_old_copy_of_a_moved_driver(bench: Bench) -> None:
    driver_id, launch = running_driver(bench, supervise=True)
    bench.worker("w2")
    bench.gone("w1")
    bench.wait(10.1)
    report = DriverReport(driver_id=driver_id, attempt=1, state=DriverState.RUNNING, driver=launch.driver, pid=100)
    bench.worker("w1'", drivers=(report,))
    bench.take("w1'", RegisteredWorker)
    assert bench.take("w1'", KillDriver).attempt == 1
    worker = bench.core.ctx.books.workers["worker-20270101000000-h1-4001"]
    assert worker.cores_used == 1, "a process being killed still holds its core"
    bench.driver_is("w1'", launch, DriverState.KILLED, signal=15)
    assert worker.cores_used == 0
    assert driver_state(bench, driver_id) is DriverState.RUNNING


def test_launch_lost_with_its_connection_goes_back_to_the_queue(bench: Bench) -> None:
    bench.worker("w1")
    driver_id = bench.submit()
    assert bench.take_all("w1", LaunchDriver)
    bench.gone("w1")
    bench.worker("w1'")
    launch = bench.take_all("w1'", LaunchDriver)[0]
    assert (launch.driver_id, launch.attempt) == (driver_id, 1)


def test_launch_on_its_way_is_not_taken_for_lost(bench: Bench) -> None:
    """A worker registers again on the same connection before it has read our launch command."""
    bench.worker("w1")
    driver_id = bench.submit()
    bench.worker("w1")
    assert driver_state(bench, driver_id) is DriverState.RUNNING
    assert len(bench.take_all("w1", LaunchDriver)) == 1


def test_killed_driver_whose_launch_was_lost_does_not_run(bench: Bench) -> None:
    worker_id = bench.worker("w1")
    driver_id = bench.submit()
    bench.take_all("w1", LaunchDriver)
    bench.send("c1", KillJob(request=2, id=driver_id))
    bench.gone("w1")
    bench.inbox.clear()
    bench.worker("w1'", worker_id=worker_id)
    assert bench.core.ctx.books.completed_drivers[driver_id].record.state is DriverState.KILLED
    assert bench.take_all("w1'", LaunchDriver) == []


def test_drivers_whose_launches_were_lost_keep_their_places(bench: Bench) -> None:
    worker_id = bench.worker("w1", cores=2)
    first, second, third = bench.submit(), bench.submit(), bench.submit()
    bench.gone("w1")
    bench.inbox.clear()
    bench.worker("w1'", cores=2, worker_id=worker_id)
    assert [launch.driver_id for launch in bench.take_all("w1'", LaunchDriver)] == [first, second]
    assert list(bench.core.ctx.books.queue) == [third]


def test_driver_given_up_makes_room_under_the_limit() -> None:
    bench = Bench(policy=Policy(max_drivers=1, reconnect_timeout=10.0))
    bench.worker("w1")
    bench.submit()
    bench.gone("w1")
    bench.worker("w2")
    waiting = bench.submit()
    assert bench.take_all("w2", LaunchDriver) == []
    bench.wait(10.1)
    assert [launch.driver_id for launch in bench.take_all("w2", LaunchDriver)] == [waiting]


def test_attempt_that_a_crashed_daemon_may_have_started_keeps_its_number(bench: Bench) -> None:
    bench.worker("w1")
    driver_id = bench.submit(supervise=True)
    bench.gone("w1")
    bench.inbox.clear()
    bench.worker("w1'", worker_id="worker-20270101000009-h1-4001")
    launch = bench.take_all("w1'", LaunchDriver)[0]
    assert (launch.driver_id, launch.attempt) == (driver_id, 2)


def test_what_is_not_supervised_and_may_have_run_does_not_run_again(bench: Bench) -> None:
    """A power cut took the daemon and its keeper before the start was reported."""
    bench.worker("w1")
    driver_id = bench.submit()
    bench.gone("w1")
    bench.inbox.clear()
    bench.worker("w1'", worker_id="worker-20270101000009-h1-4001")
    assert bench.take_all("w1'", LaunchDriver) == []
    record = bench.core.ctx.books.completed_drivers[driver_id].record
    assert (record.state, "it may have run" in record.reason) == (DriverState.ERROR, True)


def test_what_the_keeper_of_the_daemon_before_does_not_have_never_started(bench: Bench) -> None:
    before = bench.worker("w1")
    driver_id = bench.submit()
    bench.gone("w1")
    bench.inbox.clear()
    bench.worker("w1'", worker_id="worker-20270101000009-h1-4001", heir_of=(before,))
    launch = bench.take_all("w1'", LaunchDriver)[0]
    assert (launch.driver_id, launch.attempt) == (driver_id, 2)
    assert len(bench.core.ctx.books.drivers[driver_id].record.attempts) == 1, "what never started is no attempt"


@pytest.mark.parametrize("by_registration", [True, False])
@pytest.mark.parametrize("keep", [True, False], ids=["same master", "next master"])
def test_the_true_end_of_a_driver_that_was_given_up(by_registration: bool, keep: bool) -> None:
    bench = Bench(policy=Policy(reconnect_timeout=10.0))
    worker_id = bench.worker("w1")
    driver_id = bench.submit()
    launch = bench.take_all("w1", LaunchDriver)[0]
    bench.driver_is("w1", launch, DriverState.RUNNING)
    bench.gone("w1")
    bench.wait(10.1)
    assert bench.core.ctx.books.completed_drivers[driver_id].record.state is DriverState.ERROR
    if not keep:
        bench.restart(keep=True)
    end = Exit(code=0)
    reports = (
        DriverReport(driver_id=driver_id, attempt=1, state=DriverState.FINISHED, driver=launch.driver, exit=end),
    )
    bench.worker("w1'", worker_id=worker_id, drivers=reports if by_registration else ())
    if not by_registration:
        bench.driver_is("w1'", launch, DriverState.FINISHED, code=0)
    assert [ack.driver_id for ack in bench.take_all("w1'", DriverStateAck)] == [driver_id]
    record = bench.core.ctx.books.completed_drivers[driver_id].record
    assert (record.state, record.reason, record.attempts[-1].exit) == (DriverState.FINISHED, "", end)


@pytest.mark.parametrize(("host", "attempt"), [(2, 1), (1, 2)], ids=["another host", "another attempt"])
def test_only_the_worker_of_that_very_attempt_knows_its_end(host: int, attempt: int) -> None:
    bench = Bench(policy=Policy(reconnect_timeout=10.0))
    bench.worker("w1")
    driver_id = bench.submit()
    launch = bench.take_all("w1", LaunchDriver)[0]
    bench.gone("w1")
    bench.wait(10.1)
    report = DriverReport(driver_id=driver_id, attempt=attempt, state=DriverState.FINISHED, driver=launch.driver)
    bench.worker(f"w{host}", drivers=(report,))
    assert bench.core.ctx.books.completed_drivers[driver_id].record.state is DriverState.ERROR


def test_driver_that_left_the_history_does_not_come_back_with_its_worker() -> None:
    bench = Bench(policy=Policy(retained_drivers=1, reconnect_timeout=10.0))
    worker_id = bench.worker("w1")
    driver_id = bench.submit()
    launch = bench.take_all("w1", LaunchDriver)[0]
    bench.driver_is("w1", launch, DriverState.RUNNING)
    bench.gone("w1")
    bench.wait(10.1)
    bench.send("c1", KillJob(request=5, id=bench.submit()))
    assert driver_id not in bench.core.ctx.books.completed_drivers
    report = DriverReport(driver_id=driver_id, attempt=1, state=DriverState.RUNNING, driver=launch.driver, pid=100)
    bench.worker("w1'", worker_id=worker_id, drivers=(report,))
    assert [kill.driver_id for kill in bench.take_all("w1'", KillDriver)] == [driver_id]
    assert driver_id not in bench.core.ctx.books.drivers


def test_launch_taken_for_lost_that_had_arrived_is_taken_back(bench: Bench) -> None:
    worker_id = bench.worker("w1", cores=4)
    driver_id = bench.submit(cores=4)
    launch = bench.take_all("w1", LaunchDriver)[0]
    bench.gone("w1")
    report = DriverReport(driver_id=driver_id, attempt=1, state=DriverState.RUNNING, driver=launch.driver, pid=100)
    common: dict[str, Any] = {
        "boot": "b",
        "host": "h1",
        "port": 4001,
        "cores": 4,
        "memory_mib": 4096,
        "worker_id": worker_id,
    }
    bench.batch([("w1'", RegisterWorker(**common)), ("w1'", RegisterWorker(**common, drivers=(report,)))])
    assert driver_state(bench, driver_id) is DriverState.RUNNING
    assert bench.take_all("w1'", LaunchDriver) == []


def test_what_an_earlier_keeper_may_have_started_is_not_taken_for_never_started(bench: Bench) -> None:
    before = bench.worker("w1")
    driver_id = bench.submit()
    bench.gone("w1")
    bench.inbox.clear()
    bench.worker("w1'", worker_id="worker-20270101000009-h1-4001", heir_of=(before,), lost=((driver_id, 1),))
    assert bench.take_all("w1'", LaunchDriver) == []
    assert bench.core.ctx.books.completed_drivers[driver_id].record.state is DriverState.ERROR


def test_a_report_on_an_earlier_attempt_does_not_keep_the_latest_on_a_worker_that_has_gone(bench: Bench) -> None:
    """Its launch went to a machine that had lost power; the next daemon repeats the end of the attempt before."""
    before = bench.worker("w1")
    driver_id = bench.submit(supervise=True)
    launch = bench.take_all("w1", LaunchDriver)[0]
    end = Exit(code=1)
    failed = DriverStateChanged(worker_id=before, driver_id=driver_id, attempt=1, state=DriverState.FAILED, exit=end)
    bench.send("w1", failed)
    bench.wait(1.1)
    assert [launch.attempt for launch in bench.take_all("w1", LaunchDriver)] == [2]
    bench.gone("w1")
    report = DriverReport(driver_id=driver_id, attempt=1, state=DriverState.FAILED, driver=launch.driver, exit=end)
    bench.worker("w1'", worker_id="worker-20270101000009-h1-4001", drivers=(report,))
    assert [launch.attempt for launch in bench.take_all("w1'", LaunchDriver)] == [3]
