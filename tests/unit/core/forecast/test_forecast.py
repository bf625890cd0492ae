"""A forecast says what happens then."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from stoker.core.forecast.compare import ClusterChanges, Forecast, NewDrivers, NewWorkers, forecast
from stoker.core.forecast.rebuild import Snapshot
from stoker.core.model.messages import (
    Failed,
    GetScheduling,
    GetStatus,
    LaunchDriver,
    LaunchExecutor,
    Scheduling,
    Status,
)
from stoker.core.model.pools import Pool, Pools, Quota
from stoker.core.model.states import DriverState, MasterState
from tests.support.core import Bench
from tests.support.replay import WORKER_CORES, Replay
from tests.support.traces import NASA, TracedJob, read

FAIR = Pools(
    pools={"default": Pool(name="default"), "etl": Pool(name="etl", weight=3, most=Quota(cores=4))}, is_configured=True
)


def look_ahead(snapshot: Snapshot, changes: ClusterChanges | None = None, assumed: float | None = None) -> Forecast:
    return forecast(snapshot, changes or ClusterChanges(), lambda: random.Random(1), assumed)


def snapshot_of(bench: Bench) -> Snapshot:
    bench.send("c9", GetStatus(request=3))
    cluster = bench.take("c9", Status).cluster
    assert cluster is not None
    bench.send("c9", GetScheduling(request=4))
    return Snapshot(cluster, bench.take("c9", Scheduling))


def starts(found: Forecast) -> list[tuple[float | None, float | None]]:
    return [(row.before, row.after) for row in found.rows]


class Watched(Replay):
    """A replay that forecasts the starts of what waits at a moment, and goes on."""

    def __init__(self, jobs: list[TracedJob], *, at: float, pools: Pools) -> None:
        self.at, self.forecast, self.took = at, {}, 0.0
        super().__init__(jobs, workers=1, pools=pools)

    forecast: dict[int, float]

    def _finish(self) -> None:
        super()._finish()
        if self.now >= self.at and not self.forecast:
            self.took = self.now
            bench = Bench()
            bench.core, bench.mono = self.core, self.now
            snapshot = snapshot_of(bench)
            without_past = msgspec.structs.replace(snapshot.cluster, completed_drivers=())
            found = look_ahead(snapshot._replace(cluster=without_past))
            drivers = self.core.ctx.books.drivers
            for row in found.rows:
                assert row.before is not None
                self.forecast[int(drivers[row.id].record.token)] = row.before


@pytest.mark.parametrize("pools", [Pools(), Pools(is_configured=True)], ids=["fifo", "pool"])
def test_forecast_of_a_real_workload_is_what_happens(pools: Pools) -> None:
    """All lengths are known exactly, and nothing is submitted after the forecast."""
    jobs = [job for job in read(NASA, most=400) if job.cores <= WORKER_CORES]
    last = max(job.submitted for job in jobs)
    replay = Watched(jobs, at=last, pools=pools)
    real = replay.run()
    assert len(replay.forecast) >= 5
    for index, seconds in replay.forecast.items():
        assert replay.took + seconds == pytest.approx(real[index], abs=0.01)


def running(bench: Bench, **more: Any) -> str:
    driver_id = bench.submit(**more)
    launch = next(launch for launch in bench.take_all("w1", LaunchDriver) if launch.driver_id == driver_id)
    bench.driver_is("w1", launch, DriverState.RUNNING)
    return driver_id


def test_starts_before_and_after_changes() -> None:
    bench = Bench()
    bench.worker("w1", cores=4)
    running(bench, cores=4, time_limit=100.0)
    bench.wait(40.0)
    bench.submit(cores=3, time_limit=50.0)
    bench.submit(cores=2)
    snapshot = snapshot_of(bench)
    assert starts(look_ahead(snapshot)) == [(60.0, 60.0), (110.0, 110.0)]
    added = ClusterChanges(add=(NewWorkers(1, 3, 4096),))
    assert starts(look_ahead(snapshot, added)) == [(60.0, 0.0), (110.0, 50.0)]
    removed = ClusterChanges(remove=(snapshot.cluster.workers[0].id,))
    assert starts(look_ahead(snapshot, removed)) == [(60.0, None), (110.0, None)]


def test_what_is_submitted_waits_for_what_was_there_before() -> None:
    bench = Bench()
    bench.worker("w1", cores=4)
    running(bench, cores=4, time_limit=100.0)
    bench.submit(cores=4, time_limit=10.0)
    found = look_ahead(snapshot_of(bench), ClusterChanges(submit=(NewDrivers(2, 3, 512, seconds=30.0),)))
    assert [(row.is_new, row.after) for row in found.rows] == [(False, 100.0), (True, 110.0), (True, 140.0)]


def test_other_pools_change_the_order_and_refuse() -> None:
    bench = Bench(pools=FAIR)
    bench.worker("w1", cores=4)
    running(bench, cores=4, time_limit=100.0)
    bench.submit(cores=4, time_limit=10.0)
    bench.submit(cores=4, time_limit=10.0, pool="etl")
    snapshot = snapshot_of(bench)
    assert snapshot.scheduling.pools == FAIR
    one = Pools(pools={"default": Pool(name="default", policy="fifo")}, is_configured=True)
    found = look_ahead(snapshot, ClusterChanges(submit=(NewDrivers(1, 1, 512),), pools=one, pool="etl"))
    assert "etl" in found.refused
    assert not found.rows


def test_lengths_come_from_earlier_runs_then_limits_then_what_others_took() -> None:
    bench = Bench()
    bench.worker("w1", cores=1)
    launch_id = bench.submit(name="nightly")
    launch = bench.take_all("w1", LaunchDriver)[0]
    assert launch.driver_id == launch_id
    bench.driver_is("w1", launch, DriverState.RUNNING)
    bench.wait(20.0)
    bench.driver_is("w1", launch, DriverState.FINISHED, code=0)
    bench.take_all("w1", LaunchDriver)
    running(bench, name="nightly", time_limit=1000.0)
    bench.submit(name="other")
    bench.submit(name="third", time_limit=7.0)
    bench.submit(name="last")
    found = look_ahead(snapshot_of(bench))
    assert [row.before for row in found.rows] == [20.0, 40.0, 47.0]
    assert found.sources == {"earlier runs": 1, "assumed": 2, "time limit": 1}
    assert [row.before for row in look_ahead(snapshot_of(bench), assumed=5.0).rows] == [20.0, 25.0, 32.0]


def test_applications_children_and_held_jobs() -> None:
    bench = Bench()
    bench.worker("w1", cores=4)
    bench.application("c1", max_cores=4, cores_per_executor=2, time_limit=100.0)
    assert len(bench.take_all("w1", LaunchExecutor)) == 2
    parent = bench.submit(cores=4, time_limit=10.0)
    bench.submit(cores=1, after=(parent,))
    bench.submit(cores=1, hold=True)
    bench.application("c2", max_cores=8, cores_per_executor=2)
    found = look_ahead(snapshot_of(bench))
    assert [row.before for row in found.rows] == [100.0, 110.0, None, 110.0]


def test_gpus_of_new_workers() -> None:
    bench = Bench()
    bench.worker("w1", cores=4)
    bench.submit(cores=1, resources=(("gpu", 2),))
    snapshot = snapshot_of(bench)
    assert starts(look_ahead(snapshot, ClusterChanges(add=(NewWorkers(1, 4, 4096, (("gpu", 2),)),)))) == [(None, 0.0)]
    assert starts(look_ahead(snapshot, ClusterChanges(add=(NewWorkers(3, 4, 4096, (("gpu", 1),)),)))) == [(None, None)]


def test_a_recovering_master_has_no_forecast() -> None:
    bench = Bench()
    bench.worker("w1")
    bench.submit()
    bench.restart(keep=True)
    assert bench.core.ctx.state is MasterState.RECOVERING
    bench.send("c9", GetScheduling(request=4))
    assert bench.take("c9", Failed).code == "not-leader"


@pytest.mark.parametrize(("limit", "last"), [("", 30.0), ("%1", 70.0)])
def test_an_array_has_started_with_its_last_task(limit: str, last: float) -> None:
    """At most two run at once. The first has 10 seconds left, the next ones 20."""
    bench = Bench()
    bench.worker("w1", cores=2)
    launched = []
    bench.submit(cores=1, array=f"5-9{limit}", time_limit=20.0)
    launched += bench.take_all("w1", LaunchDriver)
    for launch in launched:
        bench.driver_is("w1", launch, DriverState.RUNNING)
    bench.wait(10.0)
    found = look_ahead(snapshot_of(bench))
    assert len(launched) == (1 if limit else 2)
    assert [(row.name, row.before) for row in found.rows] == [(f"job ({5 - len(launched)} tasks)", last)]
