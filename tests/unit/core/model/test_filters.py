"""Filters: what each finds, and that together they narrow."""

from __future__ import annotations

import pytest

from stoker.core.model.filters import Filters
from stoker.core.model.states import ApplicationState, DriverState, WorkerState
from tests.support.web import app_view, driver_view, executor_view, worker_view

DRIVERS = [
    driver_view(1, name="etl-day", user="ada", worker_host="host1"),
    driver_view(2, name="etl-night", user="bob", state=DriverState.SUBMITTED, worker_id="", pool="night"),
    driver_view(
        3, name="report [1]", user="ada", state=DriverState.FAILED, reason="Out of memory", worker_host="host1"
    ),
]
APPS = [app_view(1), app_view(2, user="bob", state=ApplicationState.WAITING, executors=())]
WORKERS = [worker_view(1), worker_view(2, draining=True), worker_view(3, state=WorkerState.DEAD)]


def drivers(**filters: str) -> list[int]:
    return [int(view.id[-1]) for view in Filters(**filters).drivers(DRIVERS)]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, [1, 2, 3]),
        ({"user": "ada"}, [1, 3]),
        ({"user": "ad"}, []),
        ({"state": "FAILED"}, [3]),
        ({"name": "etl"}, []),
        ({"name": "etl-*"}, [1, 2]),
        ({"name": "report [1]"}, [3]),
        ({"text": "MEMORY out"}, [3]),
        ({"pool": "night"}, [2]),
        ({"pool": "default"}, [1, 3]),
        ({"pool": "nigh"}, []),
        ({"text": "etl bob"}, [2]),
        ({"worker": "host1"}, [1, 3]),
        ({"worker": "HOST1:7001"}, [1, 3]),
        ({"worker": "host1:7002"}, []),
        ({"worker": worker_view(1).id, "user": "ada", "state": "RUNNING"}, [1]),
    ],
)
def test_drivers(filters: dict[str, str], found: list[int]) -> None:
    assert drivers(**filters) == found


def test_applications() -> None:
    assert Filters(worker="host1").apps(APPS) == APPS[:1]
    assert Filters(user="bob", state="WAITING").apps(APPS) == APPS[1:]
    assert Filters(text="count ada").apps(APPS) == APPS[:1]


def test_workers() -> None:
    assert Filters(state="ALIVE").workers(WORKERS, ()) == WORKERS[:1], "a draining worker is not a live one"
    assert Filters(state="DECOMMISSIONED").workers(WORKERS, ()) == WORKERS[1:2]
    assert Filters(application=APPS[0].id).workers(WORKERS, APPS) == WORKERS[:1]
    assert Filters(worker="host3", text="dead").workers(WORKERS, ()) == WORKERS[2:]


def test_executors() -> None:
    other = executor_view(1, worker_id=worker_view(2).id, host="host2")
    assert Filters(worker="host2:7002").executors([executor_view(0), other]) == [other]
    assert Filters(state="LOST").executors([executor_view(0), other]) == []
