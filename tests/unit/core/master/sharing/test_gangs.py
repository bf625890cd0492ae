"""Gangs begin with all the executors they need at once, or wait; they and wide executors reserve room (ADR 30)."""

from __future__ import annotations

from typing import Any

import pytest

from stoker.core.master.scheduling.explain import Waiting
from stoker.core.master.scheduling.explanation import explain
from stoker.core.model.messages import (
    DryRun,
    DryRunResult,
    ExecutorStateChanged,
    Failed,
    LaunchExecutor,
    RegisterApplication,
    RequestExecutors,
)
from stoker.core.model.pools import Pool, Quota
from stoker.core.model.profiles import Profile
from stoker.core.model.states import ExecutorState
from stoker.core.model.values import Command
from tests.support.core import Bench, application
from tests.unit.core.master.sharing.test_reservations import Jobs, bench

WORKERS = ("w1", "w2", "w3")


def cluster(*pools: Pool, cores: int = 2, plain: bool = False, **more: Any) -> Bench:
    found = Bench() if plain else bench(*pools, **{"reserved_share": 1.0, **more})
    for worker in WORKERS:
        found.worker(worker, cores=cores)
    return found


def launches(b: Bench) -> list[tuple[str, LaunchExecutor]]:
    return [(worker, launch) for worker in WORKERS for launch in b.take_all(worker, LaunchExecutor)]


def gang(b: Bench, count: int, peer: str = "c9", **more: Any) -> str:
    sizes = {"cores_per_executor": 1, "memory_mib": 0, **more}
    return b.application(peer, min_executors=count, max_cores=count * sizes["cores_per_executor"], **sizes)


def lose(b: Bench, worker: str, launch: LaunchExecutor) -> None:
    ended = ExecutorStateChanged(
        worker_id=b.core.ctx.books.worker_of_peer[worker.encode()],
        app_id=launch.app_id,
        executor_id=launch.executor_id,
        state=ExecutorState.FAILED,
    )
    b.send(worker, ended)


@pytest.mark.parametrize("plain", [True, False], ids=["no pools", "pools"])
def test_all_or_none_begin(plain: bool) -> None:
    b = cluster(plain=plain)
    jobs = Jobs(b)
    first = jobs.submit()
    app = gang(b, 6)
    assert not launches(b)
    jobs.end(first)
    granted = launches(b)
    assert len(granted) == 6 and {launch.app_id for _, launch in granted} == {app}


@pytest.mark.parametrize("plain", [True, False], ids=["no pools", "pools"])
def test_the_loss_of_one_does_not_take_the_gang_apart(plain: bool) -> None:
    b = cluster(plain=plain)
    app = gang(b, 6)
    (worker, lost), *_ = launches(b)
    lose(b, worker, lost)
    b.live(61)
    replaced = launches(b)
    assert [launch.app_id for _, launch in replaced] == [app], "alone, as any application's"
    assert len(b.core.ctx.books.apps[app].executors) == 6


def test_more_than_it_needs_at_once_come_as_there_is_room() -> None:
    b = cluster()
    app = b.application("c9", min_executors=3, max_cores=8, cores_per_executor=1, memory_mib=0)
    assert len(launches(b)) == 6
    assert b.core.view().active_apps[0].at_once == 0 and b.core.view().active_apps[0].id == app


def test_a_gang_reserves_its_slots_from_drivers_and_executors_that_come_later() -> None:
    b = cluster()
    jobs = Jobs(b)
    early = [jobs.submit() for _ in range(5)]
    app = gang(b, 6)
    b.live(61)
    late = jobs.submit()
    assert not jobs.runs(late), "the room that is free is the gang's"
    b.application("c8", max_cores=1, memory_mib=0)
    (made,) = b.core.view().reservations
    assert made.job_id == app and sum(2 - place.spare_cores for place in made.places) >= 1
    for one in early:
        assert not launches(b) and not jobs.runs(late)
        jobs.end(one)
    assert [launch.app_id for _, launch in launches(b)] == [app] * 6
    assert not b.core.view().reservations


def test_a_gang_that_begins_leaves_the_reservation_to_the_next_in_the_queue() -> None:
    b = cluster()
    jobs = Jobs(b)
    for _ in range(6):
        jobs.submit()
    app = gang(b, 2, time_limit=100.0)
    b.live(1)
    wide, small = jobs.submit(cores=3), jobs.submit()
    b.live(61)
    b.worker("w4", cores=3)
    jobs.look()
    assert [launch.app_id for launch in b.take_all("w4", LaunchExecutor)] == [app] * 2
    assert not jobs.runs(small), "the wide driver, which is next, would wait for it"
    (made,) = b.core.view().reservations
    assert made.job_id == wide


def test_a_wide_executor_is_not_starved_by_small_ones() -> None:
    b = bench(reserved_share=1.0)
    b.worker("w1", cores=4)
    small = [b.application(f"c{n}", max_cores=1, memory_mib=0) for n in range(4)]
    running = {launch.app_id: launch for launch in b.take_all("w1", LaunchExecutor)}
    assert set(running) == set(small)
    wide = b.application("c9", max_cores=4, cores_per_executor=4, memory_mib=0)
    b.live(61)
    for number in range(10, 14):
        b.application(f"c{number}", max_cores=1, memory_mib=0)
    for app_id in small[:-1]:
        b.core.ctx.books.apps[app_id].record.executor_limit = 0
        lose(b, "w1", running[app_id])
        assert not b.take_all("w1", LaunchExecutor)
    b.core.ctx.books.apps[small[-1]].record.executor_limit = 0
    lose(b, "w1", running[small[-1]])
    assert [launch.app_id for launch in b.take_all("w1", LaunchExecutor)] == [wide]


def test_what_ends_in_time_runs_on_the_room_of_a_gang() -> None:
    b = cluster()
    jobs = Jobs(b)
    for _ in range(5):
        jobs.submit(time_limit=1000.0)
    gang(b, 6)
    b.live(61)
    long, short = jobs.submit(time_limit=2000.0), jobs.submit(time_limit=600.0)
    assert jobs.runs(short) and not jobs.runs(long)


def test_it_says_how_many_fit() -> None:
    b = cluster()
    jobs = Jobs(b)
    for _ in range(3):
        jobs.submit()
    app_id = gang(b, 4, memory_mib=100)
    view = b.core.view()
    (app,) = view.active_apps
    assert Waiting(view).app(app) == "needs 4 executors at once, 3 fit now"
    found = explain(view, app)
    assert (found.verdict, found.needs) == ("wait", "4 executors at once, each with 1 core, 100 MiB on one worker")
    assert found.refusals == ("needs 4 executors at once, 3 fit now",)
    assert found.helps == ("'--min-executors 3'",)
    assert app.id == app_id
    gang(b, 7, "c8")
    never = explain(b.core.view(), b.core.view().active_apps[1])
    assert never.verdict == "never"


@pytest.mark.parametrize(("count", "verdict"), [(3, "now"), (4, "wait"), (7, "never")])
def test_a_dry_run_agrees(count: int, verdict: str) -> None:
    for plain in (True, False):
        b = cluster(plain=plain)
        jobs = Jobs(b)
        for _ in range(3):
            jobs.submit()
        wanted = application(min_executors=count, max_cores=count, cores_per_executor=1, memory_mib=0)
        b.send("c9", DryRun(request=1, app=wanted))
        assert b.take("c9", DryRunResult).verdict == verdict
        gang(b, count)
        assert len(launches(b)) == (count if verdict == "now" else 0)


def test_limits_of_pools_hold_for_the_whole_gang() -> None:
    b = cluster(Pool(name="default", most=Quota(cores=4)))
    Jobs(b).submit()
    gang(b, 4)
    assert not launches(b)
    view = b.core.view()
    assert explain(view, view.active_apps[0]).verdict == "wait"
    assert Waiting(view).app(view.active_apps[0]) == "pool default has 1 of at most 4 cores"
    gang(b, 5, "c8")
    too_large = explain(b.core.view(), b.core.view().active_apps[1])
    assert too_large.verdict == "never" and not launches(b)
    gang(b, 3, "c7")
    assert len(launches(b)) == 3
    assert not b.core.view().reservations, "who waits for a limit reserves nothing"


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"min_executors": 4}, "4 executors at once need spark.executor.cores (--executor-cores)"),
        (
            {"min_executors": 4, "cores_per_executor": 2, "max_cores": 6},
            "4 executors at once, each with 2, need 8 cores",
        ),
        (
            {"command": Command(argv=("x",), env={"STOKER_MIN_EXECUTORS": "many"})},
            "STOKER_MIN_EXECUTORS must be a whole number of at least 1, not 'many'",
        ),
    ],
)
def test_what_can_never_be_is_refused_in_one_line(wanted: dict[str, Any], why: str) -> None:
    b = cluster()
    b.send("c9", RegisterApplication(request=1, token="t", app=application(**wanted)))
    assert b.take("c9", Failed).reason.startswith(why)


def test_an_unmodified_application_says_it_in_its_environment() -> None:
    b = cluster()
    Jobs(b).submit()
    command = Command(argv=("x",), env={"STOKER_MIN_EXECUTORS": "6"})
    b.application("c9", command=command, cores_per_executor=1, memory_mib=0)
    assert b.core.view().active_apps[0].at_once == 6 and not launches(b)


def test_pools_that_never_reserve_leave_the_order_alone() -> None:
    b = bench(reserve_after=-1.0)
    for worker in WORKERS:
        b.worker(worker, cores=2)
    jobs = Jobs(b)
    for _ in range(5):
        jobs.submit()
    gang(b, 6)
    b.live(300)
    assert not b.core.view().reservations
    assert jobs.runs(jobs.submit())


def test_a_gang_begins_with_its_default_profile() -> None:
    b = cluster()
    first = Jobs(b)
    busy = first.submit()
    app = gang(b, 6)
    other = Profile(id=1, executor_limit=1, memory_mib=0, cores_per_executor=1)
    b.send("c9", RequestExecutors(request=2, app_id=app, executor_limit=6, profiles=(other,)))
    assert not launches(b)
    first.end(busy)
    assert [launch.app.profile for _, launch in launches(b)] == [0] * 6


def test_of_two_gangs_the_older_one_reserves() -> None:
    b = cluster()
    for n in range(3):
        b.application(f"c{n}", max_cores=2, memory_mib=0)
    wanted = application(min_executors=6, max_cores=6, cores_per_executor=1, memory_mib=0)
    for peer, who in (("c8", "zoe"), ("c9", "ada")):
        b.send(peer, RegisterApplication(request=1, token=who, app=wanted), key=who)
    older = next(app.id for app in b.core.view().active_apps if app.principal == "zoe")
    b.live(61)
    assert [made.job_id for made in b.core.view().reservations] == [older]
