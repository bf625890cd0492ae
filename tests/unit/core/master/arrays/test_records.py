"""Arrays over a change of the master, and in the history."""

from __future__ import annotations

import pytest

from stoker.core.model.messages import DriverStateAck
from stoker.core.model.policy import Policy
from stoker.core.model.states import DriverState
from stoker.core.model.values import DriverReport
from tests.support.core import Bench, driver
from tests.unit.core.master.arrays.steps import drain, end, indices, launched, status

FINISHED, FAILED = DriverState.FINISHED, DriverState.FAILED


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_new_master_goes_on(bench: Bench) -> None:
    bench.worker("w1", cores=2)
    array_id = bench.submit(array="1-3000%2", memory_mib=1)
    one, _ = launched(bench)
    end(bench, one, code=7)
    launched(bench)
    bench.restart(keep=True)
    view = status(bench, array_id)
    assert view.array is not None
    assert (view.array.failed, view.array.running, view.array.waiting) == (1, 2, 2997)
    assert view.array.status == 7
    bench.worker("w1", cores=2)
    again = launched(bench)  # their launches did not arrive
    assert indices(again) == [2, 3]
    for launch in again:
        end(bench, launch)
    assert indices(launched(bench)) == [4, 5]


def test_a_lost_chunk_runs_nothing_twice(bench: Bench) -> None:
    bench.worker("w1", cores=1)
    array_id = bench.submit(array="1-3")
    (one,) = launched(bench)
    end(bench, one)
    (two,) = launched(bench)
    end(bench, two)
    (three,) = launched(bench)
    del bench.store[f"tasks/{array_id}/0"]
    del bench.store[f"driver/{array_id}_1"]
    bench.restart(keep=True)
    bench.worker("w1", cores=1)
    assert drain(bench) == indices([three])
    view = status(bench, array_id)
    assert view.state is FAILED
    assert view.array is not None
    assert (view.array.finished, view.array.error) == (2, 1)


def test_the_history_forgets_arrays() -> None:
    bench = Bench(policy=Policy(retained_drivers=1))
    bench.worker("w1", cores=1)
    array_id = bench.submit(array="1-3")
    assert drain(bench) == [1, 2, 3]
    assert status(bench, f"{array_id}_1").state is FINISHED
    bench.submit()
    assert launched(bench)
    assert [key for key in bench.store if array_id in key] == [f"array/{array_id}", f"tasks/{array_id}/0"]
    bench.submit()
    bench.core.clear_completed(bench.now)
    bench.batch([])
    assert [key for key in bench.store if array_id in key] == []


def test_the_history_keeps_so_many_tasks_of_ended_arrays(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stoker.core.master.arrays.booking.MOST_IN_BOOKS", 5)
    bench.worker("w1", cores=1)
    first = bench.submit(array="1-3")
    drain(bench)
    second = bench.submit(array="1-3")
    drain(bench)
    books = bench.core.ctx.books
    assert [each for each in (first, second) if each in books.completed_drivers] == [second]
    assert [key for key in bench.store if key.endswith((f"array/{first}", f"tasks/{first}/0"))] == []


def test_a_task_that_the_history_has_forgotten_is_known_by_its_bytes() -> None:
    bench = Bench(policy=Policy(retained_drivers=1))
    worker_id = bench.worker("w1", cores=1)
    array_id = bench.submit(array="1-3")
    assert drain(bench, code=9) == [1, 2, 3]
    view = status(bench, f"{array_id}_1")
    assert (view.state, view.reason) == (FAILED, "its exit status was 9")
    assert view.attempts[0].worker_id == worker_id
    assert bench.core.locate_output(f"{array_id}_1", -1).peer == b"w1"
    assert "name one of its tasks" in bench.core.locate_output(array_id, -1).error


def test_what_a_worker_reports_as_an_array_is_a_driver(bench: Bench) -> None:
    described = driver(array="1-3")
    invented = DriverReport(
        driver_id="driver-20270101000000-0007", attempt=1, state=DriverState.RUNNING, driver=described, pid=3
    )
    bench.worker("w1", cores=2, drivers=(invented,))
    assert status(bench, invented.driver_id).array is None
    bench.restart(keep=True)
    assert status(bench, invented.driver_id).array is None


def test_a_master_without_records_takes_over_what_runs(bench: Bench) -> None:
    bench.worker("w1", cores=2)
    array_id = bench.submit(array="1-3")
    one, _ = launched(bench)
    bench.restart(keep=False)
    assert bench.take_all("w1", DriverStateAck) == []
    report = DriverReport(driver_id=one.driver_id, attempt=1, state=DriverState.RUNNING, driver=one.driver, pid=3)
    bench.worker("w1", cores=2, drivers=(report,))
    assert status(bench, f"{array_id}_1").state is DriverState.RUNNING
    assert bench.submit() > array_id
