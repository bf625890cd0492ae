"""Placement by tables: the acceptance vectors of spec 18, and the spread/consolidate x limits table that every
standalone scheduler is measured by."""

from __future__ import annotations

import random
from typing import Any

import pytest

from stoker.core.master.scheduling.placement import AppNeed, Offer, place_drivers, place_executors
from stoker.core.master.scheduling.queue import Demand, DriverQueue, Lane
from stoker.core.model.policy import WorkerSelection
from stoker.core.model.values import UNLIMITED


def unshuffled(_: list[Any]) -> None:
    """Round robin in the order of the offers, so that a table can say who comes next."""


def offers_of(*sizes: tuple[int, int]) -> list[Offer]:
    return [Offer(f"w{index}", cores, memory) for index, (cores, memory) in enumerate(sizes, start=1)]


def queue_of(*demands: tuple[int, int]) -> DriverQueue:
    queue = DriverQueue()
    for index, (cores, memory) in enumerate(demands, start=1):
        queue.push(f"d{index}", Lane(Demand(cores, memory)))
    return queue


def need(
    cores: int = UNLIMITED,
    each: int | None = None,
    *,
    memory: int = 1024,
    executors: int = 0,
    limit: int = UNLIMITED,
) -> AppNeed:
    return AppNeed(
        cores_left=cores, cores_per_executor=each, memory_mib=memory, executors=executors, executor_limit=limit
    )


def drivers(
    queue: DriverQueue, offers: list[Offer], *, spread_out: bool = True, slots: int = UNLIMITED
) -> list[tuple[str, str]]:
    return place_drivers(queue, offers, spread_out=spread_out, slots=slots, shuffle=unshuffled)


def cores_by_worker(offers: list[Offer], placed: list[tuple[str, int]]) -> list[int]:
    total = {offer.worker_id: 0 for offer in offers}
    for worker_id, cores in placed:
        total[worker_id] += cores
    return list(total.values())


# --- executors: spec 18 --------------------------------------------------------------------------------------


def test_48_cores_in_executors_of_16_are_three_whole_executors() -> None:
    """SPARK-8881: core by core it would be 12 cores on each of 4 workers, and not one executor."""
    offers = offers_of(*[(16, 65536)] * 4)
    placed = place_executors(need(48, 16), offers, spread_out=True, selection="WORKER_ID")
    assert placed == [("w1", 16), ("w2", 16), ("w3", 16)]
    assert [offer.cores_free for offer in offers] == [0, 0, 0, 16]
    assert [offer.memory_free for offer in offers] == [64512, 64512, 64512, 65536]


@pytest.mark.parametrize(("spread_out", "expected"), [(True, [("w1", 2), ("w2", 1), ("w3", 1)]), (False, [("w1", 4)])])
def test_four_cores_on_three_workers_of_four(spread_out: bool, expected: list[tuple[str, int]]) -> None:
    offers = offers_of(*[(4, 4096)] * 3)
    assert place_executors(need(4), offers, spread_out=spread_out, selection="WORKER_ID") == expected


def test_of_two_greedy_applications_the_first_gets_everything() -> None:
    offers = offers_of((4, 4096), (4, 4096))
    assert place_executors(need(), offers, spread_out=True, selection="WORKER_ID") == [("w1", 4), ("w2", 4)]
    assert place_executors(need(), offers, spread_out=True, selection="WORKER_ID") == []
    freed = offers_of((4, 4096), (4, 4096))
    assert place_executors(need(), freed, spread_out=True, selection="WORKER_ID") == [("w1", 4), ("w2", 4)]


def test_an_application_of_two_cores_gets_two() -> None:
    placed = place_executors(need(2), offers_of((4, 4096), (4, 4096)), spread_out=True, selection="WORKER_ID")
    assert placed == [("w1", 1), ("w2", 1)]


@pytest.mark.parametrize("spread_out", [True, False])
def test_what_is_left_over_stays_unused(spread_out: bool) -> None:
    offers = offers_of((10, 65536))
    placed = place_executors(need(each=4), offers, spread_out=spread_out, selection="WORKER_ID")
    assert placed == [("w1", 4), ("w1", 4)]
    assert offers[0].cores_free == 2


@pytest.mark.parametrize("spread_out", [True, False])
def test_memory_bounds_the_executors_of_a_worker(spread_out: bool) -> None:
    offers = offers_of((8, 2048))
    placed = place_executors(need(3, 1), offers, spread_out=spread_out, selection="WORKER_ID")
    assert placed == [("w1", 1), ("w1", 1)]
    assert (offers[0].cores_free, offers[0].memory_free) == (6, 0)


# --- executors: three workers of 10 cores and 4096 MiB ---------------------------------------------------------------

# what the application needs, cores by worker when spread out, cores by worker when packed
TABLE = {
    "all there is": (need(), [10, 10, 10], [10, 10, 10]),
    "all there is, with more memory": (need(memory=3072), [10, 10, 10], [10, 10, 10]),
    "memory that no worker has": (need(memory=4097), [0, 0, 0], [0, 0, 0]),
    "no memory at all": (need(each=3, memory=0), [9, 9, 9], [9, 9, 9]),
    "cores.max 8": (need(8), [3, 3, 2], [8, 0, 0]),
    "cores.max 16": (need(16), [6, 5, 5], [10, 6, 0]),
    "cores.max 0 left": (need(0), [0, 0, 0], [0, 0, 0]),
    "executor.cores 2, memory for 4 executors": (need(each=2), [8, 8, 8], [8, 8, 8]),
    "executor.cores 2": (need(each=2, memory=256), [10, 10, 10], [10, 10, 10]),
    "executor.cores 3": (need(each=3, memory=256), [9, 9, 9], [9, 9, 9]),
    "executor.cores 11": (need(each=11, memory=256), [0, 0, 0], [0, 0, 0]),
    "executor.cores 2, cores.max 4": (need(4, 2, memory=256), [2, 2, 0], [4, 0, 0]),
    "executor.cores 2, cores.max 20": (need(20, 2, memory=256), [8, 6, 6], [10, 10, 0]),
    "executor.cores 3, cores.max 20": (need(20, 3, memory=256), [6, 6, 6], [9, 9, 0]),
    "executor.cores 4, 3 left": (need(3, 4, memory=256), [0, 0, 0], [0, 0, 0]),
    "limit 0": (need(memory=256, limit=0), [0, 0, 0], [0, 0, 0]),
    "limit 2": (need(memory=256, limit=2), [10, 10, 0], [10, 10, 0]),
    "limit 5": (need(memory=256, limit=5), [10, 10, 10], [10, 10, 10]),
    "limit 5, has 4": (need(memory=256, limit=5, executors=4), [10, 0, 0], [10, 0, 0]),
    "limit 5, has 6": (need(memory=256, limit=5, executors=6), [0, 0, 0], [0, 0, 0]),
    "limit 0, cores.max 16": (need(16, memory=256, limit=0), [0, 0, 0], [0, 0, 0]),
    "limit 2, cores.max 16": (need(16, memory=256, limit=2), [8, 8, 0], [10, 6, 0]),
    "limit 5, cores.max 16": (need(16, memory=256, limit=5), [6, 5, 5], [10, 6, 0]),
    "limit 0, executor.cores 4": (need(each=4, memory=256, limit=0), [0, 0, 0], [0, 0, 0]),
    "limit 2, executor.cores 4": (need(each=4, memory=256, limit=2), [4, 4, 0], [8, 0, 0]),
    "limit 5, executor.cores 4": (need(each=4, memory=256, limit=5), [8, 8, 4], [8, 8, 4]),
    "limit 0, executor.cores 4, cores.max 18": (need(18, 4, memory=256, limit=0), [0, 0, 0], [0, 0, 0]),
    "limit 2, executor.cores 4, cores.max 18": (need(18, 4, memory=256, limit=2), [4, 4, 0], [8, 0, 0]),
    "limit 5, executor.cores 4, cores.max 18": (need(18, 4, memory=256, limit=5), [8, 4, 4], [8, 8, 0]),
}


@pytest.mark.parametrize("case", TABLE)
def test_spread_out_or_packed(case: str) -> None:
    asked, spread, packed = TABLE[case]
    for spread_out, expected in ((True, spread), (False, packed)):
        offers = offers_of(*[(10, 4096)] * 3)
        placed = place_executors(asked, offers, spread_out=spread_out, selection="WORKER_ID")
        assert cores_by_worker(offers, placed) == expected
        assert [10 - offer.cores_free for offer in offers] == expected
        assert [4096 - offer.memory_free for offer in offers] == [
            asked.memory_mib * sum(worker_id == offer.worker_id for worker_id, _ in placed) for offer in offers
        ]
        if asked.cores_per_executor is None:
            assert len({worker_id for worker_id, _ in placed}) == len(placed), "one executor a worker"
        else:
            assert {cores for _, cores in placed} <= {asked.cores_per_executor}


@pytest.mark.parametrize(
    ("selection", "order"),
    [
        ("CORES_FREE_DESC", ["w3", "w4", "w2", "w1"]),
        ("CORES_FREE_ASC", ["w1", "w2", "w4", "w3"]),
        ("MEMORY_FREE_DESC", ["w1", "w4", "w3", "w2"]),
        ("MEMORY_FREE_ASC", ["w2", "w3", "w4", "w1"]),
        ("WORKER_ID", ["w1", "w2", "w3", "w4"]),
    ],
)
def test_workers_are_used_in_the_order_of_the_policy(selection: WorkerSelection, order: list[str]) -> None:
    """Ties are broken by id, which "descending" turns around too: w3 before w2 with equal memory."""
    offers = offers_of((2, 4000), (3, 2000), (8, 2000), (4, 3000))
    random.Random(3).shuffle(offers)
    placed = place_executors(need(each=2, limit=4, memory=100), offers, spread_out=True, selection=selection)
    assert placed == [(worker_id, 2) for worker_id in order]


def test_equal_workers_are_told_apart_by_id() -> None:
    for selection, first in (("CORES_FREE_DESC", "w3"), ("CORES_FREE_ASC", "w1")):
        offers = offers_of(*[(4, 4096)] * 3)
        placed = place_executors(need(1), offers, spread_out=True, selection=selection)  # type: ignore[arg-type]
        assert placed == [(first, 1)]


# --- drivers ---------------------------------------------------------------------------------------------------------


def test_three_drivers_on_three_idle_workers() -> None:
    queue = queue_of((1, 512), (1, 512), (1, 512))
    assert drivers(queue, offers_of(*[(4, 4096)] * 3)) == [("d1", "w1"), ("d2", "w2"), ("d3", "w3")]
    assert len(queue) == 0


@pytest.mark.parametrize("seed", range(5))
def test_three_drivers_use_three_workers_however_they_are_shuffled(seed: int) -> None:
    placed = place_drivers(
        queue_of(*[(1, 512)] * 3),
        offers_of(*[(4, 4096)] * 3),
        spread_out=True,
        slots=3,
        shuffle=random.Random(seed).shuffle,
    )
    assert {worker_id for _, worker_id in placed} == {"w1", "w2", "w3"}


@pytest.mark.parametrize("spread_out", [True, False])
def test_a_driver_too_large_blocks_nobody(spread_out: bool) -> None:
    queue = queue_of((9, 512), (1, 512), (1, 9999), (1, 512))
    placed = drivers(queue, offers_of((4, 4096), (4, 4096)), spread_out=spread_out)
    assert placed == [("d2", "w1"), ("d4", "w2" if spread_out else "w1")]
    assert list(queue) == ["d1", "d3"]


def test_a_driver_that_fits_nowhere_leaves_the_cursor_where_it_was() -> None:
    queue = queue_of((1, 1), (9, 1), (1, 1))
    assert drivers(queue, offers_of(*[(4, 4096)] * 3)) == [("d1", "w1"), ("d3", "w2")]


def test_the_cursor_passes_over_workers_that_are_full() -> None:
    queue = queue_of((2, 1), (2, 1), (1, 1), (2, 1))
    assert drivers(queue, offers_of((2, 10), (1, 10), (4, 10))) == [
        ("d1", "w1"),
        ("d2", "w3"),
        ("d3", "w2"),
        ("d4", "w3"),
    ]


@pytest.mark.parametrize("spread_out", [True, False])
@pytest.mark.parametrize("slots", [0, 1, 2])
def test_max_drivers_is_respected(spread_out: bool, slots: int) -> None:
    queue = queue_of(*[(1, 512)] * 3)
    placed = drivers(queue, offers_of(*[(4, 4096)] * 3), spread_out=spread_out, slots=slots)
    assert [driver_id for driver_id, _ in placed] == ["d1", "d2", "d3"][:slots]
    assert len(queue) == 3 - slots


def test_packed_drivers_take_the_first_worker_by_id() -> None:
    offers = list(reversed(offers_of(*[(2, 4096)] * 3)))
    placed = drivers(queue_of(*[(1, 512)] * 5), offers, spread_out=False)
    assert placed == [("d1", "w1"), ("d2", "w1"), ("d3", "w2"), ("d4", "w2"), ("d5", "w3")]


def test_a_smaller_driver_goes_back_to_a_worker_that_a_larger_one_passed_over() -> None:
    placed = drivers(queue_of((4, 1), (1, 1), (4, 1)), offers_of((3, 10), (4, 10)), spread_out=False)
    assert placed == [("d1", "w2"), ("d2", "w1")]


def test_drivers_take_from_the_offers() -> None:
    offers = offers_of((4, 4096))
    drivers(queue_of((3, 1024)), offers)
    assert offers == [Offer("w1", 1, 3072)]


def test_a_driver_of_nothing_fits_a_full_worker() -> None:
    assert drivers(queue_of((0, 0)), offers_of((0, 0))) == [("d1", "w1")]


def test_nothing_waits_and_nobody_is_there() -> None:
    assert drivers(DriverQueue(), offers_of((4, 4096))) == []
    assert drivers(queue_of((1, 1)), []) == []
    assert place_executors(need(), [], spread_out=True, selection="CORES_FREE_DESC") == []


# --- the queue -------------------------------------------------------------------------------------------------------


def test_the_queue_keeps_the_order_of_submission_over_all_shapes() -> None:
    queue = queue_of((2, 1), (1, 1), (2, 1), (3, 1), (1, 1))
    assert list(queue) == ["d1", "d2", "d3", "d4", "d5"]
    assert queue.remove("d1")
    assert queue.remove("d4")
    assert not queue.remove("d4")
    assert not queue.remove("unknown")
    assert (list(queue), len(queue)) == (["d2", "d3", "d5"], 3)
    assert "d3" in queue and "d1" not in queue


def test_a_driver_that_waits_keeps_its_place_and_one_that_returns_goes_to_the_end() -> None:
    queue = queue_of((1, 1), (1, 1))
    queue.push("d1", Lane(Demand(4, 4)))
    assert list(queue) == ["d1", "d2"]
    assert Demand(1, 1) in queue.demands() and Demand(4, 4) not in queue.demands()
    queue.remove("d1")
    queue.push("d1", Lane(Demand(1, 1)))
    assert list(queue) == ["d2", "d1"]


def test_an_empty_queue() -> None:
    queue = DriverQueue()
    assert (len(queue), list(queue), queue.demands(), queue.head(Lane(Demand(1, 1)))) == (0, [], [], None)
