"""Named resources in the master's books: an address has one holder, until nothing of its process is left."""

from __future__ import annotations

from typing import Any

import pytest

from stoker.core.model.messages import (
    KillDriver,
    KillExecutor,
    KillJob,
    LaunchDriver,
    LaunchExecutor,
    RegisterWorkerFailed,
    UnregisterApplication,
)
from stoker.core.model.resources import Addresses, Amounts
from stoker.core.model.states import DriverState, ExecutorState
from stoker.core.model.values import DriverReport, ExecutorReport
from tests.support.core import Bench, application, driver

ONE: Amounts = (("gpu", 1),)
TWO: Addresses = (("gpu", ("1", "0")),)


def of(bench: Bench, worker_id: str) -> tuple[Addresses, Addresses]:
    view = next(view for view in bench.core.view().workers if view.id == worker_id)
    return view.resources, view.resources_used


def test_drivers_get_the_lowest_addresses_and_the_next_one_waits() -> None:
    bench = Bench()
    worker_id = bench.worker("w1", resources=TWO)
    ids = [bench.submit(resources=ONE) for _ in range(3)]
    launches = bench.take_all("w1", LaunchDriver)
    assert [(one.driver_id, one.resources) for one in launches] == [
        (ids[0], (("gpu", ("0",)),)),
        (ids[1], (("gpu", ("1",)),)),
    ]
    assert of(bench, worker_id) == (TWO, (("gpu", ("0", "1")),))

    bench.driver_is("w1", launches[0], DriverState.FINISHED, code=0)
    (third,) = bench.take_all("w1", LaunchDriver)
    assert (third.driver_id, third.resources) == (ids[2], (("gpu", ("0",)),))


def test_a_killed_driver_keeps_its_address_until_its_end_is_reported() -> None:
    bench = Bench()
    bench.worker("w1", resources=(("gpu", ("0",)),))
    bench.submit(resources=ONE)
    launch = bench.take_all("w1", LaunchDriver)[0]
    bench.driver_is("w1", launch, DriverState.RUNNING)
    bench.submit(resources=ONE)
    bench.send("c1", KillJob(request=2, id=launch.driver_id))
    assert bench.take_all("w1", KillDriver) and not bench.take_all("w1", LaunchDriver)
    bench.driver_is("w1", launch, DriverState.KILLED, signal=15)
    assert [one.resources for one in bench.take_all("w1", LaunchDriver)] == [(("gpu", ("0",)),)]


def test_an_ended_applications_executors_keep_theirs_until_they_have_ended() -> None:
    bench = Bench()
    bench.worker("w1", resources=TWO)
    app_id = bench.application(max_cores=2, cores_per_executor=1, resources=ONE)
    launches = bench.take_all("w1", LaunchExecutor)
    assert [one.resources for one in launches] == [(("gpu", ("0",)),), (("gpu", ("1",)),)]
    bench.send("c1", UnregisterApplication(request=2, app_id=app_id))
    bench.submit(peer="c2", resources=ONE)
    assert len(bench.take_all("w1", KillExecutor)) == 2 and not bench.take_all("w1", LaunchDriver)
    bench.executor_is("w1", launches[1], ExecutorState.KILLED, signal=15)
    assert [one.resources for one in bench.take_all("w1", LaunchDriver)] == [(("gpu", ("1",)),)]


def test_executors_take_as_many_as_their_worker_has_addresses_for() -> None:
    bench = Bench()
    bench.worker("w1", cores=8, memory=8192, resources=(("gpu", ("0", "1", "2", "3", "4")),))
    bench.worker("w2", cores=8, memory=8192)
    bench.application(cores_per_executor=1, resources=(("gpu", 2),))
    assert [one.resources for one in bench.take_all("w1", LaunchExecutor)] == [
        (("gpu", ("0", "1")),),
        (("gpu", ("2", "3")),),
    ]
    assert not bench.take_all("w2", LaunchExecutor)


@pytest.mark.parametrize("keep", [True, False])
def test_the_next_master_knows_who_holds_what(keep: bool) -> None:
    """Also one without records, from what the worker reports."""
    bench = Bench()
    worker_id = bench.worker("w1", resources=TWO)
    app_id = bench.application(max_cores=1, cores_per_executor=1, resources=ONE)
    executor = bench.take_all("w1", LaunchExecutor)[0]
    bench.executor_is("w1", executor, ExecutorState.RUNNING)
    driver_id = bench.submit(peer="c2", resources=ONE)
    launch = bench.take_all("w1", LaunchDriver)[0]
    bench.driver_is("w1", launch, DriverState.RUNNING)
    wanted = ((("gpu", ("0",)),), (("gpu", ("1",)),))
    assert (executor.resources, launch.resources) == wanted

    bench.restart(keep=keep)
    reports: dict[str, Any] = {
        "drivers": (
            DriverReport(
                driver_id=driver_id, attempt=1, state=DriverState.RUNNING, driver=launch.driver, pid=100,
                principal="k1", resources=launch.resources,
            ),
        ),
        "executors": (
            ExecutorReport(
                app_id=app_id, executor_id=0, cores=1, memory_mib=1024, state=ExecutorState.RUNNING, pid=100,
                app=executor.app, principal="k1", resources=executor.resources,
            ),
        ),
    }  # fmt: skip
    bench.worker("w1", resources=TWO, worker_id=worker_id, **reports)
    bench.application(app_id=app_id, token="a0", max_cores=1, cores_per_executor=1, resources=ONE)
    assert of(bench, worker_id) == (TWO, (("gpu", ("0", "1")),))
    bench.submit(peer="c3", token="later", resources=ONE)
    assert not bench.take_all("w1", LaunchDriver)
    bench.driver_is("w1", launch, DriverState.FINISHED, code=0)
    assert [one.resources for one in bench.take_all("w1", LaunchDriver)] == [(("gpu", ("1",)),)]


def test_a_process_that_must_not_go_on_holds_its_address_until_it_has_ended() -> None:
    """A worker comes back with a driver that was given up, and has been started elsewhere."""
    bench = Bench()
    first = bench.worker("w1", resources=(("gpu", ("0",)),))
    bench.submit(resources=ONE, supervise=True)
    launch = bench.take_all("w1", LaunchDriver)[0]
    bench.driver_is("w1", launch, DriverState.RUNNING)
    bench.gone("w1")
    bench.worker("w2", resources=(("gpu", ("0",)),))
    bench.wait(30)
    assert bench.take_all("w2", LaunchDriver)
    report = DriverReport(
        driver_id=launch.driver_id, attempt=1, state=DriverState.RUNNING, driver=launch.driver, pid=100,
        principal="k1", resources=launch.resources,
    )  # fmt: skip
    bench.worker("w1", resources=(("gpu", ("0",)),), worker_id=first, drivers=(report,))
    bench.submit(peer="c2", resources=ONE)
    assert bench.take_all("w1", KillDriver) and not bench.take_all("w1", LaunchDriver)
    bench.driver_is("w1", launch, DriverState.KILLED, signal=15)
    assert len(bench.take_all("w1", LaunchDriver)) == 1


def test_a_worker_with_one_address_twice_is_refused() -> None:
    bench = Bench()
    bench.worker("w1", resources=(("gpu", ("0", "0")),))
    assert "'0' twice" in bench.take_all("w1", RegisterWorkerFailed)[0].reason


def test_amounts_below_one_cannot_be_asked_for() -> None:
    for make in (driver, application):
        with pytest.raises(ValueError, match="amount of gpu"):
            make(resources=(("gpu", 0),))
