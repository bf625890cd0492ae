"""Changes of jobs that have been submitted."""

from __future__ import annotations

import pytest

from stoker.core.master.books import Driver
from stoker.core.model.changes import JobChange
from stoker.core.model.messages import Accepted, Failed, LaunchDriver, LaunchExecutor, SubmitDriver, UpdateJob
from stoker.core.model.pools import Pool, Pools, Quota
from stoker.core.model.states import DriverState, Role
from tests.support.core import Bench
from tests.support.core import driver as described

POOLS = Pools(
    pools={
        "etl": Pool(name="etl", max_priority=10, operators=("olga",), policy="fifo"),
        "small": Pool(name="small", most=Quota(drivers=1), policy="fifo"),
        "closed": Pool(name="closed", users=("nobody",)),
        "full": Pool(name="full", most_per_user=Quota(queued=0)),
    },
    is_configured=True,
)


@pytest.fixture
def bench() -> Bench:
    return Bench(pools=POOLS)


def update(bench: Bench, job_id: str, key: str = "k1", role: Role | None = None, **values: object) -> str:
    """Return the answer, or the reason of a refusal with "refused: " before it."""
    change = JobChange(**values)  # type: ignore[arg-type]
    bench.send("c9", UpdateJob(request=5, id=job_id, change=change), key=key, role=role)
    answer = bench.inbox["c9"].pop()
    return answer.text if isinstance(answer, Accepted) else f"refused: {answer.reason}"


def driver(bench: Bench, driver_id: str) -> Driver:
    return bench.core.ctx.books.drivers[driver_id]


def test_priority_goes_down_for_its_owner_and_both_ways_for_operators(bench: Bench) -> None:
    first, second = bench.submit(pool="etl", priority=2), bench.submit(pool="etl", priority=2)
    assert update(bench, first, priority=1) == f"{first} has now priority 1"
    assert update(bench, first, priority=3).startswith(
        f"refused: {first}: its priority is 1, and you may only lower it"
    )
    assert update(bench, first, key="olga", priority=3) == f"{first} has now priority 3"
    assert "the highest is 10" in update(bench, first, key="olga", priority=11)
    assert "belongs to k1" in update(bench, second, key="k2", priority=0)
    assert update(bench, second, key="k2", role=Role.ADMIN, priority=9) == f"{second} has now priority 9"
    bench.worker("w1", cores=2)
    assert [launch.driver_id for launch in bench.take_all("w1", LaunchDriver)] == [second, first]


def test_pool_of_a_driver_that_waits_and_of_one_that_runs(bench: Bench) -> None:
    bench.worker("w1", cores=1)
    runs, waits = bench.submit(pool="etl"), bench.submit(pool="etl")
    use = bench.core.ctx.books.accounts.of_pool
    assert (use("etl").drivers, use("small").drivers) == (1, 0)
    assert update(bench, runs, pool="small") == f"{runs} has now pool small"
    assert (use("etl").drivers, use("small").drivers) == (0, 1)
    assert update(bench, waits, pool="small") == f"{waits} has now pool small"
    bench.worker("w2", cores=1)
    assert not bench.take_all("w2", LaunchDriver)  # its new pool has one driver, which is the most
    assert "k1 may not submit to pool closed" in update(bench, waits, pool="closed")
    assert "there is no pool smal: did you mean small" in update(bench, waits, pool="smal")
    assert "which is the most (max_per_user: queued)" in update(bench, waits, pool="full")
    bench.restart(keep=True)
    assert driver(bench, waits).record.description.pool == "small"


def test_time_limit_becomes_shorter(bench: Bench) -> None:
    driver_id = bench.submit(pool="etl")
    assert update(bench, driver_id, time_limit=60.0) == f"{driver_id} has now time limit 1 min"
    assert "is 1 min, and you may only shorten it" in update(bench, driver_id, time_limit=120.0)
    assert "is 1 min, and you may only shorten it" in update(bench, driver_id, time_limit=0.0)
    assert update(bench, driver_id, key="olga", time_limit=0.0) == f"{driver_id} has now time limit none"


def test_time_limit_of_what_runs(bench: Bench) -> None:
    bench.worker("w1", cores=2)
    plain, supervised = bench.submit(pool="etl"), bench.submit(pool="etl", supervise=True)
    assert update(bench, plain, time_limit=5.0).endswith(
        "it is RUNNING: the limit of a running attempt cannot be changed"
    )
    assert update(bench, supervised, time_limit=5.0).endswith(": the limit holds from its next attempt on")
    launch = bench.take_all("w1", LaunchDriver)[1]
    bench.driver_is("w1", launch, DriverState.FAILED, code=1)
    bench.live(5)
    assert bench.take_all("w1", LaunchDriver)[-1].driver.time_limit == 5.0


def test_application(bench: Bench) -> None:
    app_id = bench.application(pool="etl", cores_per_executor=1, max_cores=2)
    bench.worker("w1", cores=1)
    assert update(bench, app_id, pool="small", priority=-1, time_limit=9.0).endswith(
        "has now pool small, priority -1, time limit 9 s: the limit holds for executors that start from now on"
    )
    use = bench.core.ctx.books.accounts.of_pool
    assert (use("etl").cores, use("small").cores) == (0, 1)
    bench.worker("w2", cores=1)
    assert [launch.app.time_limit for launch in bench.take_all("w2", LaunchExecutor)] == [9.0]


def test_nothing_changes_when_one_value_is_refused(bench: Bench) -> None:
    driver_id = bench.submit(pool="etl", priority=1)
    assert update(bench, driver_id, pool="small", priority=0, time_limit=5.0).startswith(driver_id)
    before = driver(bench, driver_id).record.description
    assert update(bench, driver_id, pool="closed", time_limit=1.0).startswith("refused: ")
    assert update(bench, driver_id).endswith("nothing to change: give a pool, a priority or a time limit")
    assert driver(bench, driver_id).record.description == before


def test_held_drivers_count_as_queued() -> None:
    bench = Bench(pools=Pools(pools={"default": Pool(name="default", most=Quota(queued=1))}, is_configured=True))
    bench.submit(hold=True)
    bench.send("c1", SubmitDriver(request=2, token="t9", driver=described()))
    assert "1 drivers wait in pool default already" in bench.take("c1", Failed).reason


def test_a_pools_longest_time_limit_holds_for_changes() -> None:
    short = Pool(name="short", max_time_limit=60.0, default_time_limit=60.0, operators=("olga",))
    bench = Bench(pools=Pools(pools={"short": short, "etl": POOLS.pools["etl"]}, is_configured=True))
    job, free = bench.submit(pool="short"), bench.submit(pool="etl")
    too_long = "a time limit of 2 min is longer than pool short permits: the longest is 1 min"
    assert update(bench, job, key="olga", time_limit=120.0) == f"refused: {job}: {too_long}"
    assert "no time limit is more than pool short permits" in update(bench, job, key="olga", time_limit=0.0)
    assert "no time limit is more than pool short permits" in update(bench, free, pool="short")
    assert update(bench, free, pool="short", time_limit=30.0).startswith(f"{free} has now pool short")
