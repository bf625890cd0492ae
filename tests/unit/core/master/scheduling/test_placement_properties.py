"""The placement functions give exactly what the loops of spec 10 give, written out here as the spec has them."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from stoker.core.master.scheduling.placement import AppNeed, Offer, place_drivers, place_executors
from stoker.core.master.scheduling.queue import DriverQueue
from stoker.core.model.policy import WorkerSelection

# --- the spec's text -------------------------------------------------------------------------------------------------


def spec_drivers(
    waiting: list[tuple[str, int, int]], workers: list[Offer], spread_out: bool, slots: int
) -> list[tuple[str, str]]:
    """Spec 10.1; ``workers`` are shuffled already. Takes from ``workers``."""
    placed: list[tuple[str, str]] = []
    if not spread_out:
        for driver_id, cores, memory in waiting:
            for worker in sorted(workers, key=lambda w: w.worker_id):
                if len(placed) < slots and worker.cores_free >= cores and worker.memory_free >= memory:
                    worker.cores_free -= cores
                    worker.memory_free -= memory
                    placed.append((driver_id, worker.worker_id))
                    break
        return placed
    cursor = 0
    for driver_id, cores, memory in waiting:
        launched = len(placed) >= slots
        visited = 0
        while visited < len(workers) and not launched:
            worker = workers[cursor]
            visited += 1
            if worker.cores_free >= cores and worker.memory_free >= memory:
                worker.cores_free -= cores
                worker.memory_free -= memory
                placed.append((driver_id, worker.worker_id))
                launched = True
            cursor = (cursor + 1) % len(workers)
    return placed


def spec_executors(
    need: AppNeed, workers: list[Offer], spread_out: bool, selection: WorkerSelection
) -> list[tuple[str, int]]:
    """Spec 10.2 for one application, and ``allocate``. Takes from ``workers``."""
    least = need.cores_per_executor or 1
    if need.cores_left < least:
        return []
    usable = [w for w in workers if w.memory_free >= need.memory_mib and w.cores_free >= least]
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
                worker.cores_free -= each
                worker.memory_free -= need.memory_mib
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
        enough_memory = usable[i].memory_free - executors[i] * need.memory_mib >= need.memory_mib
        return enough_memory and sum(executors) + need.executors < need.executor_limit

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
OFFERS = st.lists(st.tuples(CORES, MEMORY), max_size=8)
# Few shapes and many drivers is the case the lanes are made for; also shapes that dominate each other.
DEMANDS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=40)


def offers_of(sizes: list[tuple[int, int]]) -> list[Offer]:
    return [Offer(f"w{index}", cores, memory) for index, (cores, memory) in enumerate(sizes)]


@settings(max_examples=500, deadline=None)
@given(
    sizes=OFFERS,
    demands=DEMANDS,
    removed=st.sets(st.integers(0, 39)),
    spread_out=st.booleans(),
    slots=st.integers(0, 30),
    seed=st.integers(0, 1000),
)
@example(sizes=[(1, 1)], demands=[(2, 2), (1, 1)], removed=set(), spread_out=True, slots=9, seed=0)
def test_drivers_are_placed_as_the_spec_has_it(
    sizes: list[tuple[int, int]],
    demands: list[tuple[int, int]],
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
    for index, (cores, memory) in enumerate(demands):
        queue.push(f"d{index}", cores, memory)
        waiting.append((f"d{index}", cores, memory))
    for index in removed:
        queue.remove(f"d{index}")
    waiting = [driver for driver in waiting if int(driver[0][1:]) not in removed]
    offers, reference = offers_of(sizes), offers_of(sizes)
    shuffle(reference)

    placed = place_drivers(queue, offers, spread_out=spread_out, slots=slots, shuffle=shuffle)

    assert placed == spec_drivers(waiting, reference, spread_out, slots)
    assert sorted(offers, key=lambda o: o.worker_id) == sorted(reference, key=lambda o: o.worker_id)
    gone = {driver_id for driver_id, _ in placed}
    assert list(queue) == [driver_id for driver_id, _, _ in waiting if driver_id not in gone]


@settings(max_examples=1000, deadline=None)
@given(
    sizes=OFFERS,
    cores_left=st.integers(0, 60),
    each=st.none() | st.integers(1, 5),
    memory=MEMORY,
    executors=st.integers(0, 4),
    limit=st.integers(0, 20),
    spread_out=st.booleans(),
    selection=st.sampled_from(
        ["CORES_FREE_DESC", "CORES_FREE_ASC", "MEMORY_FREE_DESC", "MEMORY_FREE_ASC", "WORKER_ID"]
    ),
)
def test_executors_are_placed_as_the_spec_has_it(
    sizes: list[tuple[int, int]],
    cores_left: int,
    each: int | None,
    memory: int,
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
    )
    offers, reference = offers_of(sizes), offers_of(sizes)
    placed = place_executors(need, offers, spread_out=spread_out, selection=selection)
    assert placed == spec_executors(need, reference, spread_out, selection)
    assert offers == reference


@settings(max_examples=200, deadline=None)
@given(sizes=OFFERS, demands=DEMANDS, cores_left=st.integers(0, 60), each=st.none() | st.integers(1, 5))
def test_no_worker_gives_more_than_it_has(
    sizes: list[tuple[int, int]], demands: list[tuple[int, int]], cores_left: int, each: int | None
) -> None:
    """A pass as the master makes it: drivers, then an application, on the same offers."""
    queue = DriverQueue()
    for index, (cores, memory) in enumerate(demands):
        queue.push(f"d{index}", cores, memory)
    offers = offers_of(sizes)
    before = copy.deepcopy(offers)
    drivers = place_drivers(queue, offers, spread_out=True, slots=100, shuffle=random.Random(1).shuffle)
    need = AppNeed(cores_left=cores_left, cores_per_executor=each, memory_mib=1, executors=0, executor_limit=100)
    executors = place_executors(need, offers, spread_out=True, selection="CORES_FREE_DESC")
    for offer, full in zip(offers, before, strict=True):
        mine = [demands[int(d[1:])] for d, w in drivers if w == offer.worker_id]
        granted = [cores for w, cores in executors if w == offer.worker_id]
        assert offer.cores_free == full.cores_free - sum(cores for cores, _ in mine) - sum(granted) >= 0
        assert offer.memory_free == full.memory_free - sum(memory for _, memory in mine) - len(granted) >= 0
    assert sum(cores for _, cores in executors) <= cores_left
