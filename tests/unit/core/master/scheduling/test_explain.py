"""Why something waits, in words."""

from __future__ import annotations

from typing import Any

import pytest

from stoker.core.master.scheduling.explain import Waiting
from stoker.core.model.profiles import Profile
from stoker.core.model.states import ApplicationState, DriverState, MasterState, WorkerState
from stoker.core.model.views import WorkerView
from tests.support.web import app_view, cluster_view, driver_view, worker_view

TWO = (("gpu", ("0", "1")),)


def queued(number: int = 1, **changes: Any) -> Any:
    return driver_view(number, state=DriverState.SUBMITTED, worker_id="", attempts=(), **changes)


def workers(*changes: dict[str, Any]) -> tuple[WorkerView, ...]:
    idle = {"cores": 8, "cores_used": 0, "memory_mib": 4096, "memory_used_mib": 0}
    return tuple(worker_view(number, **{**idle, **change}) for number, change in enumerate(changes))


@pytest.mark.parametrize(
    ("cluster", "why"),
    [
        ((), "the cluster has no live worker"),
        (({"state": WorkerState.DEAD},), "the cluster has no live worker"),
        (({"cores": 4},), "no worker is that large (the largest has 4 cores, and the most memory is 4096 MiB)"),
        (
            ({"cores": 4}, {"memory_mib": 100}),
            "no worker is that large (the largest has 8 cores, and the most memory is 4096 MiB)",
        ),
        (
            ({"cores_used": 4}, {"cores_used": 7}),
            "needs 8 cores and 1024 MiB on one worker, the largest has 4 cores free",
        ),
        (({"memory_used_mib": 4000},), "the largest has 96 MiB free"),
        (({"cores_used": 1}, {"memory_used_mib": 4000}), "none has both free"),
        (({},), "a worker has room"),
        (({"avoided": True, "refusal": "disk full"},), "refuses work and is tried again soon: disk full"),
        (
            ({"cores": 4}, {"avoided": True, "refusal": "disk full"}),
            "-host1-7001 refuses work and is tried again",
        ),
        (({"cores_used": 4}, {"avoided": True, "refusal": "disk full"}), "4 cores free (worker-"),
    ],
)
def test_why(cluster: tuple[dict[str, Any], ...], why: str) -> None:
    waiting = Waiting(cluster_view(workers=workers(*cluster), active_drivers=()))
    assert why in waiting.driver(queued(cores=8, memory_mib=1024))
    app = app_view(state=ApplicationState.WAITING, cores_per_executor=8, memory_mib=1024, executors=())
    assert why in waiting.app(app)


@pytest.mark.parametrize(
    ("cluster", "why"),
    [
        (
            ({},),
            "8 cores, 1024 MiB and 2 gpu on one worker, and no worker offers 2 gpu (the most is 0): submit it with less",
        ),
        (({"resources": TWO, "cores": 4}, {}), "and no worker has all of that"),
        (({"resources": TWO, "draining": True}, {}), "and the 1 of that size are draining"),
        (({"resources": TWO, "resources_used": (("gpu", ("1",)),)},), "the most that one has free is 1 gpu"),
        (({"resources": TWO, "cores_used": 1}, {}), "and none has all of it free"),
        (({"resources": TWO},), "a worker has room"),
    ],
)
def test_why_with_named_resources(cluster: tuple[dict[str, Any], ...], why: str) -> None:
    waiting = Waiting(cluster_view(workers=workers(*cluster), active_drivers=()))
    wanted = (("gpu", 2),)
    assert why in waiting.driver(queued(cores=8, memory_mib=1024, resources=wanted))
    app = app_view(state=ApplicationState.WAITING, cores_per_executor=8, executors=(), resources=wanted)
    assert why in waiting.app(app)


def test_those_ahead_are_counted_in_the_order_they_came() -> None:
    drivers = [queued(number, submitted=100.0 + number) for number in (3, 1, 2)]
    waiting = Waiting(cluster_view(active_drivers=(*drivers, driver_view(4)), workers=()))
    assert waiting.driver(drivers[0]).endswith("; 2 drivers ahead of it")
    assert waiting.driver(drivers[2]).endswith("; 1 driver ahead of it")
    assert "ahead" not in waiting.driver(drivers[1])


def test_a_master_that_places_nothing_says_so() -> None:
    waiting = Waiting(cluster_view(state=MasterState.RECOVERING))
    assert waiting.driver(queued()).startswith("the master is RECOVERING")


def test_a_refusal_is_the_reason_while_a_worker_has_room() -> None:
    waiting = Waiting(cluster_view(workers=workers({}), active_drivers=()))
    refused = queued(reason="worker-1 refused it: cannot write /srv/work: No space left on device")
    assert waiting.driver(refused) == refused.reason
    assert "waiting for its turn" in waiting.driver(queued())


def test_what_does_not_wait_has_no_reason() -> None:
    waiting = Waiting(cluster_view())
    assert waiting.driver(driver_view()) == ""
    assert waiting.app(app_view()) == ""


def test_an_application_says_which_resource_profile_it_waits_for() -> None:
    """``explain`` and what would help are about the same executors, not about the application's usual ones."""
    large = Profile(id=3, executor_limit=1, memory_mib=999_999, cores_per_executor=2)
    app = app_view(state=ApplicationState.RUNNING, executor_limit=0, executors=(), profiles=(large,))
    waiting = Waiting(cluster_view(workers=workers({}), active_apps=(app,)))
    assert waiting.why(app).startswith("resource profile 3 needs 2 cores and 999999 MiB on one worker")
    found = waiting.explain(app)
    assert found.verdict == "never" and found.needs.startswith("2 cores, 999999 MiB")
    small = app_view(state=ApplicationState.RUNNING, executor_limit=0, executors=(), profiles=())
    assert waiting.why(small) == ""
