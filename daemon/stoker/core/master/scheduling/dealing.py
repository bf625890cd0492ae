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

_ROUNDS = 256  # in which a pass deals all that is free: over many thousand cores, several bites at once


@dataclass(frozen=True, slots=True)
class Player:
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


class _Hand:
    """What one application gets in this pass, by worker: bites of ``cores_per_executor`` cores, or of one core."""

    def __init__(self, player: Player, offers: list[Offer], *, spread_out: bool, selection: WorkerSelection) -> None:
        self._need = need = player.need
        self.least = need.cores_per_executor or 1
        self._offers = in_order(
            [offer for offer in offers if offer.fits(self.least, need.memory_mib, need.resources, need.limit)],
            selection,
        )
        self.given = [0] * len(self._offers)  # bites
        self._spread_out = spread_out
        self._heap = [(0, index) for index in range(len(self._offers))]  # (bites given if spread out, worker)
        self._executors, self._cores = need.executors, need.cores_left

    @property
    def may_begin(self) -> bool:
        """Whether one executor fits, and as many as it needs at once."""
        return bool(self._offers) and self._need.has_room(self._offers)

    def next(self) -> Demand | None:
        """Return what the next bite takes, if there is one."""
        while self._heap and self._cores >= self.least:
            index = self._heap[0][1]
            bite = Demand(self.least, self._memory(index), self._resources(index))
            has_room = self._has_begun(index) or self._executors < self._need.executor_limit
            if has_room and self._offers[index].fits(*bite, self._need.limit):
                return bite
            heapq.heappop(self._heap)  # offers only shrink
        return None

    def bite(self) -> str:
        """Take what ``next`` has returned; return from which worker."""
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
        for offer, bites in zip(self._offers, self.given, strict=True):
            if bites:
                each = self._need.cores_per_executor
                found += [(offer.worker_id, bites)] if each is None else [(offer.worker_id, each)] * bites
        return found

    def _memory(self, index: int) -> int:
        """Without ``cores_per_executor`` all bites on a worker are one executor, which takes its memory once."""
        return 0 if self._has_begun(index) else self._need.memory_mib

    def _resources(self, index: int) -> Amounts:
        return () if self._has_begun(index) else self._need.resources

    def _has_begun(self, index: int) -> bool:
        """Return whether the next bite on the worker belongs to an executor that it has already."""
        return self._need.cores_per_executor is None and self.given[index] > 0


def deal_executors(
    players: Sequence[Player],
    offers: list[Offer],
    turns: TurnRules,
    *,
    spread_out: bool,
    selection: WorkerSelection,
    reserver: Reserving | None = None,
) -> list[list[tuple[str, int]]]:
    """Return (worker id, cores) of each executor, for each of the ``players``. Takes from ``offers``. ``reserver`` keeps
    room for a player that waits too long and gets nothing, from those whose turn comes after it."""
    hands = [_Hand(player, offers, spread_out=spread_out, selection=selection) for player in players]
    free = sum(offer.cores_free for offer in offers)
    # Of equal rank, those come first that have waited too long.
    dealt = [-1 if player.is_due else 0 for player in players]

    def key(seat: int) -> Any:
        player = players[seat]
        parts = turns.pool_key(player.pool), turns.principal_key(player.pool, player.principal)
        return *parts, -player.priority, dealt[seat] if player.in_turns else 0, seat

    is_kept = _kept(players, reserver)
    heap = [
        key(seat)
        for seat, player in enumerate(players)
        if hands[seat].may_begin or (player.is_due and not is_kept(player))
    ]
    heapq.heapify(heap)
    while heap:
        seat = heap[0][-1]
        if heap[0] != (now := key(seat)):  # another application of its pool was served; keys only grow
            heapq.heapreplace(heap, now)
            continue
        heapq.heappop(heap)
        player, hand = players[seat], hands[seat]
        if player.is_due and dealt[seat] < 0 and reserver is not None and reserver.release(player.app_id):
            hand = hands[seat] = _Hand(player, offers, spread_out=spread_out, selection=selection)
        bites = max(1, free // (hand.least * _ROUNDS))
        deal = _deal if dealt[seat] > 0 else _begin
        got = deal(player, hand, turns, bites, reserver)
        if got:
            dealt[seat] = max(dealt[seat], 0) + got
            heapq.heappush(heap, key(seat))
        elif player.is_due and dealt[seat] < 0 and reserver is not None:
            claim_room(player.claim, turns, reserver)
    return [hand.executors() for hand in hands]


def _kept(players: Sequence[Player], reserver: Reserving | None) -> Callable[[Player], bool]:
    """Return what says whether a driver has the reservation of a player's pool, so that the player cannot get it."""
    if reserver is None:
        return lambda player: True
    own = {player.app_id for player in players if player.is_due}
    taken = {made.pool for made in reserver.made if made.job_id not in own}
    return lambda player: player.pool in taken and not reserver.has_set_aside(player.app_id)


def _begin(player: Player, hand: _Hand, turns: TurnRules, bites: int, reserver: Reserving | None) -> int:
    """Deal the first bites: at least as many executors as the application needs at once, or none."""
    need = player.need
    if need.at_once < 2:
        return _deal(player, hand, turns, bites, reserver)
    count = need.at_once
    whole = Demand(count * hand.least, count * need.memory_mib, times(need.resources, count))
    if not hand.may_begin or turns.refusal(player.pool, player.principal, *whole, is_driver=False):
        return 0
    return _deal(player, hand, turns, max(bites, need.at_once), reserver)


def _deal(player: Player, hand: _Hand, turns: TurnRules, bites: int, reserver: Reserving | None) -> int:
    """Deal so many bites, or fewer if there is no more room or a limit is reached; return how many."""
    for done in range(bites):
        wanted = hand.next()
        if wanted is None or turns.refusal(player.pool, player.principal, *wanted, is_driver=False):
            return done
        worker_id = hand.bite()
        if reserver is not None:
            reserver.took(worker_id, wanted, player.need.limit)
        turns.grant(player.pool, player.principal, *wanted)
    return bites
