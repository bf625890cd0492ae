"""Limits on time and disk in the master's core: what a reached limit ends."""

from __future__ import annotations

import pytest

from stoker.core.model.messages import LaunchDriver, LaunchExecutor
from stoker.core.model.states import ApplicationState, DriverState, ExecutorState
from tests.support.core import Bench


@pytest.mark.parametrize("code", [0, 1])
def test_supervised_driver_that_reached_its_limit_is_not_restarted(bench: Bench, code: int) -> None:
    bench.worker("w1")
    driver_id = bench.submit(supervise=True, time_limit=7200.0)
    launch = bench.take_all("w1", LaunchDriver)[0]
    assert launch.driver.time_limit == 7200.0
    bench.driver_is("w1", launch, DriverState.RUNNING)
    bench.driver_is("w1", launch, DriverState.FAILED, code=code, reason="time limit of 2 h", expired=True)
    bench.live(100)
    assert not bench.take_all("w1", LaunchDriver)
    record = bench.core.ctx.books.completed_drivers[driver_id].record
    assert (record.state, record.reason) == (DriverState.FAILED, "time limit of 2 h")


def test_limit_survives_a_new_master(bench: Bench) -> None:
    driver_id = bench.submit(time_limit=60.0)
    bench.restart(keep=True)
    bench.worker("w1")
    assert bench.take_all("w1", LaunchDriver)[0].driver.time_limit == 60.0
    assert bench.core.ctx.books.drivers[driver_id].record.description.time_limit == 60.0


@pytest.mark.parametrize("finite", [True, False])
def test_first_executor_that_reaches_the_limit_ends_the_application(bench: Bench, finite: bool) -> None:
    bench.worker("w1")
    app_id = bench.application(cores_per_executor=2, time_limit=60.0, finite=finite)
    first, second = bench.take_all("w1", LaunchExecutor)
    for launch in (first, second):
        bench.executor_is("w1", launch, ExecutorState.RUNNING)
    bench.executor_is("w1", first, ExecutorState.EXITED, signal=15, reason="time limit of 1 min", expired=True)
    app = bench.core.ctx.books.completed_apps[app_id]
    assert (app.record.state, app.record.reason) == (ApplicationState.FAILED, "time limit of 1 min")
    bench.live(30)
    assert not bench.take_all("w1", LaunchExecutor)


def test_remark_on_a_worker_that_does_not_enforce_limits(bench: Bench) -> None:
    bench.worker("w1", version="0.1.0-1234abcd")
    limited, other = bench.submit(time_limit=7200.0), bench.submit()
    drivers = bench.core.ctx.books.drivers
    assert drivers[limited].record.reason == "its time limit of 2 h is not enforced: its worker has release 0.1.0"
    assert drivers[other].record.reason == ""


def test_supervised_driver_over_its_disk_limit_is_not_restarted(bench: Bench) -> None:
    bench.worker("w1")
    driver_id = bench.submit(supervise=True, max_disk_mib=1024)
    launch = bench.take_all("w1", LaunchDriver)[0]
    assert launch.driver.max_disk_mib == 1024
    bench.driver_is("w1", launch, DriverState.RUNNING)
    reason = "used 1.1 of 1 GiB of disk"
    bench.driver_is("w1", launch, DriverState.FAILED, signal=15, reason=reason, over_disk=True)
    bench.live(100)
    assert not bench.take_all("w1", LaunchDriver)
    record = bench.core.ctx.books.completed_drivers[driver_id].record
    assert (record.state, record.reason) == (DriverState.FAILED, reason)


def test_executor_over_its_disk_limit_is_replaced(bench: Bench) -> None:
    bench.worker("w1")
    app_id = bench.application(cores_per_executor=2, max_cores=2, max_disk_mib=1024)
    (launch,) = bench.take_all("w1", LaunchExecutor)
    bench.executor_is("w1", launch, ExecutorState.RUNNING)
    bench.executor_is("w1", launch, ExecutorState.EXITED, signal=15, reason="used 1.1 of 1 GiB of disk", over_disk=True)
    bench.live(100)
    (replacement,) = bench.take_all("w1", LaunchExecutor)
    assert replacement.executor_id != launch.executor_id
    assert app_id in bench.core.ctx.books.apps
