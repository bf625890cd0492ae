"""Forecasts for the API: in a process of their own, within limits."""

from __future__ import annotations

import threading

import pytest

from stoker.core.model.changes import AddedDrivers, AddedWorkers, WhatIf
from stoker.core.model.messages import Scheduling
from stoker.core.model.policy import Policy
from stoker.core.model.pools import Pools
from stoker.core.model.states import DriverState
from stoker.errors import Refused, UsageError
from stoker.master.forecasting import Forecaster, Question
from tests.support.wait import wait_until
from tests.support.web import SUBMITTED, cluster_view, driver_view, worker_view

MANY = WhatIf(submit=(AddedDrivers(cores=8, memory_mib=1, number=10_000, seconds=60),))


def question(what_if: WhatIf) -> Question:
    waits = driver_view(2, state=DriverState.SUBMITTED, worker_id="", attempts=(), cores=6)
    worker = worker_view(1, cores=8, cores_used=2)
    cluster = cluster_view(workers=(worker,), active_drivers=(driver_view(1, cores=4), waits), active_apps=())
    scheduling = Scheduling(request=0, at=SUBMITTED, policy=Policy(), pools=Pools())
    return Question(cluster=cluster, scheduling=scheduling, what_if=what_if)


def test_what_waits_starts_when_there_is_another_worker() -> None:
    found = Forecaster().ask(question(WhatIf(add=(AddedWorkers(cores=8, memory_mib=4096),), assume=100)))
    (row,) = found.rows
    assert (row.id, row.after) == (driver_view(2).id, 0.0)
    assert row.before is None or row.before > 0
    assert (found.sources, found.assumed) == ({"assumed": 2}, 100.0)


def test_a_forecast_that_takes_too_long_ends_and_others_wait_for_it() -> None:
    forecaster = Forecaster(cpu_seconds=2)
    said: list[str] = []

    def ask_for_much() -> None:
        while not said:
            try:
                forecaster.ask(question(MANY))
            except Refused as error:
                if "another forecast" not in str(error):  # one of those below
                    said.append(str(error))

    def is_refused() -> bool:
        try:
            forecaster.ask(question(WhatIf()))
        except Refused as error:
            return "another forecast is being made" in str(error)
        return False

    busy = threading.Thread(target=ask_for_much)
    busy.start()
    wait_until(lambda: is_refused() or said, what="a second forecast at the same time is refused")
    busy.join(60)
    assert said == ["the forecast takes more than 2 s of CPU: use 'stoker what-if', which computes on your machine"]
    assert forecaster.ask(question(WhatIf())).rows, "the next one is made"


@pytest.mark.parametrize(
    ("what_if", "says"),
    [
        (WhatIf(remove=("host9",)), "remove: there is no live worker host9"),
        (WhatIf(pools="pools: ["), "pools:1: "),
        (WhatIf(pools="pools: {default: {weight: 0}}"), "weight"),
    ],
)
def test_changes_that_make_no_sense_are_one_line(what_if: WhatIf, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        Forecaster().ask(question(what_if))
    assert "\n" not in str(caught.value)
