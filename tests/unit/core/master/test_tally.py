"""What a master counts for monitoring: each event once, over restarts of jobs and terms of this process."""

from __future__ import annotations

from stoker.core.master.machine import MasterCore
from stoker.core.model.counts import Counts, Histogram
from stoker.core.model.messages import LaunchDriver, LaunchExecutor
from stoker.core.model.policy import Policy
from stoker.core.model.states import ApplicationState, DriverState, ExecutorState
from tests.support.core import Bench


def counts(bench: Bench) -> Counts:
    return bench.core.ctx.tally.copy()


def test_a_driver_that_waits_runs_fails_and_is_restarted() -> None:
    bench = Bench()
    bench.submit(supervise=True, max_restarts=1)
    bench.live(20)
    bench.worker("w1")
    launch = bench.take_all("w1", LaunchDriver)[0]
    bench.mono += 0.3
    bench.driver_is("w1", launch, DriverState.RUNNING)
    bench.live(30)
    bench.driver_is("w1", launch, DriverState.FAILED, code=1)
    bench.live(2)
    bench.driver_is("w1", bench.take_all("w1", LaunchDriver)[0], DriverState.FAILED, code=1)
    found = counts(bench)
    assert (found.drivers_submitted, found.driver_attempts) == (1, 2)
    assert found.driver_restarts == {"failed": 1, "worker_lost": 0, "drained": 0}
    assert found.drivers_ended[DriverState.FAILED] == sum(found.drivers_ended.values()) == 1
    waits = dict(zip((*found.driver_wait.bounds, "more"), found.driver_wait.counts, strict=True))
    assert waits[60.0] == 1, "20 s for a worker"
    assert sum(found.driver_wait.counts) == 2
    assert found.driver_start.sum == 0.3 or abs(found.driver_start.sum - 0.3) < 1e-6
    assert 30 < found.driver_duration.sum < 40


def test_a_repeated_submission_counts_once() -> None:
    bench = Bench()
    assert bench.submit(token="same") == bench.submit(token="same")
    assert counts(bench).drivers_submitted == 1


def test_a_lost_worker_and_its_supervised_driver() -> None:
    bench = Bench()
    bench.worker("w1")
    bench.submit(supervise=True)
    bench.gone("w1")
    bench.wait(15)
    found = counts(bench)
    assert (found.workers_registered, found.workers_lost) == (1, 1)
    assert found.driver_restarts["worker_lost"] == 1
    bench.wait(3000)
    assert counts(bench).workers_removed == {"dead": 1, "forgotten": 0}


def test_applications_and_executors() -> None:
    bench = Bench()
    bench.worker("w1", cores=2)
    bench.application(max_cores=2, cores_per_executor=1)
    for launch in bench.take_all("w1", LaunchExecutor):
        bench.executor_is("w1", launch, ExecutorState.RUNNING)
    bench.gone("c1")
    found = counts(bench)
    assert (found.applications_registered, found.executors_launched) == (1, 2)
    assert found.applications_ended[ApplicationState.FAILED] == 1
    assert found.executors_ended[ExecutorState.KILLED] == 2
    assert sum(found.application_wait.counts) == sum(found.application_duration.counts) == 1
    assert sum(found.executor_start.counts) == 2


def test_a_process_that_leads_again_counts_on() -> None:
    bench = Bench()
    bench.submit()
    before = bench.core.ctx.tally
    again = MasterCore(policy=Policy(), epoch=9, url="spark://m:7077", rng=bench.core.ctx.rng, tally=before)
    assert again.ctx.tally.copy().drivers_submitted == 1


def test_a_histogram_has_a_bucket_for_everything() -> None:
    histogram = Histogram((1.0, 10.0))
    for seconds in (-5.0, 0.0, 1.0, 1.1, 10.0, 11.0, 1e9):
        histogram.observe(seconds)
    copy = histogram.copy()
    assert copy.counts == (3, 2, 2)
    assert copy.sum == 1.0 + 1.1 + 10.0 + 11.0 + 1e9
