"""What the tests of arrays do again and again."""

from __future__ import annotations

from stoker.core.model.messages import GetStatus, LaunchDriver, Status
from stoker.core.model.states import DriverState
from stoker.core.model.views import DriverView
from tests.support.core import Bench


def indices(launches: list[LaunchDriver]) -> list[int]:
    for launch in launches:
        assert launch.driver_id.endswith("_" + launch.driver.env["SLURM_ARRAY_TASK_ID"])
        assert launch.driver.array == ""
    return [int(launch.driver.env["STOKER_ARRAY_INDEX"]) for launch in launches]


def launched(bench: Bench, peer: str = "w1") -> list[LaunchDriver]:
    return bench.take_all(peer, LaunchDriver)


def status(bench: Bench, job_id: str) -> DriverView:
    bench.send("c9", GetStatus(request=5, id=job_id))
    view = bench.take("c9", Status).driver
    assert view is not None
    return view


def end(bench: Bench, launch: LaunchDriver, code: int = 0, peer: str = "w1") -> None:
    bench.driver_is(peer, launch, DriverState.FAILED if code else DriverState.FINISHED, code=code)


def drain(bench: Bench, peer: str = "w1", code: int = 0) -> list[int]:
    """End everything that is launched until nothing more is; return the indices in the order of their starts."""
    order = []
    while found := launched(bench, peer):
        order += indices(found)
        for launch in found:
            end(bench, launch, code, peer)
    return order
