"""Workers that refuse jobs for their own reasons: the job runs elsewhere, and the worker gets none for a while."""

from __future__ import annotations

import pytest

from stoker.core.model.messages import (
    DriverStateAck,
    ExecutorAdded,
    ExecutorStateAck,
    ExecutorUpdated,
    KillJob,
    LaunchDriver,
    LaunchExecutor,
)
from stoker.core.model.policy import Policy
from stoker.core.model.states import ApplicationState, DriverState, ExecutorState
from stoker.core.model.values import DriverReport, ExecutorReport, Exit
from tests.support.core import Bench, application, driver

FULL = {"reason": "cannot write /work: No space left on device", "refused": True}


@pytest.fixture
def bench() -> Bench:
    return Bench(policy=Policy(spread_out_drivers=False, worker_selection="WORKER_ID"))


def refuse(bench: Bench, peer: str) -> LaunchDriver:
    launch = bench.take_all(peer, LaunchDriver)[0]
    bench.driver_is(peer, launch, DriverState.ERROR, **FULL)
    assert bench.take_all(peer, DriverStateAck)[0].attempt == launch.attempt
    return launch


def test_a_refused_driver_runs_elsewhere_and_counts_no_failure(bench: Bench) -> None:
    bench.worker("w1")
    bench.worker("w2")
    driver_id = bench.submit(supervise=True, max_restarts=0)
    refused = refuse(bench, "w1")
    launch = bench.take_all("w2", LaunchDriver)[0]
    assert (launch.driver_id, launch.attempt) == (driver_id, refused.attempt + 1)
    found = bench.core.ctx.books.find_driver(driver_id)
    assert found is not None and found.record.state is DriverState.RUNNING
    assert found.record.restarts == 0
    assert [attempt.number for attempt in found.record.attempts] == [launch.attempt]


def test_the_same_refusal_twice_says_nothing_about_the_next_attempt(bench: Bench) -> None:
    bench.worker("w1")
    bench.submit()
    first = refuse(bench, "w1")
    bench.wait(3)
    second = bench.take_all("w1", LaunchDriver)[0]
    assert second.attempt == first.attempt + 1
    bench.driver_is("w1", first, DriverState.ERROR, **FULL)
    bench.driver_is("w1", second, DriverState.RUNNING)
    found = bench.core.ctx.books.find_driver(first.driver_id)
    assert found is not None and found.record.state is DriverState.RUNNING
    assert found.record.attempt == second.attempt


def test_the_worker_is_named_and_tried_again_later_and_later_until_a_job_starts(bench: Bench) -> None:
    bench.worker("w1")
    bench.submit()
    tried = []
    for _ in range(8):
        refuse(bench, "w1")
        view = bench.core.view().workers[0]
        assert (view.avoided, view.refusal) == (True, FULL["reason"])
        assert bench.core.view().active_drivers[0].state is DriverState.SUBMITTED
        since = bench.mono
        while not any(isinstance(message, LaunchDriver) for message in bench.inbox.get("w1", [])):
            bench.live(1)
        tried.append(bench.mono - since)
    assert tried == sorted(tried) and tried[0] <= 3 and 60 <= tried[-1] <= 62
    launch = bench.take_all("w1", LaunchDriver)[0]
    bench.driver_is("w1", launch, DriverState.RUNNING)
    view = bench.core.view().workers[0]
    assert (view.avoided, view.refusal) == (False, "")
    assert sum("refused" in line for line in bench.log) == 8


def test_jobs_that_were_under_way_do_not_make_it_longer(bench: Bench) -> None:
    bench.worker("w1", cores=8, memory=8192)
    for _ in range(8):
        bench.submit()
    for launch in bench.take_all("w1", LaunchDriver):
        bench.driver_is("w1", launch, DriverState.ERROR, **FULL)
    bench.wait(2.5)
    assert len(bench.take_all("w1", LaunchDriver)) == 8


def test_a_driver_that_was_to_be_killed_is_killed(bench: Bench) -> None:
    bench.worker("w1")
    driver_id = bench.submit()
    bench.send("c1", KillJob(request=2, id=driver_id))
    refuse(bench, "w1")
    found = bench.core.ctx.books.find_driver(driver_id)
    assert found is not None and found.record.state is DriverState.KILLED


@pytest.mark.parametrize("finite", [False, True])
def test_a_refused_executor_is_replaced_elsewhere_at_once(bench: Bench, finite: bool) -> None:
    bench.worker("w1")
    bench.worker("w2")
    app_id = bench.application(max_cores=1, cores_per_executor=1, finite=finite)
    spread = {peer: bench.take_all(peer, LaunchExecutor) for peer in ("w1", "w2")}
    peer = next(peer for peer, launches in spread.items() if launches)
    bench.executor_is(peer, spread[peer][0], ExecutorState.FAILED, **FULL)
    assert bench.take_all(peer, ExecutorStateAck)
    other = "w2" if peer == "w1" else "w1"
    assert len(bench.take_all(other, LaunchExecutor)) == 1
    updates = bench.take_all("c1", ExecutorUpdated)
    assert [(update.state, update.worker_lost) for update in updates] == [(ExecutorState.LOST, False)]
    assert len(bench.take_all("c1", ExecutorAdded)) == 2
    app = bench.core.ctx.books.find_app(app_id)
    assert app is not None and app.record.state is ApplicationState.RUNNING
    assert (app.retries, app.record.cores_done, app.record.failures) == (0, 0, 0)


def test_a_new_master_learns_of_a_refusal_from_the_worker(bench: Bench) -> None:
    worker_id = bench.worker("w1")
    driver_id = bench.submit()
    launch = bench.take_all("w1", LaunchDriver)[0]
    report = DriverReport(
        driver_id=driver_id,
        attempt=launch.attempt,
        state=DriverState.ERROR,
        driver=driver(),
        exit=Exit(**FULL),  # type: ignore[arg-type]
    )
    bench.restart(keep=True)
    bench.worker("w1", worker_id=worker_id, drivers=(report,))
    assert bench.take_all("w1", DriverStateAck)
    bench.live(5)
    assert bench.take_all("w1", LaunchDriver)[0].attempt == launch.attempt + 1


def test_a_master_without_records_takes_a_refused_driver_over(bench: Bench) -> None:
    worker_id = bench.worker("w1")
    driver_id = bench.submit()
    report = DriverReport(driver_id=driver_id, attempt=3, state=DriverState.ERROR, driver=driver(), exit=Exit(**FULL))  # type: ignore[arg-type]
    bench.restart(keep=False)
    bench.worker("w2", drivers=(report,), worker_id=worker_id.replace("h1", "h2"))
    bench.live(5)
    assert [launch.attempt for launch in bench.take_all("w2", LaunchDriver)] == [4]


def test_a_refused_executor_of_an_ended_application_is_acknowledged(bench: Bench) -> None:
    report = ExecutorReport(
        app_id="app-20260101000000-0001", executor_id=0, cores=1, memory_mib=1, state=ExecutorState.FAILED,
        app=application(), exit=Exit(**FULL),  # type: ignore[arg-type]
    )  # fmt: skip
    bench.worker("w1", executors=(report,))
    assert bench.take_all("w1", ExecutorStateAck)
