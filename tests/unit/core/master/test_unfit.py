"""A worker that reports that its host is not well gets nothing new, and is shown with the reason."""

from __future__ import annotations

from stoker.client.show import cluster as render
from stoker.core.master.scheduling.explain import Waiting
from stoker.core.model.messages import DrainWorkers, LaunchDriver, WorkerHeartbeat
from stoker.core.model.states import DriverState, Role
from stoker.core.model.values import Unfit
from tests.support.core import Bench

DISK = Unfit(kind="disk", text="/work has 12 MiB free (0 %)", since=1_800_000_000.0)
FIRST = "worker-20270101000000-h1-4001"


def report(bench: Bench, *unfit: Unfit) -> None:
    bench.send("w1", WorkerHeartbeat(worker_id=FIRST, unfit=unfit))


def test_nothing_new_is_placed_there_until_it_is_well() -> None:
    bench = Bench()
    bench.worker("w1")
    report(bench, DISK)
    driver = bench.submit("c1")
    assert bench.take_all("w1", LaunchDriver) == []
    view = bench.core.view()
    assert "is unfit: /work has 12 MiB free" in Waiting(view).driver(view.active_drivers[0])
    text = render.worker(view.workers[0])
    assert "unfit: disk" in text and "/work has 12 MiB free" in text
    assert "1 of them unfit" in render.cluster(view)
    report(bench)
    [launch] = bench.take_all("w1", LaunchDriver)
    assert launch.driver_id == driver


def test_undrain_ends_the_operators_reason_only() -> None:
    bench = Bench()
    bench.worker("w1")
    report(bench, DISK)
    for drain in (True, False):
        bench.send("c9", DrainWorkers(request=1, workers=("h1",), drain=drain), role=Role.ADMIN)
    worker = bench.core.ctx.books.workers[FIRST]
    assert worker.objections == ("disk",)
    bench.submit("c1")
    assert bench.core.view().active_drivers[0].state is DriverState.SUBMITTED
    bench.send("c9", DrainWorkers(request=1, workers=("h1",), drain=True), role=Role.ADMIN)
    assert worker.objections == ("operator", "disk")
    report(bench)
    assert worker.objections == ("operator",)
    assert bench.take_all("w1", LaunchDriver) == []


def test_a_new_master_learns_it_from_the_registration_and_a_peer_cannot_fill_the_books() -> None:
    bench = Bench()
    bench.worker("w1")
    report(bench, *[Unfit(kind=f"k{number}", text="x") for number in range(1000)])
    assert len(bench.core.ctx.books.workers[FIRST].unfit) == 8
