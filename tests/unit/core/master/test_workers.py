"""Workers in the master's core (spec 9)."""

from __future__ import annotations

import pytest

from stoker.core.master.show import worker_view
from stoker.core.model.messages import (
    LaunchDriver,
    Reconnect,
    RegisteredWorker,
    RegisterWorkerFailed,
    WorkerHeartbeat,
    WorkerLeaving,
)
from stoker.core.model.policy import Policy
from stoker.core.model.states import DriverState, WorkerState
from tests.support.core import Bench

W1 = "worker-20270101000000-h1-4001"


def test_registered_worker_learns_master_epoch_and_heartbeat(bench: Bench) -> None:
    bench.worker("w1")
    answer = bench.take("w1", RegisteredWorker)
    assert (answer.epoch, answer.worker_id, answer.master_url, answer.heartbeat_interval) == (
        7,
        W1,
        "spark://m:7077",
        15,
    )


def test_heartbeat_of_a_stranger_asks_it_to_register(bench: Bench) -> None:
    bench.send("w1", WorkerHeartbeat(worker_id=W1))
    bench.take("w1", Reconnect)
    bench.worker("w1")
    bench.take("w1", RegisteredWorker)
    bench.send("w1", WorkerHeartbeat(worker_id=W1))
    bench.nothing_else()


def test_the_release_of_a_keeper_from_before_an_upgrade_is_shown(bench: Bench) -> None:
    bench.worker("w1")
    worker = bench.core.ctx.books.workers[W1]
    for release in ("0.1.0", ""):
        bench.send("w1", WorkerHeartbeat(worker_id=W1, keeper_release=release))
        assert worker_view(worker).keeper_release == release
        assert ("its keeper: 0.1.0" in worker_view(worker).shown_version) == bool(release)


def test_silent_worker_is_dead_after_worker_timeout_and_dropped_much_later() -> None:
    bench = Bench(policy=Policy(worker_timeout=10, dead_worker_persistence=2))
    bench.worker("w1")
    bench.wait(9)
    bench.send("w1", WorkerHeartbeat(worker_id=W1))
    bench.wait(9.9)
    assert bench.core.ctx.books.workers[W1].record.state is WorkerState.ALIVE
    bench.wait(1.5)
    assert bench.core.ctx.books.workers[W1].record.state is WorkerState.DEAD
    bench.take_all("w1", RegisteredWorker)
    bench.send("w1", WorkerHeartbeat(worker_id=W1))
    bench.take("w1", Reconnect)
    bench.wait(25)
    assert W1 not in bench.core.ctx.books.workers
    assert not [key for key in bench.store if key.startswith("worker/")]


def test_closed_connection_is_dead_at_once(bench: Bench) -> None:
    bench.worker("w1")
    bench.gone("w1")
    assert bench.core.ctx.books.workers[W1].record.state is WorkerState.DEAD


def test_restarted_worker_replaces_its_old_self(bench: Bench) -> None:
    bench.worker("w1")
    bench.gone("w1")
    new = bench.worker("w1'", worker_id="worker-20270101000100-h1-4001")
    assert list(bench.core.ctx.books.workers) == [new]
    assert [key for key in bench.store if key.startswith("worker/")] == [f"worker/{new}"]


def test_second_live_worker_at_the_same_address_is_refused(bench: Bench) -> None:
    bench.worker("w1")
    bench.worker("w1'", worker_id="worker-20270101000100-h1-4001")
    assert "same address" in bench.take("w1'", RegisterWorkerFailed).reason


@pytest.mark.parametrize(("cores", "memory", "worker_id"), [(0, 10, W1), (1, 0, W1), (1, 10, "worker-../../x")])
def test_malformed_registration_is_refused(bench: Bench, cores: int, memory: int, worker_id: str) -> None:
    bench.worker("w1", cores=cores, memory=memory, worker_id=worker_id)
    bench.take("w1", RegisterWorkerFailed)
    assert bench.core.ctx.books.workers == {}


def test_stopping_worker_gets_nothing_new(bench: Bench) -> None:
    bench.worker("w1")
    bench.send("w1", WorkerLeaving(worker_id=W1, keeping=False))
    driver_id = bench.submit()
    assert driver_id in bench.core.ctx.books.queue


def test_driver_whose_end_a_stopping_worker_did_not_report_waits_for_its_keeper() -> None:
    bench = Bench(policy=Policy(reconnect_timeout=10.0))
    bench.worker("w1")
    driver_id = bench.submit(supervise=True)
    bench.driver_is("w1", bench.take_all("w1", LaunchDriver)[0], DriverState.RUNNING)
    bench.worker("w2")
    bench.send("w1", WorkerLeaving(worker_id=W1, keeping=False))
    bench.gone("w1")  # while the driver still takes its time after SIGTERM
    bench.live(9.0)
    assert bench.core.ctx.books.drivers[driver_id].record.state is DriverState.UNKNOWN
    assert bench.take_all("w2", LaunchDriver) == []
    bench.live(1.1)
    assert [launch.attempt for launch in bench.take_all("w2", LaunchDriver)] == [2]


def test_one_worker_cannot_speak_for_another(bench: Bench) -> None:
    bench.worker("w1")
    bench.worker("w2")
    bench.take("w2", RegisteredWorker)
    bench.send("w2", WorkerHeartbeat(worker_id=W1))
    bench.take("w2", Reconnect)
