"""An array in the master's books, from its submission to its end."""

from __future__ import annotations

import pytest

from stoker.core.model.messages import (
    Accepted,
    DriverUpdate,
    Failed,
    GetStatus,
    HoldJob,
    KillDriver,
    KillJob,
    SubmitDriver,
    Submitted,
    WatchDriver,
)
from stoker.core.model.policy import Policy
from stoker.core.model.states import DriverState, Role
from tests.support.core import Bench, driver
from tests.unit.core.master.arrays.steps import drain, end, indices, launched, status

FINISHED, FAILED, KILLED = DriverState.FINISHED, DriverState.FAILED, DriverState.KILLED


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_tasks_start_in_order_within_the_limit(bench: Bench) -> None:
    bench.worker("w1", cores=4)
    array_id = bench.submit(array="1-5%2", memory_mib=1)
    first = launched(bench)
    assert indices(first) == [1, 2]
    end(bench, first[1])
    (third,) = launched(bench)
    assert indices([third]) == [3]
    view = status(bench, array_id)
    assert view.state is DriverState.RUNNING
    assert view.array is not None
    assert (view.array.tasks, view.array.waiting, view.array.running, view.array.finished) == (5, 2, 2, 1)
    assert [(run.indices, run.state) for run in view.array.runs] == [
        ("1", "RUNNING"),
        ("2", "FINISHED"),
        ("3", "RUNNING"),
        ("4-5", "WAITING"),
    ]
    end(bench, first[0])
    end(bench, third)
    assert drain(bench) == [4, 5]
    view = status(bench, array_id)
    assert (view.state, view.reason) == (FINISHED, "")


def test_one_entry_however_many_tasks(bench: Bench) -> None:
    array_id = bench.submit(array="0-999999")
    books = bench.core.ctx.books
    assert list(books.queue) == [array_id]
    assert sorted(bench.store) == [f"array/{array_id}", "meta/counters"]
    assert books.waiting_drivers("default") == 1_000_000
    bench.worker("w1", cores=3, memory=1 << 20)
    assert indices(launched(bench)) == [0, 1, 2]
    assert sum(key.startswith("tasks/") for key in bench.store) == 1


def test_the_submission_says_how_many_tasks_it_has(bench: Bench) -> None:
    bench.send("c1", SubmitDriver(request=3, token="t", driver=driver(array="1-5")))
    answer = bench.take("c1", Submitted)
    assert answer.tasks == 5
    bench.send("c1", SubmitDriver(request=4, token="t", driver=driver(array="1-5")))
    assert bench.take("c1", Submitted).driver_id == answer.driver_id


def test_a_bad_array_is_refused_by_the_master(bench: Bench) -> None:
    bench.send("c1", SubmitDriver(request=3, token="t", driver=driver(array="9-3")))
    assert bench.take("c1", Failed).reason == "--array '9-3': 9-3 runs backwards: write 3-9"
    assert not bench.core.ctx.books.drivers


def test_too_many_tasks_altogether_are_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stoker.core.master.arrays.booking.MOST_IN_BOOKS", 10)
    bench.submit(array="1-8")
    bench.send("c1", SubmitDriver(request=3, token="u", driver=driver(array="1-3")))
    assert "have 8 tasks, the most is 10: wait until one has ended" in bench.take("c1", Failed).reason


def test_an_array_keeps_its_place(bench: Bench) -> None:
    """It was submitted before the driver, so its second task goes first, although it had reached its limit."""
    bench.worker("w1", cores=1)
    bench.submit(array="1-2%1")
    (first,) = launched(bench)
    other = bench.submit()
    end(bench, first)
    (second,) = launched(bench)
    assert indices([second]) == [2]
    end(bench, second)
    assert [launch.driver_id for launch in launched(bench)] == [other]


def test_a_driver_before_the_array_goes_first(bench: Bench) -> None:
    first = bench.submit()
    bench.submit(array="1-2")
    bench.worker("w1", cores=1)
    (launch,) = launched(bench)
    assert launch.driver_id == first


def test_a_task_that_fails_fails_the_array(bench: Bench) -> None:
    bench.worker("w1", cores=4)
    array_id = bench.submit(array="1-2", memory_mib=1)
    one, two = launched(bench)
    end(bench, one, code=3)
    end(bench, two)
    view = status(bench, array_id)
    assert (view.state, view.reason) == (FAILED, "1 of 2 tasks did not finish")
    assert view.array is not None
    assert view.array.status == 3


def test_supervised_tasks_are_started_again(bench: Bench) -> None:
    bench.worker("w1", cores=1)
    array_id = bench.submit(array="1-2", supervise=True)
    (one,) = launched(bench)
    end(bench, one, code=1)
    (two,) = launched(bench)
    assert indices([two]) == [2]
    bench.live(1.5)
    end(bench, two)
    (again,) = launched(bench)
    assert (indices([again]), again.attempt) == ([1], 2)
    end(bench, again)
    assert status(bench, array_id).state is FINISHED


def test_a_refused_task_is_placed_again_before_the_next(bench: Bench) -> None:
    bench.worker("w1", cores=1)
    bench.submit(array="1-3")
    (one,) = launched(bench)
    bench.driver_is("w1", one, DriverState.ERROR, refused=True, reason="disk full")
    bench.worker("w2", cores=1)
    (again,) = launched(bench, "w2")
    assert indices([again]) == [1]


def test_old_workers_get_no_tasks(bench: Bench) -> None:
    bench.worker("w1", cores=4, version="0.1.0")
    array_id = bench.submit(array="1-2", memory_mib=1)
    assert launched(bench) == []
    driver_id = bench.submit(memory_mib=1)
    assert [launch.driver_id for launch in launched(bench)] == [driver_id]
    bench.worker("w2", cores=4, version="0.2.0")
    assert [launch.driver_id for launch in launched(bench, "w2")] == [f"{array_id}_1", f"{array_id}_2"]


def test_max_drivers_counts_tasks_and_not_the_array() -> None:
    bench = Bench(policy=Policy(max_drivers=2))
    bench.worker("w1", cores=8)
    bench.submit(array="1-9", memory_mib=1)
    assert indices(launched(bench)) == [1, 2]


# --- killing ---------------------------------------------------------------------------------------------------------


def test_kill_of_an_array(bench: Bench) -> None:
    bench.worker("w1", cores=2)
    array_id = bench.submit(array="1-9", watch=True)
    one, two = launched(bench)
    end(bench, one)
    (three,) = launched(bench)
    bench.send("c1", KillJob(request=4, id=array_id))
    assert "6 tasks not running and killed; 2 tasks being killed" in bench.take_all("c1", Accepted)[0].text
    assert len(bench.take_all("w1", KillDriver)) == 2
    assert status(bench, array_id).state is DriverState.RUNNING
    for launch in (two, three):
        bench.driver_is("w1", launch, KILLED, signal=15)
    view = status(bench, array_id)
    assert (view.state, view.reason) == (KILLED, "killed by k1 from the command line")
    assert view.array is not None
    assert (view.array.finished, view.array.killed) == (1, 8)
    assert bench.take_all("c1", DriverUpdate)[-1].driver.state is KILLED


def test_kill_of_an_array_that_waits(bench: Bench) -> None:
    array_id = bench.submit(array="1-9")
    bench.send("c1", KillJob(request=4, id=array_id))
    bench.take("c1", Accepted)
    assert status(bench, array_id).state is KILLED
    assert bench.core.ctx.tally.drivers_ended[KILLED] == 9


def test_kill_of_some_tasks(bench: Bench) -> None:
    bench.worker("w1", cores=1)
    array_id = bench.submit(array="1-6")
    (one,) = launched(bench)
    bench.send("c1", KillJob(request=4, id=f"{array_id}_3-4"))
    bench.take("c1", Accepted)
    bench.send("c1", KillJob(request=5, id=f"{array_id}_6"))
    bench.take("c1", Accepted)
    bench.send("c1", KillJob(request=6, id=f"{array_id}_3"))
    assert bench.take("c1", Failed).code == "not-found"
    bench.send("c1", KillJob(request=7, id=f"{array_id}_1"))
    bench.take("c1", Accepted)
    assert [order.driver_id for order in bench.take_all("w1", KillDriver)] == [f"{array_id}_1"]
    bench.driver_is("w1", one, KILLED, signal=15)
    assert drain(bench) == [2, 5]
    view = status(bench, array_id)
    assert (view.state, view.reason) == (FAILED, "4 of 6 tasks did not finish")


def test_only_who_submitted_it_may_kill(bench: Bench) -> None:
    array_id = bench.submit(array="1-6")
    for job_id in (array_id, f"{array_id}_2", f"{array_id}_2-3"):
        bench.send("c2", KillJob(request=4, id=job_id), key="another")
        assert bench.take("c2", Failed).code == "not-authorized"
    bench.send("c2", KillJob(request=4, id=f"{array_id}_2"), key="another", role=Role.ADMIN)
    bench.take("c2", Accepted)


@pytest.mark.parametrize("job_id", ["_7", "_7-9", "_0"])
def test_unknown_tasks(bench: Bench, job_id: str) -> None:
    array_id = bench.submit(array="1-6")
    bench.send("c1", KillJob(request=4, id=array_id + job_id))
    assert bench.take("c1", Failed).code == "not-found"
    bench.send("c1", GetStatus(request=4, id=array_id + job_id))
    assert bench.take("c1", Failed).code == "not-found"


# --- holding, waiting for others ---------------------------------------------------------------------------------------


def test_hold_and_release_of_an_array(bench: Bench) -> None:
    bench.worker("w1", cores=1)
    array_id = bench.submit(array="1-3")
    (one,) = launched(bench)
    bench.send("c1", HoldJob(request=4, id=array_id, hold=True))
    bench.take("c1", Accepted)
    end(bench, one)
    assert launched(bench) == []
    bench.send("c1", HoldJob(request=5, id=array_id, hold=False))
    assert drain(bench) == [2, 3]


def test_hold_of_single_tasks(bench: Bench) -> None:
    array_id = bench.submit(array="1-5")
    bench.send("c1", HoldJob(request=4, id=f"{array_id}_1-2", hold=True))
    assert "2 tasks held" in bench.take("c1", Accepted).text
    assert status(bench, f"{array_id}_2").reason == "it is held"
    bench.worker("w1", cores=1)
    assert drain(bench) == [3, 4, 5]
    assert status(bench, array_id).state is DriverState.SUBMITTED
    bench.send("c1", HoldJob(request=5, id=f"{array_id}_2", hold=False))
    assert drain(bench) == [2]
    bench.send("c1", HoldJob(request=6, id=f"{array_id}_1-5", hold=False))
    assert drain(bench) == [1]
    assert status(bench, array_id).state is FINISHED


def test_arrays_and_drivers_wait_for_each_other(bench: Bench) -> None:
    bench.worker("w1", cores=1)
    first = bench.submit()
    (launch,) = launched(bench)
    array_id = bench.submit(array="1-2", after=(first,))
    last = bench.submit(after=(array_id,))
    assert launched(bench) == []
    end(bench, launch)
    assert launched(bench)[0].driver_id == f"{array_id}_1"
    assert status(bench, last).awaits == (array_id,)


def test_the_child_of_an_array_starts_when_all_tasks_have_ended(bench: Bench) -> None:
    bench.worker("w1", cores=1)
    array_id = bench.submit(array="1-2")
    last = bench.submit(after=(array_id,))
    (one,) = launched(bench)
    end(bench, one)
    (two,) = launched(bench)
    end(bench, two)
    assert [launch.driver_id for launch in launched(bench)] == [last]


def test_a_child_of_one_task(bench: Bench) -> None:
    bench.worker("w1", cores=1)
    array_id = bench.submit(array="1-2")
    (one,) = launched(bench)
    child = bench.submit(after=(f"{array_id}_1",))
    bench.send("c1", SubmitDriver(request=3, token="u", driver=driver(after=(f"{array_id}_2",))))
    assert bench.take("c1", Failed).reason == f"--after: {array_id}_2 does not run: name its array, {array_id}"
    end(bench, one)
    order = []
    while found := launched(bench):
        order += [launch.driver_id for launch in found]
        for launch in found:
            end(bench, launch)
    assert order == [f"{array_id}_2", child]


# --- watching --------------------------------------------------------------------------------------------------------


def test_a_task_is_watched_before_it_starts(bench: Bench) -> None:
    array_id = bench.submit(array="1-2")
    bench.send("c1", WatchDriver(request=8, driver_id=f"{array_id}_2"))
    assert bench.take("c1", DriverUpdate).driver.state is DriverState.SUBMITTED
    bench.worker("w1", cores=1)
    assert drain(bench) == [1, 2]
    assert [update.driver.state for update in bench.take_all("c1", DriverUpdate)][-1] is FINISHED


def test_who_watches_a_task_is_told_of_its_kill(bench: Bench) -> None:
    array_id = bench.submit(array="1-2")
    bench.send("c1", WatchDriver(request=8, driver_id=f"{array_id}_2"))
    bench.send("c2", WatchDriver(request=8, driver_id=f"{array_id}_1"))
    bench.gone("c2")
    bench.send("c1", KillJob(request=9, id=array_id))
    assert bench.take_all("c1", DriverUpdate)[-1].driver.state is KILLED
    bench.send("c1", WatchDriver(request=10, driver_id=f"{array_id}_2"))
    assert bench.take_all("c1", DriverUpdate)[-1].driver.state is KILLED
