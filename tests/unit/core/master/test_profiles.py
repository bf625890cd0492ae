"""Resource profiles of an application: executors of several sizes (core.model.profiles)."""

from __future__ import annotations

from typing import Any

import pytest

from stoker.core.master.show import app_view
from stoker.core.model.messages import Failed, LaunchExecutor, RequestExecutors
from stoker.core.model.pools import Pool, Quota
from stoker.core.model.profiles import MOST_PROFILES, Profile, with_profile
from stoker.core.model.states import ExecutorState
from stoker.core.model.values import Command
from tests.support.core import Bench, application
from tests.unit.core.master.sharing.test_sharing import bench as bench_with_pools

ROOMY = Profile(id=3, executor_limit=2, memory_mib=900, cores_per_executor=2)


def ask(bench: Bench, app_id: str, *profiles: Profile, default: int = 0) -> None:
    bench.send(
        "c1",
        RequestExecutors(request=2, app_id=app_id, executor_limit=default, profiles=profiles),
        key=bench_key(bench),
    )


def bench_key(bench: Bench) -> str:
    return next(iter(bench.core.ctx.books.apps.values())).record.owner


def sizes(bench: Bench) -> list[tuple[int, int, int]]:
    return [(launch.app.profile, launch.cores, launch.memory_mib) for launch in bench.take_all("w1", LaunchExecutor)]


def test_each_profile_gets_executors_of_its_own_size_in_the_order_of_ids(bench: Bench) -> None:
    bench.worker("w1", cores=8, memory=8192)
    app_id = bench.application(cores_per_executor=1, memory_mib=100, executor_limit=1)
    assert sizes(bench) == [(0, 1, 100)]
    later = Profile(id=7, executor_limit=1, memory_mib=50, cores_per_executor=1)
    ask(bench, app_id, later, ROOMY, default=1)
    assert sizes(bench) == [(3, 2, 900), (3, 2, 900), (7, 1, 50)]
    assert [executor.profile for executor in app_view(bench.core.ctx.books.apps[app_id]).executors] == [0, 3, 3, 7]


def test_an_executor_that_ends_is_replaced_by_one_of_its_profile(bench: Bench) -> None:
    bench.worker("w1", cores=8, memory=8192)
    app_id = bench.application(cores_per_executor=1, executor_limit=0)
    ask(bench, app_id, ROOMY)
    first, _ = bench.take_all("w1", LaunchExecutor)
    bench.executor_is("w1", first, ExecutorState.EXITED, code=0)
    assert sizes(bench) == [(3, 2, 900)]
    ask(bench, app_id)  # a profile that is left out wants no more
    bench.wait(1)
    assert sizes(bench) == []


def test_all_profiles_share_the_limit_of_cores(bench: Bench) -> None:
    bench.worker("w1", cores=8, memory=8192)
    app_id = bench.application(cores_per_executor=1, max_cores=3, executor_limit=0)
    ask(bench, app_id, ROOMY, default=5)
    assert sizes(bench) == [(0, 1, 1024)] * 3


def test_with_pools_too_two_profiles_share_the_limits() -> None:
    bench = bench_with_pools(Pool(name="default", most=Quota(cores=5)))
    bench.worker("w1", cores=8, memory=8192)
    app_id = bench.application(cores_per_executor=1, max_cores=6, memory_mib=100, executor_limit=0)
    ask(bench, app_id, ROOMY, default=2)
    assert sizes(bench) == [(0, 1, 100), (0, 1, 100), (3, 2, 900)]


def test_a_profile_that_does_not_fit_does_not_keep_others_waiting(bench: Bench) -> None:
    bench.worker("w1", cores=2, memory=1000)
    app_id = bench.application(cores_per_executor=1, executor_limit=0)
    ask(bench, app_id, Profile(id=1, executor_limit=1, memory_mib=9999), ROOMY)
    assert sizes(bench) == [(3, 2, 900)]


def test_too_many_or_repeated_profiles_are_rejected(bench: Bench) -> None:
    app_id = bench.application(cores_per_executor=1, executor_limit=0)
    for profiles in (
        (ROOMY, ROOMY),
        tuple(Profile(id=n + 1, executor_limit=1, memory_mib=1) for n in range(MOST_PROFILES + 1)),
    ):
        ask(bench, app_id, *profiles)
        assert f"{MOST_PROFILES} resource profiles" in bench.take("c1", Failed).reason


@pytest.mark.parametrize("wrong", [{"id": 0}, {"executor_limit": -1}, {"memory_mib": -1}, {"cores_per_executor": 0}])
def test_an_impossible_profile_is_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Profile(**{"id": 1, "executor_limit": 1, "memory_mib": 1, **wrong})


def test_the_profile_is_in_the_launched_command() -> None:
    command = Command(argv=("java", "--resourceProfileId", "{{RESOURCE_PROFILE_ID}}", "{{CORES}}"))
    app = application(command=command)
    assert with_profile(app, ROOMY).command.argv[2:] == ("3", "{{CORES}}")
    assert with_profile(with_profile(app, ROOMY), None).profile == 0
