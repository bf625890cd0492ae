"""Details of draining that no story covers: names, roles, bounds, and the view. The stories are tests/golden/drain*.txt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stoker.client.show import cluster as render
from stoker.client.show import job as render_job
from stoker.client.show.as_json import as_json, workers_as_json
from stoker.core.master.scheduling.explain import Waiting
from stoker.core.model.messages import (
    DrainWorkers,
    Failed,
    GetStatus,
    RegisterWorker,
    SetDrain,
    Status,
    Workers,
    roles_allowed,
)
from stoker.core.model.states import DriverState, MasterState, Role, WorkerState
from stoker.core.model.values import UNLIMITED, DrainMark
from stoker.core.model.views import ClusterView, DriverView, WorkerView
from stoker.web.spark_json import cluster_json
from stoker.worker.slot import Slot
from tests.support.core import Bench


def drain(bench: Bench, *names: str, off: bool = False) -> Workers | Failed:
    bench.send("c9", DrainWorkers(request=1, workers=names, drain=not off), role=Role.ADMIN)
    (answer,) = bench.inbox.pop("c9")
    assert isinstance(answer, Workers | Failed)
    return answer


def test_only_an_admin_drains() -> None:
    assert roles_allowed(DrainWorkers) == {Role.ADMIN}


@pytest.mark.parametrize("name", ["h1", "H1", "h1:4001", "worker-20270101000000-h1-4001"])
def test_a_worker_is_named_in_any_way(name: str) -> None:
    bench = Bench()
    bench.worker("w1")
    bench.worker("w2")
    answer = drain(bench, name, "h1")
    assert isinstance(answer, Workers)
    assert [(worker.host, worker.draining) for worker in answer.workers] == [("h1", True)]


def test_a_host_is_all_its_workers_and_ipv6_is_an_address() -> None:
    bench = Bench()
    for number in (1, 2):
        worker_id = f"worker-20270101000000-fd00::1-700{number}"
        message = RegisterWorker(
            worker_id=worker_id, boot="b", host="fd00::1", port=7000 + number, cores=1, memory_mib=1
        )
        bench.send(f"w{number}", message)
    one = drain(bench, "[fd00::1]:7002")
    assert isinstance(one, Workers) and [worker.port for worker in one.workers] == [7002]
    both = drain(bench, "fd00::1")
    assert isinstance(both, Workers) and len(both.workers) == 2


@pytest.mark.parametrize("names", [(), ("",), ("h1", "nowhere"), ("h1:1",), ("worker-20270101000000-h9-1",)])
def test_a_wrong_name_changes_nothing(names: tuple[str, ...]) -> None:
    bench = Bench()
    bench.worker("w1")
    bench.inbox.clear()
    stored = dict(bench.store)
    assert isinstance(drain(bench, *names), Failed)
    assert bench.store == stored
    bench.nothing_else()


def test_an_absurd_revision_of_a_worker_stops_nobody() -> None:
    bench = Bench()
    bench.worker("w1", drain=DrainMark(draining=True, revision=UNLIMITED))
    bench.inbox.clear()
    answer = drain(bench, "h1", off=True)
    assert isinstance(answer, Workers) and not answer.workers[0].draining
    mark = bench.take("w1", SetDrain).drain
    assert (mark.draining, mark.revision) == (False, UNLIMITED)
    assert mark.order is not None and mark.order.words("undrained") == "undrained by k1 from the command line"


def test_the_status_of_a_worker_follows_its_restart() -> None:
    bench = Bench()
    first = bench.worker("w1")
    bench.gone("w1")
    second = bench.worker("w1'", worker_id="worker-20270101000001-h1-4001")
    bench.inbox.clear()
    bench.send("c1", GetStatus(request=1, id=first))
    status = bench.take("c1", Status)
    assert status.worker is not None and status.worker.id == second


def test_the_slot_keeps_the_mark(tmp_path: Path) -> None:
    slot = Slot.take(tmp_path)
    assert slot.drain == DrainMark()
    slot.remember_drain(DrainMark(draining=True, revision=3))
    again = Slot(slot.folder, lock=-1)  # as the next daemon finds it
    assert again.drain == DrainMark(draining=True, revision=3)
    (again.folder / "drain").write_bytes(b"{")
    assert again.drain == DrainMark()


# --- what is shown ---------------------------------------------------------------------------------------------------


def worker(number: int, *, draining: bool = False, cores: int = 4, running: int = 0) -> WorkerView:
    return WorkerView(
        id=f"worker-20260101000000-h{number}-1",
        host=f"h{number}",
        port=1,
        state=WorkerState.ALIVE,
        cores=cores,
        cores_used=running,
        memory_mib=4096,
        memory_used_mib=0,
        draining=draining,
        running=running,
    )


def cluster(*workers: WorkerView) -> ClusterView:
    return ClusterView(url="spark://h:7077", state=MasterState.ALIVE, epoch=1, version="1", workers=workers)


def waiting(cores: int) -> DriverView:
    return DriverView(
        id="driver-20260101000000-0000",
        name="j",
        state=DriverState.SUBMITTED,
        submitted=1.0,
        cores=cores,
        memory_mib=1,
        main="j",
    )


def test_why_waiting_knows_what_drains() -> None:
    all_drain = cluster(worker(1, draining=True), worker(2, draining=True))
    assert "every live worker is draining" in Waiting(all_drain).driver(waiting(1))
    large_drains = cluster(worker(1, draining=True, cores=8), worker(2, running=3))
    assert "the 1 of that size are draining" in Waiting(large_drains).driver(waiting(8))
    assert "(1 more draining)" in Waiting(large_drains).driver(waiting(2))
    assert "no worker is that large" in Waiting(large_drains).driver(waiting(9))


def test_people_and_scripts_see_it() -> None:
    view = cluster(worker(1, draining=True, running=2), worker(2))
    shown = render.cluster(view)
    assert "1 alive, 1 draining" in shown and "ALIVE draining" in shown
    one = render.worker(view.workers[0])
    assert "stoker undrain h1:1" in one and "2 drivers and executors" in one
    assert "undrain" not in render.worker(view.workers[1])
    assert [one["draining"] for one in json.loads(as_json(view))["workers"]] == [False, True], "live ones first"
    assert json.loads(workers_as_json(view.workers[1:]))["workers"][0]["draining"] is False
    assert "driver-2026" in render_job.driver(waiting(1), view)


def test_sparks_json_calls_it_decommissioned_and_counts_it_out() -> None:
    shown = cluster_json(cluster(worker(1, draining=True, running=2), worker(2)))
    assert [one["state"] for one in shown["workers"]] == ["DECOMMISSIONED", "ALIVE"]
    assert set(shown["workers"][0]) == set(shown["workers"][1])
    assert (shown["aliveworkers"], shown["cores"], shown["coresused"]) == (1, 4, 0)
