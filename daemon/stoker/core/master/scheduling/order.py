"""Which lane of waiting drivers, and which application, is next. ``TurnRules`` know whose turn it is (sharing)."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from stoker.core.master.scheduling.queue import Demand, DriverQueue, Lane
from stoker.core.model.resources import Amounts, times


class TurnRules(Protocol):
    """The order between pools and principals, and their limits, while a pass grants."""

    def pool_key(self, name: str, /) -> Any: ...

    def principal_key(self, name: str, principal: str, /) -> Any: ...

    def refusal(
        self, name: str, principal: str, cores: int, memory_mib: int, resources: Amounts = (), /, *, is_driver: bool
    ) -> str:
        """Return the limit that a grant would break; "" if none."""
        ...

    def grant(
        self, name: str, principal: str, cores: int, memory_mib: int, resources: Amounts = (), /, *, drivers: int = 0
    ) -> None: ...


class Claim(NamedTuple):
    """An application without executors that has waited long. It has a place in the order of drivers, to reserve room for
    so many executors there; it is served after them. ``lane``: what one executor needs, and whose it is."""

    app_id: str
    lane: Lane
    sequence: float  # among those of the queue
    slots: int = 1


class Holder(Protocol):
    """A reservation: whose it is."""

    @property
    def job_id(self) -> str: ...

    @property
    def pool(self) -> str: ...


class Reserving(Protocol):
    """Keeps room for jobs that wait too long (core.master.scheduling.reservation)."""

    claims: Sequence[Claim]

    @property
    def made(self) -> Sequence[Holder]: ...

    def is_due(self, job_id: str, /) -> bool: ...

    def class_of(self, limit: float, /) -> int: ...

    def reserve(self, job_id: str, pool: str, demand: Demand, slots: int = 1, /) -> bool: ...

    def claim(self, claim: Claim, /) -> bool: ...

    def has_set_aside(self, app_id: str, /) -> bool: ...

    def is_open(self, pool: str, /) -> bool: ...

    def took(self, worker_id: str, room: Demand, limit: float, /) -> None: ...

    def release(self, job_id: str, /) -> bool: ...


def claim_room(claim: Claim, turns: TurnRules, reserver: Reserving) -> bool:
    """Reserve room for an application, if no limit forbids it; return whether it got it."""
    return may_claim(claim, turns) and reserver.claim(claim)


def may_claim(claim: Claim, turns: TurnRules) -> bool:
    """Return whether no limit forbids the executors."""
    lane, slots = claim.lane, claim.slots
    cores, memory_mib = slots * lane.demand.cores, slots * lane.demand.memory_mib
    named = times(lane.demand.resources, slots)
    return not turns.refusal(lane.pool, lane.principal, cores, memory_mib, named, is_driver=False)


class PlainOrder:
    """The lanes of a pass without pools: by priority, then by the age of the oldest driver."""

    def __init__(self, queue: DriverQueue, lanes: Iterable[Lane]) -> None:
        self._queue = queue
        self._heap = [(-lane.priority, *head, lane) for lane in lanes if (head := queue.head(lane)) is not None]
        heapq.heapify(self._heap)

    def pop(self) -> tuple[Lane | Claim, str] | None:
        """As ``LaneOrder.pop``."""
        if not self._heap:
            return None
        _, _, driver_id, lane = heapq.heappop(self._heap)
        return lane, driver_id

    def put_back(self, lane: Lane, *, again: bool) -> None:
        head = self._queue.head(lane) if again else None
        if head is not None:
            heapq.heappush(self._heap, (-lane.priority, *head, lane))


class LaneOrder:
    """The lanes of a pass, by (pool's key, principal's key, -priority, sequence). Heaps in three levels: serving a lane
    changes the key of its pool and of its principal, so each level has one entry to put back."""

    def __init__(
        self, queue: DriverQueue, turns: TurnRules, lanes: Iterable[Lane], claims: Iterable[Claim] = ()
    ) -> None:
        self._queue, self._turns = queue, turns
        self._lanes: dict[
            tuple[str, str], list[Any]
        ] = {}  # (pool, principal) -> (-priority, sequence, job, lane or claim)
        self._people: dict[str, list[Any]] = {}  # pool -> (principal's key, first of its lanes, principal)
        for lane in lanes:
            self._push_lane(lane)
        for claim in claims:
            entry = -claim.lane.priority, claim.sequence, claim.app_id, claim
            heapq.heappush(self._lanes.setdefault((claim.lane.pool, claim.lane.principal), []), entry)
        for (pool, principal), _ in self._lanes.items():
            self._people.setdefault(pool, []).append(self._of_principal(pool, principal))
        for people in self._people.values():
            heapq.heapify(people)
        self._pools = [self._of_pool(pool) for pool in self._people]
        heapq.heapify(self._pools)

    def pop(self) -> tuple[Lane | Claim, str] | None:
        """Take out the lane or the claim that is next; return it with its job, of a lane the oldest. ``put_back`` must
        follow, with the lane."""
        if not self._pools:
            return None
        pool = heapq.heappop(self._pools)[-1]
        principal = heapq.heappop(self._people[pool])[-1]
        entry = heapq.heappop(self._lanes[pool, principal])
        return entry[3], entry[2]

    def put_back(self, lane: Lane, *, again: bool) -> None:
        """Put the pool and the principal of the lane back, and with ``again`` the lane itself, if a driver is left in it. A
        claim never comes again."""
        if again:
            self._push_lane(lane)
        if self._lanes[lane.pool, lane.principal]:
            heapq.heappush(self._people[lane.pool], self._of_principal(lane.pool, lane.principal))
        if self._people[lane.pool]:
            heapq.heappush(self._pools, self._of_pool(lane.pool))

    def _push_lane(self, lane: Lane) -> None:
        head = self._queue.head(lane)
        lanes = self._lanes.setdefault((lane.pool, lane.principal), [])
        if head is not None:
            heapq.heappush(lanes, (-lane.priority, *head, lane))

    def _of_principal(self, pool: str, principal: str) -> Any:
        priority, sequence = self._lanes[pool, principal][0][:2]
        return self._turns.principal_key(pool, principal), priority, sequence, principal

    def _of_pool(self, pool: str) -> Any:
        return self._turns.pool_key(pool), *self._people[pool][0][:3], pool
