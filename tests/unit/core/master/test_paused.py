"""A master that was stopped or delayed for longer than it waits for its peers."""

from __future__ import annotations

import msgspec
import pytest

from stoker.core.master.clock import LATE, OwnTime
from stoker.core.model.messages import LaunchDriver, Reconnect, RegisterWorker, WorkerHeartbeat
from stoker.core.model.policy import Policy
from stoker.core.model.states import DriverState, MasterState, WorkerState
from stoker.core.model.values import DriverReport, Now
from tests.support.core import Bench

POLICY = Policy(worker_timeout=20.0, recovery_timeout=5.0, reconnect_timeout=3.0)


def recovering() -> tuple[Bench, RegisterWorker]:
    """A new master after one with a driver running on w1; and how w1 registers before it knows the new epoch."""
    bench = Bench(policy=POLICY)
    worker_id = bench.worker("w1", cores=1)
    driver_id = bench.submit(supervise=True)
    launch = bench.take_all("w1", LaunchDriver)[0]
    bench.driver_is("w1", launch, DriverState.RUNNING)
    bench.restart(keep=True)
    report = DriverReport(driver_id=driver_id, attempt=1, state=DriverState.RUNNING, driver=launch.driver, pid=7)
    registration = RegisterWorker(
        worker_id=worker_id,
        boot="b",
        host="h1",
        port=4001,
        cores=1,
        memory_mib=4096,
        highest_epoch=bench.epoch - 1,
        drivers=(report,),
    )
    return bench, registration


@pytest.mark.parametrize("paused", [False, True])
def test_worker_that_is_about_to_register_is_not_given_up(paused: bool) -> None:
    bench, registration = recovering()
    if paused:
        bench.mono += 100.0
    else:
        bench.wait(POLICY.recovery_timeout - 0.1)
    bench.send("w1'", registration)
    bench.take("w1'", Reconnect)
    bench.worker("w2", cores=1)
    bench.wait(0.2)
    assert bench.core.ctx.state is (MasterState.RECOVERING if paused else MasterState.ALIVE)
    assert bench.take_all("w2", LaunchDriver) == []
    bench.send("w1'", msgspec.structs.replace(registration, highest_epoch=bench.epoch))
    driver = bench.core.ctx.books.drivers[registration.drivers[0].driver_id].record
    assert (driver.state, driver.attempt) == (DriverState.RUNNING, 1)


def test_worker_that_does_not_register_after_all_is_given_up() -> None:
    bench, registration = recovering()
    bench.wait(POLICY.recovery_timeout - 0.1)
    bench.send("w1'", registration)
    bench.worker("w2", cores=1)
    bench.live(POLICY.reconnect_timeout + 0.1)
    assert [launch.attempt for launch in bench.take_all("w2", LaunchDriver)] == [2]


def test_nobody_is_silent_while_the_master_does_not_run() -> None:
    bench = Bench(policy=POLICY)
    silent, heard = bench.worker("w1"), bench.worker("w2")
    bench.mono += 1000.0
    bench.send("w2", WorkerHeartbeat(worker_id=heard))  # the other's is in the next batch
    workers = bench.core.ctx.books.workers
    assert [worker.record.state for worker in workers.values()] == [WorkerState.ALIVE] * 2
    bench.wait(15.0)
    bench.send("w2", WorkerHeartbeat(worker_id=heard))
    bench.wait(POLICY.worker_timeout - 15.0 + 2.5)  # silence is looked for every tenth of worker_timeout
    assert (workers[silent].record.state, workers[heard].record.state) == (WorkerState.DEAD, WorkerState.ALIVE)


def test_master_that_is_always_late_gets_on_nevertheless() -> None:
    own_time, mono = OwnTime(), 50.0
    assert own_time.at(Now(mono, 0.0), float("-inf")).mono == mono
    for step in range(1, 11):
        mono += 30.0
        assert own_time.at(Now(mono, 0.0), due=0.0).mono == pytest.approx(50.0 + step * LATE)
    assert own_time.mono(60.0) == pytest.approx(mono)
