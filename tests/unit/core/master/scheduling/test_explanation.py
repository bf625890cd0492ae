"""A job explained in full: every filter that refuses it, who is ahead, and helps that are true."""

from __future__ import annotations

from typing import Any

import msgspec

from stoker.core.master.scheduling.explain import Waiting
from stoker.core.master.scheduling.explanation import explain
from stoker.core.model.pools import Pool, Quota
from stoker.core.model.states import DriverState
from stoker.core.model.views import PoolView, PrincipalView
from tests.support.web import cluster_view, driver_view, worker_view


def queued(number: int = 1, **changes: Any) -> Any:
    return driver_view(number, state=DriverState.SUBMITTED, worker_id="", attempts=(), **changes)


def workers(*changes: dict[str, Any]) -> Any:
    idle = {"cores": 8, "cores_used": 0, "memory_mib": 4096, "memory_used_mib": 0}
    return tuple(worker_view(number, **{**idle, **change}) for number, change in enumerate(changes))


def cluster(*changes: dict[str, Any], drivers: tuple[Any, ...] = (), **more: Any) -> Any:
    view = cluster_view(workers=workers(*changes), active_drivers=drivers, active_apps=())
    return msgspec.structs.replace(view, **more)


def pool(name: str, *, cores: int = 0, part: float = 0.0, **settings: Any) -> PoolView:
    person = PrincipalView(name="ada", cores=cores, drivers=cores, part=part)
    shown = Pool(name=name, **settings)
    return PoolView(name=name, settings=shown, cores=cores, drivers=cores, part_now=part, principals=(person,))


def test_nothing_refuses_it() -> None:
    found = explain(cluster({}), queued(cores=2, memory_mib=100))
    assert (found.verdict, found.refusals, found.helps) == ("now", (), ())
    assert found.lines == ["needs 2 cores, 100 MiB on one worker: nothing refuses it now"]


def test_workers_are_counted_by_their_reasons() -> None:
    view = cluster({"cores": 1}, {"cores": 1}, {"draining": True}, {"cores_used": 7}, {"memory_used_mib": 4000})
    found = explain(view, queued(cores=2, memory_mib=100))
    assert found.verdict == "wait"
    assert set(found.refusals) == {
        "2 workers: too small for it, also when empty",
        "1 worker: draining",
        "1 worker: too few free cores",
        "1 worker: too little free memory",
    }
    assert found.helps == ("1 core instead of 2", "96 MiB instead of 100", "'stoker undrain host2:7002'")


def test_each_help_alone_places_it() -> None:
    view = cluster({"draining": True}, {"cores_used": 7}, {"memory_used_mib": 4000})
    assert explain(view, queued(cores=1, memory_mib=100)).verdict == "now"
    assert explain(view, queued(cores=2, memory_mib=96)).verdict == "now"
    undrained = (msgspec.structs.replace(view.workers[0], draining=False), *view.workers[1:])
    assert explain(msgspec.structs.replace(view, workers=undrained), queued(cores=2, memory_mib=100)).verdict == "now"


def test_what_can_never_run() -> None:
    assert explain(cluster({}), queued(cores=9, memory_mib=100)).verdict == "never"
    limited = cluster({}, pools=(pool("p", most=Quota(cores=1)),))
    assert explain(limited, queued(cores=2, memory_mib=100, pool="p", principal="ada")).verdict == "never"
    assert explain(cluster(), queued(cores=1)).refusals == ("the cluster has no live worker",)


def test_a_limit_is_named_and_another_pool_is_a_help() -> None:
    full, other = pool("p", cores=2, part=0.5, most=Quota(cores=2)), pool("q")
    closed = pool("r", users=("bob",))
    view = cluster({}, pools=(full, closed, other))
    driver = queued(cores=1, memory_mib=100, pool="p", principal="ada")
    found = explain(view, driver)
    assert (found.verdict, found.refusals) == ("wait", ("pool p has 2 of at most 2 cores",))
    assert found.helps == ("pool q (--pool q)",)
    assert Waiting(view).driver(driver).startswith("pool p has 2 of at most 2 cores")


def test_who_is_ahead_and_by_what() -> None:
    mine = queued(9, cores=9, pool="p", principal="ada", submitted=100.0)
    others = (
        queued(1, cores=9, pool="p", principal="ada", submitted=50.0),
        queued(2, cores=9, pool="p", principal="ada", submitted=200.0, priority=3),
        queued(3, cores=9, pool="q", principal="ada", submitted=300.0),
        queued(4, cores=9, pool="p", principal="ada", submitted=400.0),
    )
    view = cluster({}, drivers=(mine, *others), pools=(pool("p", part=0.5), pool("q")))
    assert set(explain(view, mine).ahead) == {
        "1 driver that came earlier",
        "1 driver of a higher priority",
        "1 driver of pools with a smaller part",
    }
    assert "3 drivers ahead of it" in Waiting(view).driver(mine)


def test_the_limit_of_drivers() -> None:
    view = cluster({}, drivers=(driver_view(5, state=DriverState.RUNNING),), max_drivers=1)
    found = explain(view, queued(cores=1, memory_mib=100))
    assert found.refusals == ("1 drivers run, which is the most (spark.deploy.maxDrivers)",) and not found.helps
