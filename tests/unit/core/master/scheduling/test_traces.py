"""Seeded traces: one pool without limits decides as no pools do, and a dry run answers what a submission gets."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from stoker.core.model.messages import (
    DriverStateChanged,
    DryRun,
    DryRunResult,
    Failed,
    LaunchDriver,
    LaunchExecutor,
    SubmitDriver,
)
from stoker.core.model.pools import Pool, Pools, Quota
from stoker.core.model.states import DriverState
from tests.support.core import Bench, application, driver

ONE_POOL = Pools(pools={"default": Pool(name="default", policy="fifo")}, is_configured=True, reserve_after=-1.0)
FAIR_POOL = Pools(pools={"default": Pool(name="default")}, is_configured=True, reserve_after=-1.0)
SHARED = Pools(
    pools={
        "default": Pool(name="default", most_per_user=Quota(cores=6, queued=4)),
        "etl": Pool(name="etl", weight=2, most=Quota(cores=7, drivers=3), max_driver_share=0.5, max_priority=3),
    },
    is_configured=True,
)
RESERVED = msgspec.structs.replace(SHARED, reserve_after=2.0, reserved_share=1.0)


class Trace:
    """A cluster in which random things happen. ``placed``: (peer, job, cores) of each launch, in order."""

    def __init__(self, pools: Pools, seed: int, *, users: int = 3, apps: bool = True) -> None:
        self.bench = Bench(pools=pools, seed=seed)
        self.random = random.Random(seed)
        self.placed: list[tuple[str, str, int]] = []
        self._running: list[tuple[str, LaunchDriver]] = []
        self._users, self._apps, self._tokens = users, apps, 0
        for number in range(1, 4):
            self.bench.worker(f"w{number}", cores=self.random.randint(2, 8), memory=self.random.choice((2048, 8192)))

    def step(self) -> None:
        dice = self.random.random()
        if dice < 0.45:
            self.submit(self.job(), f"k{self.random.randrange(self._users)}")
        elif dice < 0.5 and self._apps:
            self._tokens += 1
            self.bench.application(
                f"c{self._tokens}", cores_per_executor=self.random.choice((None, 1, 2)),
                max_cores=self.random.randint(1, 4), memory_mib=512,
            )  # fmt: skip
        elif dice < 0.9 and self._running:
            peer, launch = self._running.pop(self.random.randrange(len(self._running)))
            self.end(peer, launch)
        else:
            self.bench.live(self.random.choice((1.0, 7.0)))
        self.note()

    def job(self) -> dict[str, Any]:
        return {
            "cores": self.random.randint(0, 5),
            "memory_mib": self.random.choice((256, 1024, 3000)),
            "time_limit": self.random.choice((0.0, 0.0, 5.0, 60.0)),
            "pool": self.random.choice(list(self.bench.pools.pools)) if len(self.bench.pools.pools) > 1 else "",
        }

    def submit(self, job: dict[str, Any], key: str) -> None:
        self._tokens += 1
        self.bench.send("c0", SubmitDriver(request=1, token=f"s{self._tokens}", driver=driver(**job)), key=key)

    def end(self, peer: str, launch: LaunchDriver) -> None:
        worker_id = self.bench.core.ctx.books.worker_of_peer[peer.encode()]
        ended = DriverStateChanged(
            worker_id=worker_id, driver_id=launch.driver_id, attempt=launch.attempt, state=DriverState.FINISHED
        )
        self.bench.send(peer, ended)

    def note(self) -> None:
        for number in range(1, 4):
            peer = f"w{number}"
            for launch in self.bench.take_all(peer, LaunchDriver):
                self._running.append((peer, launch))
                self.placed.append((peer, launch.driver_id, launch.driver.cores))
            for given in self.bench.take_all(peer, LaunchExecutor):
                self.placed.append((peer, f"{given.app_id}/{given.executor_id}", given.cores))


def _drawn(bench: Bench) -> object:
    """The state of the core's random numbers: a dry run draws none."""
    rng = bench.core.ctx.rng
    assert isinstance(rng, random.Random)
    return rng.getstate()


@pytest.mark.parametrize("seed", range(20))
def test_one_pool_without_limits_decides_as_no_pools_do(seed: int) -> None:
    traces = [Trace(Pools(), seed), Trace(ONE_POOL, seed)]
    for _ in range(60):
        for trace in traces:
            trace.step()
        assert traces[0].placed == traces[1].placed
    assert len(traces[0].placed) > 10


@pytest.mark.parametrize("seed", range(10))
def test_nor_does_a_fair_pool_of_one_user_change_the_order_of_drivers(seed: int) -> None:
    traces = [Trace(pools, seed, users=1, apps=False) for pools in (Pools(), FAIR_POOL)]
    for _ in range(60):
        for trace in traces:
            trace.step()
        assert traces[0].placed == traces[1].placed


@pytest.mark.parametrize("pools", [Pools(), SHARED, RESERVED], ids=["no pools", "pools", "reservations"])
@pytest.mark.parametrize("seed", range(20))
def test_a_dry_run_answers_what_submitting_right_after_it_does(seed: int, pools: Pools) -> None:
    trace = Trace(pools, seed)
    bench, seen = trace.bench, set()
    for _ in range(50):
        trace.step()
        wanted, key = trace.job(), f"k{trace.random.randrange(3)}"
        bench.inbox.clear()
        before, log, store = _drawn(bench), list(bench.log), dict(bench.store)
        bench.send("c0", DryRun(request=1, driver=driver(**wanted)), key=key)
        (answer,) = bench.inbox.pop("c0")
        assert not any(bench.inbox.values()), "nothing is launched"
        assert (_drawn(bench), bench.log, bench.store) == (before, log, store), "nothing is recorded"
        known = len(bench.core.ctx.books.drivers)
        trace.submit(wanted, key)
        got = bench.inbox["c0"][0]
        if isinstance(answer, Failed):
            assert got == answer
            seen.add("refused")
            continue
        newest = next(reversed(bench.core.ctx.books.drivers))
        launched = [message for number in range(1, 4) for message in bench.inbox.get(f"w{number}", ())
                    if isinstance(message, LaunchDriver) and message.driver_id == newest]  # fmt: skip
        assert len(bench.core.ctx.books.drivers) == known + 1
        assert isinstance(answer, DryRunResult)
        assert (answer.verdict == "now") is bool(launched), (wanted, answer)
        assert bool(answer.refusals) is not bool(launched)
        seen.add(answer.verdict)
        trace.note()
    assert {"now", "wait"} <= seen


def test_a_dry_run_of_a_driver_that_is_to_start_after_another() -> None:
    bench = Bench()
    bench.worker("w1", cores=4, memory=4096)
    parent = bench.submit()

    def asked(**wanted: Any) -> Any:
        bench.inbox.pop("c1", None)
        bench.send("c1", DryRun(request=1, driver=driver(**wanted)))
        return bench.inbox["c1"][0]

    assert asked().verdict == "now"
    waits = asked(after=(parent,))
    assert waits.verdict == "wait" and parent in waits.refusals[0]
    assert asked(hold=True).verdict == "wait"
    assert "there is no driver" in asked(after=("driver-20270101000000-9999",)).reason
    (launch,) = bench.take_all("w1", LaunchDriver)
    bench.driver_is("w1", launch, DriverState.FINISHED)
    assert asked(after=(parent,)).verdict == "now"
    never = asked(after=(parent,), after_end="failed")
    assert never.verdict == "never" and "was to start only if that fails" in never.refusals[0]
    assert bench.core.ctx.books.waited_for == {}


def test_a_dry_run_of_an_application() -> None:
    bench = Bench(pools=SHARED)
    bench.worker("w1", cores=4, memory=4096)

    def asked(**wanted: Any) -> DryRunResult:
        bench.send("c1", DryRun(request=1, app=application(pool="default", **wanted)))
        return bench.take("c1", DryRunResult)

    assert asked(memory_mib=512).verdict == "now"
    never = asked(memory_mib=512, cores_per_executor=9)
    assert (never.verdict, never.needs) == ("never", "9 cores, 512 MiB on one worker for an executor")
    bench.application("c2", memory_mib=512, pool="default")
    waits = asked(memory_mib=512)
    assert (waits.verdict, waits.refusals) == ("wait", ("1 worker: too few free cores",))
    assert len(bench.core.ctx.books.apps) == 1
