"""Order and limits of pools, on a master's core."""

from __future__ import annotations

from typing import Any

import pytest

from stoker.core.master.scheduling.explanation import explain
from stoker.core.master.scheduling.queue import Demand, Lane
from stoker.core.master.sharing.reserving import turns_of
from stoker.core.model.messages import (
    Accepted,
    Failed,
    GetStatus,
    KillJob,
    LaunchDriver,
    LaunchExecutor,
    RegisterApplication,
    Status,
    SubmitDriver,
)
from stoker.core.model.pools import Pool, Pools, Quota
from stoker.core.model.records import UsageRecord, usage_key
from stoker.core.model.states import DriverState, Role
from stoker.core.model.values import Command
from stoker.core.model.views import ClusterView
from stoker.recovery.records import decode_record
from tests.support.core import Bench, application, driver


def bench(*pools: Pool, half_life: float = 3600.0, **more: Any) -> Bench:
    return Bench(pools=pools_of(*pools, half_life=half_life), **more)


def pools_of(*pools: Pool, half_life: float = 3600.0) -> Pools:
    return Pools(pools={pool.name: pool for pool in pools}, half_life=half_life, is_configured=True)


def configured(bench: Bench, *pools: Pool) -> None:
    """The file has changed."""
    bench.pools = pools_of(*pools)
    bench.core.pools_are(bench.pools, bench.now)


def submit(bench: Bench, pool: str, *, by: str = "ada", priority: int | None = None, cores: int = 1) -> str:
    known = set(bench.core.ctx.books.drivers)
    token = f"t{bench.core.ctx.books.counters.drivers}"
    described = driver(cores=cores, pool=pool, priority=priority)
    bench.send("c1", SubmitDriver(request=1, token=token, driver=described), key=by)
    (found,) = set(bench.core.ctx.books.drivers) - known
    return found


def refusal(bench: Bench, *, by: str = "ada", role: Role = Role.CLIENT, **more: Any) -> str:
    bench.inbox.clear()
    bench.send("c1", SubmitDriver(request=1, token="refused", driver=driver(**more)), key=by, role=role)
    return bench.take("c1", Failed).reason


def launched(bench: Bench, peer: str = "w1") -> list[str]:
    return [message.driver_id for message in bench.take_all(peer, LaunchDriver)]


def test_pools_get_parts_by_their_weight() -> None:
    b = bench(Pool(name="a", weight=3), Pool(name="b"))
    of = {submit(b, name): name for name in "aabbaabbaabb"}
    b.worker("w1", cores=8, memory=99999)
    assert [of[one] for one in launched(b)].count("a") == 6
    assert [of[one] for one in launched(b)] == []


def test_principals_share_a_fair_pool_and_queue_in_a_fifo_pool() -> None:
    for policy, expected in (("fair", ["ada", "bob", "ada", "bob"]), ("fifo", ["ada"] * 4)):
        b = bench(Pool(name="p", policy=policy))  # type: ignore[arg-type]
        of = {submit(b, "p", by=by): by for by in ["ada"] * 4 + ["bob"] * 4}
        b.worker("w1", cores=4, memory=99999)
        assert [of[one] for one in launched(b)] == expected


def test_a_pool_below_its_min_share_goes_first() -> None:
    b = bench(Pool(name="a", weight=1000), Pool(name="b", min_share=Quota(cores=2)))
    of = {submit(b, name): name for name in "aaaabbbb"}
    b.worker("w1", cores=4, memory=99999)
    assert [of[one] for one in launched(b)] == ["b", "b", "a", "a"]


def test_priority_decides_within_a_principal() -> None:
    b = bench(Pool(name="p", max_priority=5))
    low, high = submit(b, "p", priority=-1), submit(b, "p", priority=5)
    middle, later = submit(b, "p"), submit(b, "p")
    b.worker("w1", cores=8, memory=99999)
    assert launched(b) == [high, middle, later, low]


@pytest.mark.parametrize(
    ("limits", "count", "why"),
    [
        ({"most": Quota(cores=3)}, 3, "pool p has 3 of at most 3 cores"),
        ({"most": Quota(memory_mib=2048)}, 2, "pool p has 2048 of at most 2048 MiB"),
        ({"most": Quota(drivers=1)}, 1, "pool p has 1 of at most 1 running drivers"),
        ({"most_per_user": Quota(cores=2)}, 2, "ada in pool p has 2 of at most 2 cores"),
        ({"max_driver_share": 0.5}, 4, "drivers of pool p hold 4 cores of at most 4"),
        ({"most": Quota(cores=0)}, 0, "pool p has 0 of at most 0 cores"),
    ],
)
def test_limits_hold_and_say_so(limits: Any, count: int, why: str) -> None:
    b = bench(Pool(name="p", **limits))
    b.worker("w1", cores=8, memory=99999)
    first, *_ = [submit(b, "p") for _ in range(6)]
    assert len(b.take_all("w1", LaunchDriver)) == count
    assert why in turns_of(b.core.ctx).refusal("p", "ada", 1, 1024, is_driver=True)
    if count:  # one ends, the next one starts
        b.send("c1", KillJob(request=1, id=first), key="ada")
        configured(b, Pool(name="p"))
        b.wait(1)
        assert len(b.take_all("w1", LaunchDriver)) == 6 - count


def test_executors_are_dealt_in_turns() -> None:
    b = bench(Pool(name="p"), Pool(name="q", weight=2))
    apps = {}
    for peer, pool in (("c1", "p"), ("c2", "p"), ("c3", "q")):
        apps[b.application(peer, pool=pool, cores_per_executor=1, memory_mib=1)] = peer
    b.worker("w1", cores=8, memory=99999)
    got = [apps[message.app_id] for message in b.take_all("w1", LaunchExecutor)]
    assert [got.count(peer) for peer in ("c1", "c2", "c3")] == [2, 1, 5]


def test_an_application_keeps_to_its_pool() -> None:
    b = bench(Pool(name="p", most=Quota(cores=3)))
    b.worker("w1", cores=8, memory=99999)
    b.application("c1", pool="p", memory_mib=1)
    assert sum(message.cores for message in b.take_all("w1", LaunchExecutor)) == 3


def test_an_unmodified_application_says_its_pool_by_its_executors() -> None:
    b = bench(Pool(name="etl"))
    command = Command(argv=("x",), env={"STOKER_POOL": "etl"})
    app_id = b.application("c1", command=command)
    assert b.core.ctx.books.apps[app_id].pool == "etl"
    refused = RegisterApplication(request=2, token="n", app=application(command=Command(argv=("x",))))
    b.send("c2", refused)
    assert "name a pool, with --pool" in b.take("c2", Failed).reason


def test_what_is_refused() -> None:
    b = bench(Pool(name="etl", users=("ada",), max_priority=3), Pool(name="lab", most_per_user=Quota(queued=1)))
    assert refusal(b, pool="elt") == "there is no pool elt: did you mean etl?"
    assert refusal(b, pool="x") == "there is no pool x: use one of etl, lab"
    assert refusal(b) == "name a pool, with --pool or spark.stoker.pool: this cluster has etl, lab"
    assert refusal(b, pool="etl", by="bob") == "bob may not submit to pool etl: use one of lab"
    assert refusal(b, pool="etl", priority=4) == "priority 4 is higher than pool etl permits: the highest is 3"
    submit(b, "lab")
    assert "1 drivers of ada wait in pool lab already" in refusal(b, pool="lab")
    assert submit(b, "etl", by="ada")
    assert refusal(b, conf={"spark.yarn.queue": "no"}) == "there is no pool no: use one of etl, lab"


def test_a_pool_gives_a_time_limit_and_the_longest_one() -> None:
    b = bench(Pool(name="p", default_time_limit=60.0, max_time_limit=7200.0), Pool(name="free"))
    limits = [b.core.ctx.books.drivers[submit(b, pool)].record.description.time_limit for pool in ("p", "free")]
    assert limits == [60.0, 0.0]
    too_long = "a time limit of 3 h is longer than pool p permits: the longest is 2 h"
    assert refusal(b, pool="p", time_limit=10800.0) == too_long
    b.submit(pool="p", time_limit=7200.0)
    app_id = b.application("c1", pool="p")
    assert b.core.ctx.books.apps[app_id].record.description.time_limit == 60.0
    b.send("c2", RegisterApplication(request=2, token="n", app=application(pool="p", time_limit=10800.0)))
    assert b.take("c2", Failed).reason == too_long


def test_a_pool_gives_a_disk_limit_and_the_highest_one() -> None:
    b = bench(
        Pool(name="p", default_disk_mib=1024, max_disk_mib=20480), Pool(name="free"), Pool(name="q", max_disk_mib=9)
    )
    ids = [submit(b, pool) for pool in ("p", "free")]
    assert [b.core.ctx.books.drivers[one].record.description.max_disk_mib for one in ids] == [1024, 0]
    too_large = "a disk limit of 30 GiB is more than pool p permits: the highest is 20 GiB"
    assert refusal(b, pool="p", max_disk_mib=30720) == too_large
    assert refusal(b, pool="q") == "no disk limit is more than pool q permits: the highest is 9 MiB"
    b.submit(pool="p", max_disk_mib=20480)
    app_id = b.application("c1", pool="p")
    assert b.core.ctx.books.apps[app_id].record.description.max_disk_mib == 1024
    b.send("c2", RegisterApplication(request=2, token="n", app=application(pool="p", max_disk_mib=30720)))
    assert b.take("c2", Failed).reason == too_large


def test_without_pools_a_pool_is_unknown_and_a_queue_is_ignored() -> None:
    b = Bench()
    assert "this cluster has no pools" in refusal(b, pool="etl")
    assert "priority 1 is higher than a cluster without pools permits" in refusal(b, priority=1)
    b.submit(conf={"spark.yarn.queue": "etl"})
    b.submit(pool="default")


def test_an_operator_may_kill_what_is_in_the_pool() -> None:
    b = bench(Pool(name="p", operators=("grace",)), Pool(name="q"))
    mine, other = submit(b, "p"), submit(b, "q")
    b.inbox.clear()
    b.send("c2", KillJob(request=1, id=mine), key="grace")
    b.send("c2", KillJob(request=2, id=other), key="grace")
    b.take("c2", Accepted)
    assert b.take("c2", Failed).code == "not-authorized"


def test_past_use_counts_half_after_a_half_life_and_survives_the_master() -> None:
    b = bench(Pool(name="p"), half_life=1000.0)
    b.worker("w1", cores=8, memory=99999)
    ended = submit(b, "p", cores=4)
    b.driver_is("w1", b.take_all("w1", LaunchDriver)[0], DriverState.RUNNING)
    b.live(1000.0)
    ours = ("p", "ada")
    before = b.core.ctx.books.accounts.past(b.core.ctx.books.accounts.of(ours))[0]
    assert before == pytest.approx(4 * 1000.0 * 1000 / 0.693147 / 2, rel=1e-6)  # half of what it tends to
    b.restart(keep=True)  # the job was running all the time since the last record
    accounts = b.core.ctx.books.accounts
    assert accounts.past(accounts.of(ours))[0] == pytest.approx(before, rel=1e-6)
    b.live(70.0)
    b.send("c1", KillJob(request=1, id=ended), key="ada")
    b.wait(0.1)
    assert usage_key(*ours) in b.store
    assert decode_record(usage_key(*ours), b.store[usage_key(*ours)]).cores >= before  # type: ignore[attr-defined]


def test_the_file_is_read_while_drivers_wait() -> None:
    b = Bench()
    waiting = b.submit(cores=2)
    configured(b, Pool(name="default", most=Quota(cores=1)))
    b.worker("w1", cores=8, memory=99999)
    assert launched(b) == []
    configured(b, Pool(name="default", most=Quota(cores=2)))
    b.wait(0.1)
    assert launched(b) == [waiting]
    assert b.core.ctx.books.drivers[waiting].lane == Lane(Demand(2, 1024), "default", "k1", 0)


def test_status_names_the_fault_of_the_file() -> None:
    b = Bench()
    for fault, warnings in (("pools.yml: wrong", ("pools.yml: wrong",)), ("", ())):
        b.core.pools_are(b.pools, b.now, fault)
        b.send("c1", GetStatus(request=1), key="ada")
        cluster = b.take("c1", Status).cluster
        assert cluster is not None and cluster.warnings == warnings


GPUS = (("gpu", ("0", "1", "2", "3")),)


def with_gpus(b: Bench, pool: str, amount: int, *, by: str = "ada") -> str:
    """Submit a driver that needs GPUs; return its id."""
    known = set(b.core.ctx.books.drivers)
    described = driver(cores=1, pool=pool, resources=(("gpu", amount),))
    b.send("c1", SubmitDriver(request=1, token=f"g{len(known)}", driver=described), key=by)
    (found,) = set(b.core.ctx.books.drivers) - known
    return found


def cluster_of(b: Bench) -> ClusterView:
    b.send("c1", GetStatus(request=9))
    cluster = b.take_all("c1", Status)[-1].cluster
    assert cluster is not None
    return cluster


def test_gpus_of_a_pool_and_of_each_user_are_limited() -> None:
    b = bench(
        Pool(
            name="p",
            most=Quota(resources=(("gpu", 3),)),
            most_per_user=Quota(resources=(("gpu", 2),)),
        ),
        Pool(name="none", most=Quota(resources=(("gpu", 0),))),
    )
    jobs = [with_gpus(b, "p", 2), with_gpus(b, "p", 1), with_gpus(b, "p", 2, by="bob"), with_gpus(b, "p", 1, by="bob")]
    barred = with_gpus(b, "none", 1)
    b.worker("w1", cores=16, memory=99999, resources=GPUS)
    assert launched(b) == [jobs[0], jobs[3]]
    for waiting, words in (
        (jobs[1], "ada in pool p has 2 of at most 2 gpu"),
        (jobs[2], "pool p has 3 of at most 3 gpu"),
        (barred, "pool none has 0 of at most 0 gpu"),
    ):
        cluster = cluster_of(b)
        (view,) = (job for job in cluster.active_drivers if job.id == waiting)
        assert words in explain(cluster, view).refusals


def test_a_limit_of_gpus_holds_for_executors() -> None:
    b = bench(Pool(name="p", most=Quota(resources=(("gpu", 3),))))
    b.application("c1", pool="p", cores_per_executor=1, resources=(("gpu", 1),))
    b.worker("w1", cores=16, memory=99999, resources=GPUS)
    assert len(b.take_all("w1", LaunchExecutor)) == 3
    assert b.core.ctx.books.accounts.of_pool("p").resources == (("gpu", 3),)


def test_a_pool_below_its_share_of_gpus_goes_first() -> None:
    b = bench(Pool(name="a", weight=100), Pool(name="b", min_share=Quota(resources=(("gpu", 1),))))
    jobs = [with_gpus(b, name, 2) for name in "aaab"]
    b.worker("w1", cores=16, memory=99999, resources=GPUS)
    assert launched(b) == [jobs[3], jobs[0]]


def test_gpus_count_as_the_part_of_a_pool() -> None:
    b = bench(Pool(name="a"), Pool(name="b"))
    b.worker("w1", cores=100, memory=99999, resources=GPUS)
    held = [with_gpus(b, "a", 2), with_gpus(b, "a", 2), submit(b, "b", cores=30)]
    orders = b.take_all("w1", LaunchDriver)
    assert [order.driver_id for order in orders] == held
    pools = {pool.name: pool for pool in cluster_of(b).pools}
    assert (pools["a"].part_now, pools["b"].part_now) == (1.0, 0.3)
    assert pools["a"].resources == (("gpu", 4),) == pools["a"].principals[0].resources
    b.live(2000)
    late, early = submit(b, "a", cores=71), submit(b, "b", cores=71)  # neither fits before a job has ended
    b.send("c1", KillJob(request=5, id=held[2]), key="ada")
    b.driver_is("w1", orders[2], DriverState.KILLED, signal=15)
    assert launched(b) == [early] and late, "all GPUs are more than 30 of 100 cores, now and in the past"


def test_past_use_of_gpus_survives_a_new_master() -> None:
    b = bench(Pool(name="a"), Pool(name="b"))
    b.worker("w1", cores=100, memory=99999, resources=GPUS)
    with_gpus(b, "a", 2)
    b.live(1000)
    b.core.ctx.books.accounts.all_changed()
    submit(b, "b")  # a batch that records
    stored = decode_record(usage_key("a", "ada"), b.store[usage_key("a", "ada")])
    assert isinstance(stored, UsageRecord) and dict(stored.resources)["gpu"] > 0
