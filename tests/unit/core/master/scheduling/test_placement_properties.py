"""The placement functions give exactly what the loops of spec 10 give, written out here as the spec has them."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from stoker.core.master.scheduling.placement import AppNeed, Offer, place_drivers, place_executors
from stoker.core.master.scheduling.queue import Demand, DriverQueue, Lane
from stoker.core.model.policy import WorkerSelection
from stoker.core.model.resources import Amounts

# --- the spec's text -------------------------------------------------------------------------------------------------


def spec_drivers(
    waiting: list[tuple[str, int, int, int]], workers: list[Offer], spread_out: bool, slots: int
) -> list[tuple[str, str]]:
    """Spec 10.1; ``workers`` are shuffled already. Takes from ``workers``."""
    placed: list[tuple[str, str]] = []
    if not spread_out:
        for driver_id, cores, memory, gpus in waiting:
            for worker in sorted(workers, key=lambda w: w.worker_id):
                if len(placed) < slots and _has(worker, cores, memory, gpus):
                    _take(worker, cores, memory, gpus)
                    placed.append((driver_id, worker.worker_id))
                    break
        return placed
    cursor = 0
    for driver_id, cores, memory, gpus in waiting:
        launched = len(placed) >= slots
        visited = 0
        while visited < len(workers) and not launched:
            worker = workers[cursor]
            visited += 1
            if _has(worker, cores, memory, gpus):
                _take(worker, cores, memory, gpus)
                placed.append((driver_id, worker.worker_id))
                launched = True
            cursor = (cursor + 1) % len(workers)
    return placed


def _has(worker: Offer, cores: int, memory: int, gpus: int) -> bool:
    return worker.cores_free >= cores and worker.memory_free >= memory and worker.resources_free["gpu"] >= gpus


def _take(worker: Offer, cores: int, memory: int, gpus: int) -> None:
    worker.cores_free -= cores
    worker.memory_free -= memory
    worker.resources_free["gpu"] -= gpus


def spec_executors(
    need: AppNeed, workers: list[Offer], spread_out: bool, selection: WorkerSelection
) -> list[tuple[str, int]]:
    """Spec 10.2 for one application, and ``allocate``. Takes from ``workers``."""
    least = need.cores_per_executor or 1
    if need.cores_left < least:
        return []
    gpus = dict(need.resources).get("gpu", 0)
    usable = [w for w in workers if _has(w, least, need.memory_mib, gpus)]
    by_cores: Callable[[Offer], Any] = lambda w: (w.cores_free, w.worker_id)  # noqa: E731
    by_memory: Callable[[Offer], Any] = lambda w: (w.memory_free, w.worker_id)  # noqa: E731
    if selection == "WORKER_ID":
        usable.sort(key=lambda w: w.worker_id)
    else:
        usable.sort(key=by_cores if selection.startswith("CORES") else by_memory)
        if selection.endswith("DESC"):
            usable.reverse()
    placed: list[tuple[str, int]] = []
    for worker, cores in zip(usable, spec_assign(need, usable, spread_out), strict=True):
        if cores > 0:
            each = need.cores_per_executor or cores
            for _ in range(cores // each):
                placed.append((worker.worker_id, each))
                _take(worker, each, need.memory_mib, gpus)
    return placed


def spec_assign(need: AppNeed, usable: list[Offer], spread_out: bool) -> list[int]:
    """Spec 10.3, scheduleExecutorsOnWorkers."""
    least = need.cores_per_executor or 1
    one_executor_per_worker = need.cores_per_executor is None
    to_assign = min(need.cores_left, sum(w.cores_free for w in usable))
    cores = [0] * len(usable)
    executors = [0] * len(usable)

    def can(i: int) -> bool:
        if to_assign < least or usable[i].cores_free - cores[i] < least:
            return False
        if one_executor_per_worker and executors[i] > 0:
            return True
        gpus = dict(need.resources).get("gpu", 0)
        enough_memory = usable[i].memory_free - executors[i] * need.memory_mib >= need.memory_mib
        enough_gpus = usable[i].resources_free["gpu"] - executors[i] * gpus >= gpus
        return enough_memory and enough_gpus and sum(executors) + need.executors < need.executor_limit

    free = [i for i in range(len(usable)) if can(i)]
    while free:
        for i in free:
            keep = True
            while keep and can(i):
                to_assign -= least
                cores[i] += least
                executors[i] = 1 if one_executor_per_worker else executors[i] + 1
                if spread_out:
                    keep = False
        free = [i for i in free if can(i)]
    return cores


# --- what is compared ------------------------------------------------------------------------------------------------

CORES = st.integers(0, 9)
MEMORY = st.integers(0, 9)
GPUS = st.integers(0, 3)
OFFERS = st.lists(st.tuples(CORES, MEMORY, GPUS), max_size=8)
# Few shapes and many drivers is the case the lanes are made for; also shapes that dominate each other.
DEMANDS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 2)), max_size=40)
Size = tuple[int, int, int]  # cores, memory, GPUs


def offers_of(sizes: list[Size]) -> list[Offer]:
    return [Offer(f"w{index}", cores, memory, {"gpu": gpus}) for index, (cores, memory, gpus) in enumerate(sizes)]


def wanted(gpus: int) -> Amounts:
    return (("gpu", gpus),) if gpus else ()


@settings(max_examples=500, deadline=None)
@given(
    sizes=OFFERS,
    demands=DEMANDS,
    removed=st.sets(st.integers(0, 39)),
    spread_out=st.booleans(),
    slots=st.integers(0, 30),
    seed=st.integers(0, 1000),
)
@example(sizes=[(1, 1, 1)], demands=[(2, 2, 0), (1, 1, 0)], removed=set(), spread_out=True, slots=9, seed=0)
def test_drivers_are_placed_as_the_spec_has_it(
    sizes: list[Size],
    demands: list[Size],
    removed: set[int],
    spread_out: bool,
    slots: int,
    seed: int,
) -> None:
    rank = list(range(len(sizes)))
    random.Random(seed).shuffle(rank)

    def shuffle(items: list[Any]) -> None:
        """One order of all workers, whichever of them are asked for: hopeless workers may be left out before."""
        items.sort(key=lambda offer: rank[int(offer.worker_id[1:])])

    queue = DriverQueue()
    waiting = []
    for index, (cores, memory, gpus) in enumerate(demands):
        queue.push(f"d{index}", Lane(Demand(cores, memory, wanted(gpus))))
        waiting.append((f"d{index}", cores, memory, gpus))
    for index in removed:
        queue.remove(f"d{index}")
    waiting = [driver for driver in waiting if int(driver[0][1:]) not in removed]
    offers, reference = offers_of(sizes), offers_of(sizes)
    shuffle(reference)

    placed = place_drivers(queue, offers, spread_out=spread_out, slots=slots, shuffle=shuffle)

    assert placed == spec_drivers(waiting, reference, spread_out, slots)
    assert sorted(offers, key=lambda o: o.worker_id) == sorted(reference, key=lambda o: o.worker_id)
    gone = {driver_id for driver_id, _ in placed}
    assert list(queue) == [driver_id for driver_id, *_ in waiting if driver_id not in gone]


@settings(max_examples=1000, deadline=None)
@given(
    sizes=OFFERS,
    cores_left=st.integers(0, 60),
    each=st.none() | st.integers(1, 5),
    memory=MEMORY,
    gpus=st.integers(0, 2),
    executors=st.integers(0, 4),
    limit=st.integers(0, 20),
    spread_out=st.booleans(),
    selection=st.sampled_from(
        ["CORES_FREE_DESC", "CORES_FREE_ASC", "MEMORY_FREE_DESC", "MEMORY_FREE_ASC", "WORKER_ID"]
    ),
)
def test_executors_are_placed_as_the_spec_has_it(
    sizes: list[Size],
    cores_left: int,
    each: int | None,
    memory: int,
    gpus: int,
    executors: int,
    limit: int,
    spread_out: bool,
    selection: WorkerSelection,
) -> None:
    need = AppNeed(
        cores_left=cores_left,
        cores_per_executor=each,
        memory_mib=memory,
        executors=executors,
        executor_limit=limit,
        resources=wanted(gpus),
    )
    offers, reference = offers_of(sizes), offers_of(sizes)
    placed = place_executors(need, offers, spread_out=spread_out, selection=selection)
    assert placed == spec_executors(need, reference, spread_out, selection)
    assert offers == reference


@settings(max_examples=200, deadline=None)
@given(sizes=OFFERS, demands=DEMANDS, cores_left=st.integers(0, 60), each=st.none() | st.integers(1, 5))
def test_no_worker_gives_more_than_it_has(
    sizes: list[Size], demands: list[Size], cores_left: int, each: int | None
) -> None:
    """A pass as the master makes it: drivers, then an application, on the same offers."""
    queue = DriverQueue()
    for index, (cores, memory, gpus) in enumerate(demands):
        queue.push(f"d{index}", Lane(Demand(cores, memory, wanted(gpus))))
    offers = offers_of(sizes)
    before = copy.deepcopy(offers)
    drivers = place_drivers(queue, offers, spread_out=True, slots=100, shuffle=random.Random(1).shuffle)
    need = AppNeed(cores_left=cores_left, cores_per_executor=each, memory_mib=1, executors=0, executor_limit=100)
    executors = place_executors(need, offers, spread_out=True, selection="CORES_FREE_DESC")
    for offer, full in zip(offers, before, strict=True):
        mine = [demands[int(d[1:])] for d, w in drivers if w == offer.worker_id]
        granted = [cores for w, cores in executors if w == offer.worker_id]
        assert offer.cores_free == full.cores_free - sum(cores for cores, *_ in mine) - sum(granted) >= 0
        assert offer.resources_free["gpu"] == full.resources_free["gpu"] - sum(gpus for *_, gpus in mine) >= 0
        assert offer.memory_free == full.memory_free - sum(memory for _, memory, _ in mine) - len(granted) >= 0
    assert sum(cores for _, cores in executors) <= cores_left
