"""Who runs where: the scheduling algorithms of spec section 10, as pure functions over what is free.

Offers are working copies: the functions take from them what they assign, so one pass can go on with what is left.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from stoker.core.policy import WorkerSelection
from stoker.core.queue import DriverQueue, Shape


@dataclass(slots=True)
class Offer:
    """What is free on one worker; memory in MiB."""

    worker_id: str
    cores_free: int
    memory_free: int

    def fits(self, cores: int, memory_mib: int) -> bool:
        return self.cores_free >= cores and self.memory_free >= memory_mib

    def take(self, cores: int, memory_mib: int) -> None:
        self.cores_free -= cores
        self.memory_free -= memory_mib


class Shuffle(Protocol):
    def __call__(self, items: list[Any], /) -> None: ...


@dataclass(frozen=True, slots=True)
class AppNeed:
    """What an application may still get. ``executors``: how many it has."""

    cores_left: int
    cores_per_executor: int | None
    memory_mib: int
    executors: int
    executor_limit: int


# --- drivers (10.1) --------------------------------------------------------------------------------------------------


def place_drivers(
    queue: DriverQueue, offers: list[Offer], *, spread_out: bool, slots: int, shuffle: Shuffle
) -> list[tuple[str, str]]:
    """(driver id, worker id) for each driver placed, which leaves the queue. ``slots``: how many more may run.

    Spread out, one round-robin cursor over shuffled workers is shared by all drivers of the pass; a driver that fits
    nowhere turns the cursor a full round, that is, not at all, and blocks nobody. Packed, each driver takes the first
    worker by id that fits.
    """
    candidates = _candidates(queue, offers)
    if spread_out:
        shuffle(candidates)
    else:
        candidates.sort(key=lambda offer: offer.worker_id)
    placed: list[tuple[str, str]] = []
    cursor = 0
    heads = [(*head, shape) for shape in queue.shapes() if (head := queue.head(shape)) is not None]
    heapq.heapify(heads)
    while heads and len(placed) < slots:
        _, driver_id, shape = heapq.heappop(heads)
        chosen = _first_fit(candidates, shape, cursor if spread_out else 0)
        if chosen is None:
            continue  # what is free only shrinks: the whole lane is out for this pass
        candidates[chosen].take(*shape)
        cursor = (chosen + 1) % len(candidates)
        placed.append((driver_id, candidates[chosen].worker_id))
        queue.remove(driver_id)
        following = queue.head(shape)
        if following is not None:
            heapq.heappush(heads, (*following, shape))
    return placed


def _candidates(queue: DriverQueue, offers: list[Offer]) -> list[Offer]:
    """Offers on which the smallest demand of the queue fits; the others cannot matter in this pass."""
    shapes = queue.shapes()
    if not shapes:
        return []
    cores, memory = min(shape[0] for shape in shapes), min(shape[1] for shape in shapes)
    return [offer for offer in offers if offer.fits(cores, memory)]


def _first_fit(offers: list[Offer], shape: Shape, start: int) -> int | None:
    for index in itertools.chain(range(start, len(offers)), range(start)):
        if offers[index].fits(*shape):
            return index
    return None


# --- executors (10.2, 10.3) ------------------------------------------------------------------------------------------

_ORDER: dict[WorkerSelection, tuple[Callable[[Offer], Any], bool]] = {
    "CORES_FREE_DESC": (lambda offer: (offer.cores_free, offer.worker_id), True),
    "CORES_FREE_ASC": (lambda offer: (offer.cores_free, offer.worker_id), False),
    "MEMORY_FREE_DESC": (lambda offer: (offer.memory_free, offer.worker_id), True),
    "MEMORY_FREE_ASC": (lambda offer: (offer.memory_free, offer.worker_id), False),
    "WORKER_ID": (lambda offer: offer.worker_id, False),
}


def place_executors(
    need: AppNeed, offers: list[Offer], *, spread_out: bool, selection: WorkerSelection
) -> list[tuple[str, int]]:
    """(worker id, cores) for each executor to launch, grouped by worker in the order of ``selection``."""
    least = need.cores_per_executor or 1
    if need.cores_left < least:
        return []
    key, descending = _ORDER[selection]
    usable = sorted((offer for offer in offers if offer.fits(least, need.memory_mib)), key=key, reverse=descending)
    assigned = _assign_cores(need, usable, spread_out)
    placed: list[tuple[str, int]] = []
    for offer, cores in zip(usable, assigned, strict=True):
        if cores == 0:
            continue
        each = need.cores_per_executor or cores
        for _ in range(cores // each):
            placed.append((offer.worker_id, each))
            offer.take(each, need.memory_mib)
    return placed


def _assign_cores(need: AppNeed, usable: list[Offer], spread_out: bool) -> list[int]:
    """Cores for each usable worker. ``least`` cores are given at a time, not one: 4 workers of 16 cores, 48 cores wanted
    and 16 an executor must give 3 executors, not 12 cores everywhere (SPARK-8881)."""
    least = need.cores_per_executor or 1
    to_assign = min(need.cores_left, sum(offer.cores_free for offer in usable))
    cores = [0] * len(usable)
    count = [0] * len(usable)
    total = need.executors

    def can_take(index: int) -> bool:
        offer = usable[index]
        if to_assign < least or offer.cores_free - cores[index] < least:
            return False
        if need.cores_per_executor is None and count[index] > 0:
            return True  # one more core for the one executor there
        memory_left = offer.memory_free - count[index] * need.memory_mib
        return memory_left >= need.memory_mib and total < need.executor_limit

    free = [index for index in range(len(usable)) if can_take(index)]
    while free:
        for index in free:
            while can_take(index):
                to_assign -= least
                cores[index] += least
                if need.cores_per_executor is not None or count[index] == 0:
                    count[index] += 1
                    total += 1
                if spread_out:
                    break
        free = [index for index in free if can_take(index)]
    return cores
