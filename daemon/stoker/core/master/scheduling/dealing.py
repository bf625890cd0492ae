"""Executors for several applications that share: dealt one by one, each to the application whose turn it is (ADR 25).

Each application alone would get what ``place_executors`` gives it; here the next one may come in between. Without pools
this is not used.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from stoker.core.master.scheduling.order import Claim, Reserving, TurnRules, claim_room
from stoker.core.master.scheduling.placement import AppNeed, Offer, in_order
from stoker.core.master.scheduling.queue import Demand, Lane
from stoker.core.model.policy import WorkerSelection
from stoker.core.model.resources import Amounts, times

_ROUNDS = 256  # in which a pass deals all that is free: over many thousand cores, several units at once


@dataclass(frozen=True, slots=True)
class Contender:
    """An application that wants executors. ``in_turns``: its pool is fair, so applications of equal rank take turns."""

    need: AppNeed
    pool: str
    principal: str
    priority: int
    in_turns: bool
    app_id: str = ""
    is_due: bool = False  # it has no executor, and has waited long enough to reserve room

    @property
    def claim(self) -> Claim:
        """Its claim to room, when it is due."""
        need = self.need
        demand = Demand(need.cores_per_executor or 1, need.memory_mib, need.resources)
        lane = Lane(demand, self.pool, self.principal, self.priority, need.limit)
        return Claim(self.app_id, lane, 0.0, max(1, need.at_once))


class _Allotment:
    """What one application gets in this pass, by worker: units of ``cores_per_executor`` cores, or of one core."""

    def __init__(
        self, contender: Contender, offers: list[Offer], *, spread_out: bool, selection: WorkerSelection
    ) -> None:
        self._need = need = contender.need
        self.least = need.cores_per_executor or 1
        self._offers = in_order(
            [offer for offer in offers if offer.fits(self.least, need.memory_mib, need.resources, need.limit)],
            selection,
        )
        self.given = [0] * len(self._offers)  # units
        self._spread_out = spread_out
        self._heap = [(0, index) for index in range(len(self._offers))]  # (units given if spread out, worker)
        self._executors, self._cores = need.executors, need.cores_left

    @property
    def may_begin(self) -> bool:
        """Whether one executor fits, and as many as it needs at once."""
        return bool(self._offers) and self._need.has_room(self._offers)

    def next(self) -> Demand | None:
        """Return what the next unit takes, if there is one."""
        while self._heap and self._cores >= self.least:
            index = self._heap[0][1]
            unit = Demand(self.least, self._memory(index), self._resources(index))
            has_room = self._has_begun(index) or self._executors < self._need.executor_limit
            if has_room and self._offers[index].fits(*unit, self._need.limit):
                return unit
            heapq.heappop(self._heap)  # offers only shrink
        return None

    def take(self) -> str:
        """Take the unit that ``next`` returned; return from which worker."""
        _, index = self._heap[0]
        self._offers[index].take(self.least, self._memory(index), self._resources(index), self._need.limit)
        self._executors += not self._has_begun(index)
        self._cores -= self.least
        self.given[index] += 1
        heapq.heapreplace(self._heap, (self.given[index] if self._spread_out else 0, index))
        return self._offers[index].worker_id

    def executors(self) -> list[tuple[str, int]]:
        """Return (worker id, cores) for each executor."""
        found = []
        for offer, units in zip(self._offers, self.given, strict=True):
            if units:
                each = self._need.cores_per_executor
                found += [(offer.worker_id, units)] if each is None else [(offer.worker_id, each)] * units
        return found

    def _memory(self, index: int) -> int:
        """Without ``cores_per_executor`` all units on a worker are one executor, which takes its memory once."""
        return 0 if self._has_begun(index) else self._need.memory_mib

    def _resources(self, index: int) -> Amounts:
        return () if self._has_begun(index) else self._need.resources

    def _has_begun(self, index: int) -> bool:
        """Return whether the next unit on the worker belongs to an executor that it has already."""
        return self._need.cores_per_executor is None and self.given[index] > 0


def deal_executors(
    contenders: Sequence[Contender],
    offers: list[Offer],
    turns: TurnRules,
    *,
    spread_out: bool,
    selection: WorkerSelection,
    reserver: Reserving | None = None,
) -> list[list[tuple[str, int]]]:
    """Return (worker id, cores) of each executor, for each of the ``contenders``. Takes from ``offers``. ``reserver`` keeps
    room for a contender that waits too long and gets nothing, from those whose turn comes after it."""
    allotments = [_Allotment(contender, offers, spread_out=spread_out, selection=selection) for contender in contenders]
    free = sum(offer.cores_free for offer in offers)
    # Of equal rank, those come first that have waited too long.
    dealt = [-1 if contender.is_due else 0 for contender in contenders]

    def key(number: int) -> Any:
        contender = contenders[number]
        parts = turns.pool_key(contender.pool), turns.principal_key(contender.pool, contender.principal)
        return *parts, -contender.priority, dealt[number] if contender.in_turns else 0, number

    is_kept = _kept(contenders, reserver)
    heap = [
        key(number)
        for number, contender in enumerate(contenders)
        if allotments[number].may_begin or (contender.is_due and not is_kept(contender))
    ]
    heapq.heapify(heap)
    while heap:
        number = heap[0][-1]
        if heap[0] != (now := key(number)):  # another application of its pool was served; keys only grow
            heapq.heapreplace(heap, now)
            continue
        heapq.heappop(heap)
        contender, allotment = contenders[number], allotments[number]
        if contender.is_due and dealt[number] < 0 and reserver is not None and reserver.release(contender.app_id):
            allotment = allotments[number] = _Allotment(contender, offers, spread_out=spread_out, selection=selection)
        units = max(1, free // (allotment.least * _ROUNDS))
        deal = _deal if dealt[number] > 0 else _begin
        got = deal(contender, allotment, turns, units, reserver)
        if got:
            dealt[number] = max(dealt[number], 0) + got
            heapq.heappush(heap, key(number))
        elif contender.is_due and dealt[number] < 0 and reserver is not None:
            claim_room(contender.claim, turns, reserver)
    return [allotment.executors() for allotment in allotments]


def _kept(contenders: Sequence[Contender], reserver: Reserving | None) -> Callable[[Contender], bool]:
    """Return what says whether a driver has the reservation of a contender's pool, so that the contender cannot get it."""
    if reserver is None:
        return lambda contender: True
    own = {contender.app_id for contender in contenders if contender.is_due}
    taken = {made.pool for made in reserver.made if made.job_id not in own}
    return lambda contender: contender.pool in taken and not reserver.has_set_aside(contender.app_id)


def _begin(
    contender: Contender, allotment: _Allotment, turns: TurnRules, units: int, reserver: Reserving | None
) -> int:
    """Deal the first units: at least as many executors as the application needs at once, or none."""
    need = contender.need
    if need.at_once < 2:
        return _deal(contender, allotment, turns, units, reserver)
    count = need.at_once
    whole = Demand(count * allotment.least, count * need.memory_mib, times(need.resources, count))
    if not allotment.may_begin or turns.refusal(contender.pool, contender.principal, *whole, is_driver=False):
        return 0
    return _deal(contender, allotment, turns, max(units, need.at_once), reserver)


def _deal(contender: Contender, allotment: _Allotment, turns: TurnRules, units: int, reserver: Reserving | None) -> int:
    """Deal so many units, or fewer if there is no more room or a limit is reached; return how many."""
    for done in range(units):
        wanted = allotment.next()
        if wanted is None or turns.refusal(contender.pool, contender.principal, *wanted, is_driver=False):
            return done
        worker_id = allotment.take()
        if reserver is not None:
            reserver.took(worker_id, wanted, contender.need.limit)
        turns.grant(contender.pool, contender.principal, *wanted)
    return units
