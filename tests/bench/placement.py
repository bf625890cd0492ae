"""The cost of a scheduling pass. Run ``python tests/bench/placement.py``; times are the best of a few rounds."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable

from stoker.core.master.scheduling.placement import AppNeed, Offer, place_drivers, place_executors
from stoker.core.master.scheduling.queue import Demand, DriverQueue, Lane
from stoker.core.model.values import UNLIMITED

ROUNDS = 5
FEW_SHAPES = [(1, 512), (1, 1024), (2, 2048), (4, 4096), (8, 16384)]
MANY_SHAPES = [(1 + index % 8, 512 + index) for index in range(1000)]


def cluster(workers: int, cores: int, memory_mib: int = 65536) -> list[Offer]:
    return [Offer(f"worker-{index:05}", cores, memory_mib) for index in range(workers)]


def waiting(drivers: int, shapes: list[tuple[int, int]]) -> DriverQueue:
    queue = DriverQueue()
    for index in range(drivers):
        queue.push(f"driver-{index:05}", Lane(Demand(*shapes[index % len(shapes)])))
    return queue


def best(prepare: Callable[[], Callable[[], int]]) -> tuple[float, int]:
    """Return the seconds of the fastest round, and how much it placed."""
    seconds, placed = float("inf"), 0
    for _ in range(ROUNDS):
        run = prepare()
        gc.collect()
        start = time.perf_counter()
        placed = run()
        seconds = min(seconds, time.perf_counter() - start)
    return seconds, placed


def driver_pass(
    workers: int, cores: int, drivers: int, shapes: list[tuple[int, int]], *, spread_out: bool
) -> tuple[float, int]:
    def prepare() -> Callable[[], int]:
        queue, offers, rng = waiting(drivers, shapes), cluster(workers, cores), random.Random(1)
        return lambda: len(place_drivers(queue, offers, spread_out=spread_out, slots=UNLIMITED, shuffle=rng.shuffle))

    return best(prepare)


def executor_pass(workers: int, cores: int, each: int | None, *, spread_out: bool) -> tuple[float, int]:
    need = AppNeed(
        cores_left=UNLIMITED, cores_per_executor=each, memory_mib=1024, executors=0, executor_limit=UNLIMITED
    )

    def prepare() -> Callable[[], int]:
        offers = cluster(workers, cores)
        return lambda: len(place_executors(need, offers, spread_out=spread_out, selection="CORES_FREE_DESC"))

    return best(prepare)


def show(what: str, result: tuple[float, int]) -> None:
    seconds, placed = result
    print(f"{what:72} {seconds * 1e3:9.2f} ms  {placed:6} placed")


def main() -> None:
    for spread_out in (True, False):
        how = "spread" if spread_out else "packed"
        for workers in (1000, 10000):
            for name, shapes in (("5 shapes", FEW_SHAPES), ("1000 shapes", MANY_SHAPES)):
                for state, cores in (("full", 0), ("1 core free", 1), ("16 cores free", 16)):
                    result = driver_pass(workers, cores, 10000, shapes, spread_out=spread_out)
                    show(f"drivers, {how}: 10000 queued, {name}; {workers} workers, {state}", result)
        for workers in (1000, 10000):
            for each in (None, 4):
                result = executor_pass(workers, 64, each, spread_out=spread_out)
                show(f"executors of {each or 'all'} cores, {how}: {workers} workers, 64 cores free", result)


if __name__ == "__main__":
    main()
