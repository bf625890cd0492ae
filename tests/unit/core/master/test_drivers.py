"""Drivers in the master's core: submitted, placed, supervised, killed (spec 11)."""

from __future__ import annotations

from stoker.core.model.messages import (
    Accepted,
    DriverStateAck,
    DriverUpdate,
    Failed,
    GetStatus,
    KillDriver,
    KillJob,
    LaunchDriver,
    RegisteredWorker,
    Status,
    SubmitDriver,
    Submitted,
)
from stoker.core.model.policy import Policy
from stoker.core.model.states import DriverState, Role
from tests.support.core import Bench, driver
from tests.unit.core.master.steps import (
    driver_state,
    running_driver,
)


def test_driver_that_asks_for_no_core_runs_where_none_is_free(bench: Bench) -> None:
    bench.worker("w1", cores=1)
    bench.submit(cores=1)
    coreless = bench.submit(cores=0)
    waiting = bench.submit(cores=1)
    assert [launch.driver_id for launch in bench.take_all("w1", LaunchDriver)][1:] == [coreless]
    assert driver_state(bench, waiting) is DriverState.SUBMITTED


def test_a_repeated_watched_submission_tells_how_it_stands(bench: Bench) -> None:
    """The first answer was lost with a master; meanwhile the driver may have changed, or ended permanently."""
    bench.worker("w1")
    bench.submit("c1", token="t", watch=True)
    bench.take("w1", RegisteredWorker)
    launch = bench.take("w1", LaunchDriver)
    bench.send("c2", SubmitDriver(request=2, token="t", driver=driver(), watch=True))
    bench.take("c2", Submitted)
    assert bench.take("c2", DriverUpdate).driver.state is DriverState.RUNNING
    bench.driver_is("w1", launch, DriverState.FINISHED, code=0)
    bench.send("c3", SubmitDriver(request=3, token="t", driver=driver(), watch=True))
    bench.take("c3", Submitted)
    assert bench.take("c3", DriverUpdate).driver.state is DriverState.FINISHED


def test_submitted_driver_is_launched_with_the_epoch_and_first_attempt(bench: Bench) -> None:
    bench.worker("w1")
    bench.take("w1", RegisteredWorker)
    driver_id = bench.submit()
    assert driver_id.startswith("driver-") and driver_id.endswith("-0000")
    launch = bench.take("w1", LaunchDriver)
    assert (launch.epoch, launch.driver_id, launch.attempt) == (7, driver_id, 1)
    assert driver_state(bench, driver_id) is DriverState.RUNNING
    bench.nothing_else()


def test_exit_zero_finishes_and_is_acknowledged(bench: Bench) -> None:
    driver_id, launch = running_driver(bench)
    bench.driver_is("w1", launch, DriverState.FINISHED, code=0)
    ack = bench.take("w1", DriverStateAck)
    assert (ack.driver_id, ack.attempt) == (driver_id, 1)
    assert driver_state(bench, driver_id) is DriverState.FINISHED
    assert bench.core.ctx.books.workers["worker-20270101000000-h1-4001"].cores_used == 0
    bench.nothing_else()


def test_report_repeated_after_lost_ack_is_acknowledged_again(bench: Bench) -> None:
    _, launch = running_driver(bench)
    for _ in range(2):
        bench.driver_is("w1", launch, DriverState.FAILED, code=3)
        bench.take("w1", DriverStateAck)
    bench.nothing_else()


def test_same_token_is_one_driver(bench: Bench) -> None:
    first = bench.submit(token="same")
    bench.send("c2", SubmitDriver(request=9, token="same", driver=driver()))
    assert bench.take("c2", Submitted).driver_id == first
    assert len(bench.core.ctx.books.drivers) == 1


def test_supervised_driver_waits_1_2_4_seconds_and_a_long_run_resets(bench: Bench) -> None:
    driver_id, launch = running_driver(bench, supervise=True)
    for delay in (1, 2, 4):
        bench.driver_is("w1", launch, DriverState.FAILED, code=1, reason="exited with code 1")
        bench.take("w1", DriverStateAck)
        assert driver_state(bench, driver_id) is DriverState.RELAUNCHING
        bench.wait(delay - 0.01)
        bench.nothing_else()
        bench.wait(0.02)
        launch = bench.take("w1", LaunchDriver)
        bench.driver_is("w1", launch, DriverState.RUNNING)
    assert launch.attempt == 4
    bench.wait(6)
    bench.driver_is("w1", launch, DriverState.FAILED, code=1)
    bench.take("w1", DriverStateAck)
    bench.wait(1.01)
    assert bench.take("w1", LaunchDriver).attempt == 5
    bench.nothing_else()


def test_supervision_backoff_is_capped(bench: Bench) -> None:
    bench = Bench(policy=Policy(supervise_backoff_cap=3.0))
    _, launch = running_driver(bench, supervise=True)
    for delay in (1, 2, 3, 3):
        bench.driver_is("w1", launch, DriverState.FAILED, code=1)
        bench.take("w1", DriverStateAck)
        bench.wait(delay + 0.01)
        launch = bench.take("w1", LaunchDriver)


def test_supervision_gives_up_after_max_restarts(bench: Bench) -> None:
    driver_id, launch = running_driver(bench, supervise=True, max_restarts=1)
    bench.driver_is("w1", launch, DriverState.FAILED, code=1)
    bench.take("w1", DriverStateAck)
    bench.wait(1.01)
    bench.driver_is("w1", bench.take("w1", LaunchDriver), DriverState.FAILED, code=1)
    assert driver_state(bench, driver_id) is DriverState.FAILED


def test_kill_during_backoff_ends_it_at_once(bench: Bench) -> None:
    driver_id, launch = running_driver(bench, supervise=True)
    bench.driver_is("w1", launch, DriverState.FAILED, code=1)
    bench.take("w1", DriverStateAck)
    bench.send("c1", KillJob(request=5, id=driver_id))
    bench.take("c1", Accepted)
    assert driver_state(bench, driver_id) is DriverState.KILLED
    bench.wait(100)
    assert not bench.take_all("w1", LaunchDriver)


def test_kill_is_done_when_the_worker_says_so(bench: Bench) -> None:
    driver_id, launch = running_driver(bench, supervise=True)
    bench.send("c1", KillJob(request=5, id=driver_id))
    bench.take("c1", Accepted)
    kill = bench.take("w1", KillDriver)
    assert (kill.epoch, kill.attempt) == (7, 1)
    assert driver_state(bench, driver_id) is DriverState.RUNNING
    bench.driver_is("w1", launch, DriverState.KILLED, signal=15)
    assert driver_state(bench, driver_id) is DriverState.KILLED


def test_kill_of_unknown_or_ended_driver_is_refused(bench: Bench) -> None:
    bench.send("c1", KillJob(request=5, id="driver-20270101000000-0009"))
    failed = bench.take("c1", Failed)
    assert failed.code == "not-found" and "has already finished or does not exist" in failed.reason


def test_only_the_owner_or_an_admin_may_kill(bench: Bench) -> None:
    driver_id, _ = running_driver(bench)
    bench.send("c2", KillJob(request=1, id=driver_id), key="k2")
    assert bench.take("c2", Failed).code == "not-authorized"
    bench.nothing_else()
    bench.send("c3", KillJob(request=1, id=driver_id), key="k3", role=Role.ADMIN)
    bench.take("c3", Accepted)
    bench.take("w1", KillDriver)


def test_watchers_see_every_change(bench: Bench) -> None:
    driver_id = bench.submit(watch=True)
    bench.worker("w1")
    bench.take("w1", RegisteredWorker)
    launch = bench.take("w1", LaunchDriver)
    bench.driver_is("w1", launch, DriverState.FINISHED, code=0)
    states = [update.driver.state for update in bench.take_all("c1", DriverUpdate)]
    assert states == [DriverState.RUNNING, DriverState.FINISHED]
    assert bench.core.ctx.books.watching == {b"c1": set()}
    bench.gone("c1")
    assert bench.core.ctx.books.watching == {}
    assert driver_id


def test_history_is_bounded_and_forgotten_everywhere(bench: Bench) -> None:
    bench = Bench(policy=Policy(retained_drivers=2))
    bench.worker("w1")
    ids = []
    for _ in range(4):
        ids.append(bench.submit())
        bench.driver_is("w1", bench.take_all("w1", LaunchDriver)[0], DriverState.FINISHED, code=0)
    assert list(bench.core.ctx.books.completed_drivers) == ids[2:]
    assert [key for key in bench.store if key.startswith("driver/")] == [f"driver/{i}" for i in ids[2:]]
    assert len(bench.core.ctx.books.tokens) == 2


def test_status_of_one_driver_lists_attempts(bench: Bench) -> None:
    driver_id, launch = running_driver(bench, supervise=True)
    bench.driver_is("w1", launch, DriverState.FAILED, code=3, reason="exited with code 3")
    bench.send("c1", GetStatus(request=2, id=driver_id))
    view = bench.take("c1", Status).driver
    assert view is not None and view.state is DriverState.RELAUNCHING
    assert [(a.number, a.exit.code) for a in view.attempts] == [(1, 3)]
    assert "restart 1 in 1 s" in view.reason
