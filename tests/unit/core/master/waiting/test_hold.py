"""Hold and release in the master's core."""

from __future__ import annotations

import pytest

from stoker.core.master.scheduling.explain import Waiting
from stoker.core.model.messages import Accepted, Failed, HoldJob, KillJob, LaunchDriver, LaunchExecutor
from stoker.core.model.policy import Policy
from stoker.core.model.states import DriverState, Role
from tests.support.core import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


def hold(bench: Bench, job_id: str, wanted: bool = True) -> str:
    bench.send("c9", HoldJob(request=5, id=job_id, hold=wanted, door="cli"))
    return bench.take("c9", Accepted).text


def test_held_driver_starts_when_it_is_released(bench: Bench) -> None:
    driver_id = bench.submit()
    assert hold(bench, driver_id) == f"{driver_id} is held"
    bench.worker("w1")
    later = bench.submit()
    assert [launch.driver_id for launch in bench.take_all("w1", LaunchDriver)] == [later]
    assert hold(bench, driver_id, False) == f"{driver_id} is released"
    assert [launch.driver_id for launch in bench.take_all("w1", LaunchDriver)] == [driver_id]


def test_hold_survives_a_new_master_and_counts_not_as_running() -> None:
    bench = Bench(policy=Policy(max_drivers=1))
    driver_id = bench.submit(hold=True)
    bench.restart(keep=True)
    bench.worker("w1")
    other = bench.submit()
    assert [launch.driver_id for launch in bench.take_all("w1", LaunchDriver)] == [other]
    record = bench.core.ctx.books.drivers[driver_id].record
    assert record.hold is not None and record.hold.by == "k1"


def test_running_driver_goes_on_and_is_not_started_again(bench: Bench) -> None:
    bench.worker("w1")
    driver_id = bench.submit(supervise=True)
    launch = bench.take_all("w1", LaunchDriver)[0]
    bench.driver_is("w1", launch, DriverState.RUNNING)
    assert hold(bench, driver_id).endswith("is held: it is RUNNING and goes on, but is not started again")
    bench.driver_is("w1", launch, DriverState.FAILED, code=1)
    bench.live(30)
    assert not bench.take_all("w1", LaunchDriver)
    hold(bench, driver_id, False)
    assert bench.take_all("w1", LaunchDriver)[0].attempt == 2


def test_who_waits_for_the_place_of_a_held_driver_gets_it_when_its_worker_is_lost() -> None:
    bench = Bench(policy=Policy(max_drivers=1, reconnect_timeout=10.0))
    bench.worker("w1")
    driver_id = bench.submit(supervise=True)
    bench.driver_is("w1", bench.take_all("w1", LaunchDriver)[0], DriverState.RUNNING)
    hold(bench, driver_id)
    bench.worker("w2")
    other = bench.submit()
    bench.gone("w1")
    bench.wait(11)
    assert [launch.driver_id for launch in bench.take_all("w2", LaunchDriver)] == [other]


def test_held_application_gets_no_further_executors(bench: Bench) -> None:
    app_id = bench.application()
    hold(bench, app_id)
    bench.worker("w1")
    assert not bench.take_all("w1", LaunchExecutor)
    hold(bench, app_id, False)
    assert bench.take_all("w1", LaunchExecutor)


def test_waiting_jobs_say_who_holds_them(bench: Bench) -> None:
    driver_id, app_id = bench.submit(hold=True), bench.application()
    hold(bench, app_id)
    cluster = bench.core.view()
    [driver], [app] = cluster.active_drivers, cluster.active_apps
    waiting = Waiting(cluster)
    assert waiting.driver(driver) == f"held by k1 from the command line: 'stoker release {driver_id}' lets it go on"
    assert waiting.app(app) == f"held by k1 from the command line: 'stoker release {app_id}' lets it go on"
    found = waiting.explain(driver)
    assert (found.verdict, found.helps) == ("never", ())  # there is no worker either
    bench.worker("w1")
    cluster = bench.core.view()
    found = Waiting(cluster).explain(cluster.active_drivers[0])
    assert found.refusals == ("held by k1 from the command line",)
    assert (found.verdict, found.helps) == ("wait", (f"'stoker release {driver_id}'",))


def test_held_driver_can_be_killed(bench: Bench) -> None:
    driver_id = bench.submit(hold=True)
    bench.send("c9", KillJob(request=6, id=driver_id))
    assert bench.core.ctx.books.completed_drivers[driver_id].record.state is DriverState.KILLED
    assert not bench.core.ctx.books.parked


def test_only_its_principal_and_admins_may_hold(bench: Bench) -> None:
    driver_id = bench.submit()
    bench.send("c9", HoldJob(request=5, id=driver_id, hold=True), key="k2")
    assert bench.take("c9", Failed).code == "not-authorized"
    bench.send("c9", HoldJob(request=5, id=driver_id, hold=True), key="k2", role=Role.ADMIN)
    assert bench.take("c9", Accepted)
    bench.send("c9", HoldJob(request=5, id="driver-20270101000000-9999", hold=True))
    assert bench.take("c9", Failed).code == "not-found"
