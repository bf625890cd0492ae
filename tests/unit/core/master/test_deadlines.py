"""``drain --deadline``: what still runs is stopped, and goes elsewhere where it can."""

from __future__ import annotations

import pytest

from stoker.client.show import cluster as render
from stoker.core.model.messages import (
    DrainWorkers,
    DriverStateChanged,
    KillDriver,
    KillExecutor,
    LaunchDriver,
    LaunchExecutor,
)
from stoker.core.model.states import DriverState, ExecutorState, Role
from stoker.core.model.values import DrainMark, Exit
from tests.support.core import Bench

FIRST = "worker-20270101000000-h1-4001"


def drain(bench: Bench, *, deadline: float, drain: bool = True) -> None:
    message = DrainWorkers(
        request=1, workers=("h1",), drain=drain, reason="new disk" if drain else "", deadline=deadline
    )
    bench.send("c9", message, role=Role.ADMIN)


def killed(bench: Bench, driver: str) -> None:
    message = DriverStateChanged(
        worker_id=FIRST, driver_id=driver, attempt=1, state=DriverState.KILLED, exit=Exit(signal=15)
    )
    bench.send("w1", message)


@pytest.mark.parametrize("undrained", [False, True])
def test_a_supervised_driver_goes_elsewhere_and_another_ends(undrained: bool) -> None:
    bench = Bench()
    bench.worker("w1")
    jobs = [bench.submit("c1", supervise=True), bench.submit("c1", supervise=False)]
    assert len(bench.take_all("w1", LaunchDriver)) == 2
    bench.worker("w2")
    drain(bench, deadline=60.0)
    bench.live(59.0)
    assert bench.take_all("w1", KillDriver) == []
    view = bench.core.view()
    assert "new disk" in render.worker(next(worker for worker in view.workers if worker.host == "h1"))
    bench.live(2.0)
    assert {message.driver_id for message in bench.take_all("w1", KillDriver)} == set(jobs)
    if undrained:  # the orders to end are on their way already
        drain(bench, deadline=0.0, drain=False)
    for job in jobs:
        killed(bench, job)
    found = {view.id: view for view in (*bench.core.view().active_drivers, *bench.core.view().completed_drivers)}
    assert found[jobs[0]].state is DriverState.RUNNING
    assert found[jobs[1]].state is DriverState.KILLED
    assert "was drained, and its deadline has come: new disk" in found[jobs[1]].reason


def test_an_undrained_worker_keeps_its_jobs() -> None:
    bench = Bench()
    bench.worker("w1")
    bench.submit("c1")
    drain(bench, deadline=60.0)
    drain(bench, deadline=0.0, drain=False)
    bench.live(120.0)
    assert bench.take_all("w1", KillDriver) == []
    mark = bench.core.ctx.books.workers[FIRST].record.drain
    assert mark == DrainMark(revision=2, order=mark.order)


def test_executors_are_replaced_and_hold_their_cores_until_they_have_ended() -> None:
    bench = Bench()
    bench.worker("w1")
    app = bench.application("c2", max_cores=1)
    assert len(bench.take_all("w1", LaunchExecutor)) == 1
    bench.worker("w2")
    drain(bench, deadline=10.0)
    bench.live(11.0)
    assert [message.app_id for message in bench.take_all("w1", KillExecutor)] == [app]
    assert len(bench.take_all("w2", LaunchExecutor)) == 1
    view = next(one for one in bench.core.view().active_apps if one.id == app)
    assert [(one.state, "new disk" in one.exit.reason) for one in view.removed_executors] == [
        (ExecutorState.LOST, True)
    ]
    assert bench.core.ctx.books.workers[FIRST].cores_used == 1
