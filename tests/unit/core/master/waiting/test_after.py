"""Drivers that start after others."""

from __future__ import annotations

import pytest

from stoker.core.master.books import Driver
from stoker.core.master.scheduling.explain import Waiting
from stoker.core.model.messages import (
    Accepted,
    DriverUpdate,
    Failed,
    HoldJob,
    KillJob,
    LaunchDriver,
    SubmitDriver,
    Submitted,
)
from stoker.core.model.policy import Policy
from stoker.core.model.states import DriverState
from stoker.core.model.values import AfterEnd
from tests.support.core import Bench, driver


@pytest.fixture
def bench() -> Bench:
    return Bench()


def found(bench: Bench, driver_id: str) -> Driver:
    driver = bench.core.ctx.books.find_driver(driver_id)
    assert driver is not None
    return driver


def state(bench: Bench, driver_id: str) -> tuple[DriverState, str]:
    record = found(bench, driver_id).record
    return record.state, record.reason


def start(bench: Bench) -> list[LaunchDriver]:
    return bench.take_all("w1", LaunchDriver)


@pytest.mark.parametrize(
    ("end", "wanted", "starts"),
    [
        (DriverState.FINISHED, "ok", True),
        (DriverState.FINISHED, "any", True),
        (DriverState.FINISHED, "failed", False),
        (DriverState.FAILED, "ok", False),
        (DriverState.FAILED, "any", True),
        (DriverState.FAILED, "failed", True),
    ],
)
@pytest.mark.parametrize("over_already", [False, True])
def test_child_starts_if_its_parent_ends_as_it_wants(
    bench: Bench, end: DriverState, wanted: AfterEnd, *, starts: bool, over_already: bool
) -> None:
    bench.worker("w1")
    parent = bench.submit()
    [launch] = start(bench)
    bench.driver_is("w1", launch, DriverState.RUNNING)
    child = "" if over_already else bench.submit(after=(parent,), after_end=wanted)
    assert not start(bench)
    bench.driver_is("w1", launch, end, code=0 if end is DriverState.FINISHED else 1)
    child = child or bench.submit(after=(parent,), after_end=wanted)
    assert [launch.driver_id for launch in start(bench)] == ([child] if starts else [])
    if not starts:
        only = "finishes" if wanted == "ok" else "fails"
        why = f"{parent} is {end.value}, and it was to start only if that {only}"
        assert state(bench, child) == (DriverState.KILLED, why)


def test_child_waits_for_all_its_parents_over_a_new_master(bench: Bench) -> None:
    bench.worker("w1", cores=2)
    first, second = bench.submit(), bench.submit()
    launches = start(bench)
    child = bench.submit(after=(first, second))
    assert found(bench, child).record.awaits == (first, second)
    bench.driver_is("w1", launches[0], DriverState.FINISHED, code=0)
    assert found(bench, child).record.awaits == (second,)
    bench.send("c9", KillJob(request=1, id=second))
    bench.restart(keep=True)
    assert found(bench, child).record.awaits == (second,)
    cluster = bench.core.view()
    view = next(view for view in cluster.active_drivers if view.id == child)
    assert Waiting(cluster).driver(view).startswith(f"it starts after {second} (UNKNOWN)")
    assert Waiting(cluster).explain(view).helps == ()
    bench.wait(200.0)  # its worker does not come back
    assert state(bench, child)[0] is DriverState.KILLED


def test_chain_ends_with_its_first(bench: Bench) -> None:
    """However long it is: 1500 ends in one batch are no recursion."""
    first = bench.submit()
    chain = [first, *(f"{first[:-4]}{number:04d}" for number in range(1, 1501))]
    described = [driver(after=(parent,)) for parent in chain[:-1]]
    bench.batch(
        [("c1", SubmitDriver(request=0, token=f"chain{number}", driver=each)) for number, each in enumerate(described)]
    )
    assert list(bench.core.ctx.books.drivers) == chain
    bench.send("c9", KillJob(request=1, id=first))
    assert state(bench, chain[-1])[0] is DriverState.KILLED
    assert not bench.core.ctx.books.drivers


def test_parents_are_kept_as_long_as_somebody_waits() -> None:
    bench = Bench(policy=Policy(retained_drivers=0))
    bench.worker("w1", cores=1)
    first, second = bench.submit(), bench.submit()
    child = bench.submit(after=(first, second))
    bench.driver_is("w1", start(bench)[0], DriverState.FINISHED, code=0)
    bench.core.clear_completed(bench.now)
    assert bench.core.ctx.books.find_driver(first) is not None
    bench.driver_is("w1", start(bench)[0], DriverState.FINISHED, code=0)
    assert [launch.driver_id for launch in start(bench)] == [child]
    bench.core.clear_completed(bench.now)
    assert bench.core.ctx.books.find_driver(first) is None


def test_child_is_held_killed_and_watched_as_others_are(bench: Bench) -> None:
    bench.worker("w1")
    parent = bench.submit()
    [launch] = start(bench)
    held, killed = bench.submit(after=(parent,)), bench.submit(after=(parent,))
    bench.send("c9", HoldJob(request=1, id=held, hold=True))
    bench.send("c9", KillJob(request=2, id=killed))
    bench.driver_is("w1", launch, DriverState.FINISHED, code=0)
    assert not start(bench)
    bench.send("c9", HoldJob(request=3, id=held, hold=False))
    assert [launch.driver_id for launch in start(bench)] == [held]
    assert len(bench.take_all("c9", Accepted)) == 3
    message = SubmitDriver(request=4, token="late", driver=driver(after=(killed,)), watch=True)
    bench.send("c9", message)
    assert bench.take("c9", Submitted)
    assert bench.take("c9", DriverUpdate).driver.state is DriverState.KILLED


@pytest.mark.parametrize("parent", ["driver-20260101000000-0000", "driver-20270115081640-0000"])
def test_unknown_parent_is_refused(bench: Bench, parent: str) -> None:
    """The second is the id that it would get itself."""
    bench.send("c1", SubmitDriver(request=2, token="t9", driver=driver(after=(parent,))))
    why = f"--after: there is no driver {parent} to wait for: 'stoker status' lists them"
    assert bench.take("c1", Failed).reason == why
    assert not bench.core.ctx.books.drivers


def test_parent_that_left_the_history_is_refused() -> None:
    bench = Bench(policy=Policy(retained_drivers=0))
    parent = bench.submit()
    bench.send("c9", KillJob(request=1, id=parent))
    bench.send("c1", SubmitDriver(request=2, token="t9", driver=driver(after=(parent,))))
    assert "ended too long ago" in bench.take("c1", Failed).reason
