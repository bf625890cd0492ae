"""The scheduling algorithms of spec 10, as pure functions over free resources.

Offers are working copies: the functions subtract what they assign, so one pass can go on with the rest. Both functions
return exactly what the spec's loops return, but their cost grows with the jobs placed, not with the jobs and workers looked
at. docs/adr/0002-placement.md has the reasoning; test_placement_properties.py compares every result with those loops.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from stoker.core.master.scheduling.order import Claim, LaneOrder, PlainOrder, Reserving, TurnRules, claim_room
from stoker.core.master.scheduling.queue import Demand, DriverQueue, Lane
from stoker.core.model.policy import WorkerSelection
from stoker.core.model.resources import Amounts


@dataclass(slots=True)
class Offer:
    """What is free on one worker; memory in MiB. ``resources_free``: how many addresses of each named resource; which of
    them a job gets, the books decide (always the lowest). On a worker that is reserved for a waiting job, ``spare`` is what
    others may have of it for longer than ``window`` seconds."""

    worker_id: str
    cores_free: int
    memory_free: int
    resources_free: dict[str, int] = field(default_factory=dict)
    spare: Offer | None = None
    window: float = 0.0

    def fits(self, cores: int, memory_mib: int, resources: Amounts = (), limit: float = 0.0) -> bool:
        """Return whether a job with that time limit (in seconds; 0: none) has room."""
        if self.cores_free < cores or self.memory_free < memory_mib:
            return False
        if (
            self.spare is not None
            and not self._ends_before(limit)
            and not self.spare.fits(cores, memory_mib, resources)
        ):
            return False
        return not resources or all(self.resources_free.get(name, 0) >= amount for name, amount in resources)

    def count(self, cores: int, memory_mib: int, resources: Amounts = ()) -> int:
        """Return how many executors of that size fit; of one that needs nothing, 1."""
        counts = [self.cores_free // cores] if cores else []
        if memory_mib:
            counts.append(self.memory_free // memory_mib)
        counts += [self.resources_free.get(name, 0) // amount for name, amount in resources]
        return max(0, min(counts, default=1))

    def take(self, cores: int, memory_mib: int, resources: Amounts = (), limit: float = 0.0) -> None:
        self.cores_free -= cores
        self.memory_free -= memory_mib
        for name, amount in resources:
            self.resources_free[name] -= amount
        if self.spare is not None and not self._ends_before(limit):
            self.spare.take(cores, memory_mib, resources)

    def put_back(self, cores: int, memory_mib: int, resources: Amounts = (), limit: float = 0.0) -> None:
        """Undo ``take``."""
        self.cores_free += cores
        self.memory_free += memory_mib
        for name, amount in resources:
            self.resources_free[name] += amount
        if self.spare is not None and not self._ends_before(limit):
            self.spare.put_back(cores, memory_mib, resources)

    def open_to(self, limit: float) -> Offer:
        """Return what a job with that time limit may have, to look at."""
        if self.spare is None or self._ends_before(limit):
            return self
        free, spare = self.resources_free, self.spare
        return Offer(
            self.worker_id,
            min(self.cores_free, spare.cores_free),
            min(self.memory_free, spare.memory_free),
            {name: min(count, spare.resources_free.get(name, 0)) for name, count in free.items()},
        )

    def _ends_before(self, limit: float) -> bool:
        return 0 < limit <= self.window


class Shuffle(Protocol):
    """Shuffles in place, as ``random.Random.shuffle`` does."""

    def __call__(self, items: list[Any], /) -> None: ...


@dataclass(frozen=True, slots=True)
class AppNeed:
    """What an application may still get. ``executors``: how many it has; memory in MiB for each executor."""

    cores_left: int
    cores_per_executor: int | None
    memory_mib: int
    executors: int
    executor_limit: int
    resources: Amounts = ()  # of each executor
    limit: float = 0.0  # seconds that an executor may run; 0: no limit
    at_once: int = 0  # so many executors, or none

    @property
    def is_open(self) -> bool:
        return self.cores_left >= (self.cores_per_executor or 1) and self.executors < self.executor_limit

    def has_room(self, offers: list[Offer]) -> bool:
        """Return whether as many executors as it needs at once fit."""
        if self.at_once < 2:
            return True
        size = self.cores_per_executor or 1, self.memory_mib, self.resources
        if self.cores_left < size[0] * self.at_once:
            return False
        return sum(offer.open_to(self.limit).count(*size) for offer in offers) >= self.at_once


# --- drivers (10.1) --------------------------------------------------------------------------------------------------


def place_drivers(
    queue: DriverQueue,
    offers: list[Offer],
    *,
    spread_out: bool,
    slots: int,
    shuffle: Shuffle,
    turns: TurnRules | None = None,
    reserver: Reserving | None = None,
) -> list[tuple[str, str]]:
    """Take drivers from the queue; return (driver id, worker id) for each one placed; for a task of an array, the id of the
    array. ``slots``: how many more may run.
    ``turns`` orders pools and principals, and knows their limits; without it priority and order of submission decide.
    ``reserver`` keeps room for drivers that do not fit, from those that are served after them.

    Spread out: all drivers of the pass share one round-robin cursor over shuffled workers. A driver that fits on no worker
    moves the cursor a full round, that is, not at all, and does not block others. Packed: each driver takes the first
    worker by id that has room.
    """
    candidates = _candidates(queue, offers)
    if spread_out:
        shuffle(candidates)
    else:
        candidates.sort(key=lambda offer: offer.worker_id)
    searches: dict[tuple[Demand, int], _Search] = {}
    too_large: list[tuple[Demand, int]] = []
    placed: list[tuple[str, str]] = []
    cursor = 0
    lanes = _lanes(queue, candidates, searches, reserver)
    claims = reserver.claims if reserver is not None and lanes else ()
    order = PlainOrder(queue, lanes) if turns is None else LaneOrder(queue, turns, lanes, claims)
    while len(placed) < slots and (following := order.pop()) is not None:
        lane, driver_id = following
        if isinstance(lane, Claim):
            if turns is not None and reserver is not None and claim_room(lane, turns, reserver):
                searches.clear()
                too_large.clear()
            order.put_back(lane.lane, again=False)
            continue
        demand = lane.demand
        kind = 0 if reserver is None else reserver.class_of(lane.limit)
        is_too_large = any(kind <= least and _asks_as_much(demand, other) for other, least in too_large)
        if is_too_large and reserver is None:
            order.put_back(lane, again=False)
            continue
        # A limit that is reached stays reached for the rest of the pass.
        if turns is not None and turns.refusal(lane.pool, lane.principal, *demand, is_driver=True):
            order.put_back(lane, again=False)
            continue
        chosen = None
        if not is_too_large:
            search = searches.get((demand, kind))
            if search is None:
                search = searches[demand, kind] = _Search(candidates, demand, lane.limit)
            chosen = search.first(cursor if spread_out else 0)
        if chosen is None:
            too_large.append((demand, kind))
            if reserver is not None and reserver.reserve(driver_id, lane.pool, demand):
                searches.clear()  # jobs fit in between by other limits now
                too_large.clear()
            order.put_back(lane, again=False)
            continue
        _take(candidates[chosen], lane, turns, reserver)
        cursor = (chosen + 1) % len(candidates)
        placed.append((driver_id, candidates[chosen].worker_id))
        queue.take(driver_id)
        order.put_back(lane, again=True)
    return placed


def _take(offer: Offer, lane: Lane, turns: TurnRules | None, reserver: Reserving | None) -> None:
    offer.take(*lane.demand, lane.limit)
    if reserver is not None:
        reserver.took(offer.worker_id, lane.demand, lane.limit)
    if turns is not None:
        turns.grant(lane.pool, lane.principal, *lane.demand, drivers=1)


def _lanes(
    queue: DriverQueue, candidates: list[Offer], searches: dict[tuple[Demand, int], _Search], reserver: Reserving | None
) -> list[Lane]:
    """Return the lanes that matter in this pass: those that fit somewhere, and those that may reserve room from them."""
    fitting: list[Lane] = []
    too_large: list[Lane] = []
    for demand in queue.demands():
        search = searches[demand, 0] = _Search(candidates, demand, 0.0)
        if search.first(0) is not None:  # if not, nor will it later in this pass: free resources only shrink
            fitting += queue.lanes(demand)
        elif reserver is not None:
            too_large += queue.lanes(demand)
    if reserver is None or not fitting:
        return fitting
    heads = ((lane, queue.head(lane)) for lane in too_large)
    return fitting + [lane for lane, head in heads if head is not None and reserver.is_due(head[1])]


def _asks_as_much(demand: Demand, other: Demand) -> bool:
    if demand.cores < other.cores or demand.memory_mib < other.memory_mib:
        return False
    if not other.resources:
        return True
    asked = dict(demand.resources)
    return all(asked.get(name, 0) >= amount for name, amount in other.resources)


def _candidates(queue: DriverQueue, offers: list[Offer]) -> list[Offer]:
    """Return the offers with room for the smallest demand of the queue; the others cannot matter in this pass."""
    demands = queue.demands()
    if not demands:
        return []
    cores, memory = min(demand.cores for demand in demands), min(demand.memory_mib for demand in demands)
    return [offer for offer in offers if offer.fits(cores, memory)]


class _Search:
    """Repeated first-fit search for one demand. An offer that is too small stays too small for the rest of the pass, so it
    is skipped from then on (disjoint sets with path compression): all searches together look at each offer about once,
    plus once for each driver placed."""

    def __init__(self, offers: list[Offer], demand: Demand, limit: float) -> None:
        self._offers = offers
        self._demand, self._limit = demand, limit
        self._skip: dict[int, int] = {}  # index of an offer that does not fit -> a later index that may

    def first(self, start: int) -> int | None:
        """Return the index of the first offer with room, from ``start`` on and then from the beginning."""
        index = self._from(start)
        if index == len(self._offers) and start > 0:
            index = self._from(0)
        return index if index < len(self._offers) else None

    def _from(self, index: int) -> int:
        offers, skip, passed = self._offers, self._skip, []
        while index < len(offers):
            following = skip.get(index)
            if following is None:
                if offers[index].fits(*self._demand, self._limit):
                    break
                following = index + 1
            passed.append(index)
            index = following
        for before in passed:
            skip[before] = index
        return index


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
    """Return (worker id, cores) for each executor to launch, grouped by worker in the order of ``selection``."""
    least = need.cores_per_executor or 1
    if not need.is_open:
        return []
    fitting = [offer for offer in offers if offer.fits(least, need.memory_mib, need.resources, need.limit)]
    if not need.has_room(fitting):
        return []
    usable = in_order(fitting, selection)
    placed: list[tuple[str, int]] = []
    rooms = [offer.open_to(need.limit) for offer in usable]
    for offer, bites in zip(usable, _bites(need, rooms, spread_out), strict=True):
        if bites == 0:
            continue
        # A bite has ``least`` cores. Each is an executor, or all of them together are the worker's one executor.
        executors = [bites] if need.cores_per_executor is None else [need.cores_per_executor] * bites
        for cores in executors:
            offer.take(cores, need.memory_mib, need.resources, need.limit)
            placed.append((offer.worker_id, cores))
    return placed


def in_order(offers: list[Offer], selection: WorkerSelection) -> list[Offer]:
    """Sort offers as ``spark.deploy.workerSelectionPolicy`` says."""
    key, descending = _ORDER[selection]
    return sorted(offers, key=key, reverse=descending)


def _bites(need: AppNeed, usable: list[Offer], spread_out: bool) -> list[int]:
    """Return how many bites of ``cores_per_executor`` cores (of one core without it) each usable worker gives.

    Whole executors, not single cores: 48 cores in executors of 16, on 4 workers with 16 cores, are 3 executors, not 12
    cores on each worker (SPARK-8881). Without ``cores_per_executor`` the limit on executors limits the workers, and a
    worker needs the memory and the named resources of one executor, which the choice of usable workers has checked.
    """
    more = need.executor_limit - need.executors
    each = need.cores_per_executor
    if each is None:
        room = [offer.cores_free if index < more else 0 for index, offer in enumerate(usable)]
        wanted = need.cores_left
    else:
        room = [offer.count(each, need.memory_mib, need.resources) for offer in usable]
        wanted = min(need.cores_left // each, more)
    return _spread(room, wanted) if spread_out else _pack(room, wanted)


def _pack(room: list[int], wanted: int) -> list[int]:
    """Fill the first worker, then the second, and so on."""
    given = []
    for space in room:
        given.append(min(space, wanted))
        wanted -= given[-1]
    return given


def _spread(room: list[int], wanted: int) -> list[int]:
    """Give each worker one in turn, round after round, while there is room. That equals filling all up to one common level;
    the last, incomplete round goes to the first workers that still have room."""
    level = 0
    for full, height in enumerate(sorted(room)):
        vessels = len(room) - full
        rise = min(height - level, wanted // vessels)
        level += rise
        wanted -= rise * vessels
        if level < height:
            break
    given = []
    for space in room:
        extra = 1 if wanted > 0 and space > level else 0
        given.append(min(space, level) + extra)
        wanted -= extra
    return given
