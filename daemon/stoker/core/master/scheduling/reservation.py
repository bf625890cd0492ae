"""Reservations: room for a job that has waited long, so that later and smaller ones cannot keep it waiting (ADR 30).

The first job of each pool that has waited ``reserve_after`` and does not fit gets one, in the order of service, on the
workers where it will fit soonest. A job that is served later may use such a worker if it ends before by its time limit, or
in what the reservation leaves over. Nothing is stored: each pass makes the reservations anew from what runs and waits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stoker.core.master.scheduling.order import Claim
from stoker.core.master.scheduling.placement import Offer
from stoker.core.master.scheduling.queue import Demand
from stoker.core.model.resources import times


class Busy(NamedTuple):
    """What a running job will free. ``ends``: seconds from now at the latest, by its time limit; infinite: unknown."""

    ends: float
    room: Demand


class Place(NamedTuple):
    """How many executors of the waiting job (1 for a driver) will fit on a worker, and what is left there for others."""

    worker_id: str
    slots: int
    spare: Offer


@dataclass(frozen=True, slots=True)
class Reservation:
    """``within``: seconds from now until all of it is free, at the latest; infinite: unknown."""

    job_id: str
    pool: str
    demand: Demand
    within: float
    places: tuple[Place, ...]

    @property
    def cores(self) -> int:
        return self.demand.cores * sum(place.slots for place in self.places)


class Reserver:
    """Makes the reservations of one pass: one for each pool, and together of at most ``most_cores``."""

    def __init__(
        self,
        offers: Mapping[str, Offer],
        busy: Callable[[str], Iterable[Busy]],
        *,
        is_due: Callable[[str], bool],
        most_cores: int,
        claims: Sequence[Claim] = (),
    ) -> None:
        """``offers``: of all usable workers, those that the pass takes from. ``busy``: what runs on a worker. ``is_due``:
        whether a job has waited long enough. ``claims``: of the applications that have, and have no executor."""
        self.is_due = is_due
        self.claims = claims
        self.made: list[Reservation] = []
        self.has_reserved = False  # also if it was given up again
        self._promised: dict[str, str] = {}  # pool -> application: it makes the pool's reservation, when its turn comes
        self._offers, self._busy = offers, busy
        self._taken: dict[str, list[Busy]] = {}  # by this pass, and not in ``busy`` yet
        # Application -> room that it gets in this pass.
        self._set_aside: dict[str, tuple[Claim, tuple[Place, ...]]] = {}
        self._left = most_cores
        self._windows: list[float] = []

    def is_open(self, pool: str) -> bool:
        """Return whether a job of the pool may still get a reservation."""
        return all(made.pool != pool for made in self.made)

    def class_of(self, limit: float) -> int:
        """Return in how many reservations a job with this time limit fits in between; 0 without a limit."""
        return sum(limit <= window for window in self._windows) if limit else 0

    def reserve(self, job_id: str, pool: str, demand: Demand, slots: int = 1) -> bool:
        """Reserve room for a job that does not fit now, if it is due; return whether it got it."""
        if self._promised.get(pool, job_id) != job_id or not self.is_open(pool):
            return False
        if demand.cores * slots > self._left or not self.is_due(job_id):
            return False
        found = self._soonest(demand, slots)
        if found is None:
            return False
        within, places = found
        reservation = Reservation(job_id, pool, demand, within, places)
        self.made.append(reservation)
        self.has_reserved = True
        self._left -= reservation.cores
        window = within if math.isfinite(within) else 0.0
        self._windows.append(window)
        for place in places:
            offer = self._offers[place.worker_id]
            offer.spare, offer.window = place.spare, window
        return True

    def claim(self, claim: Claim) -> bool:
        """Reserve room for an application; return whether it got it. Room that is free is taken from the offers until its
        turn comes: nobody waits for it, so it is not the reservation of its pool."""
        lane, slots = claim.lane, claim.slots
        places = self._free_places(lane.demand, slots) if self.is_due(claim.app_id) else ()
        if not places:
            return self.reserve(claim.app_id, lane.pool, lane.demand, slots)
        for place in places:
            demand = _times(lane.demand, place.slots)
            self._offers[place.worker_id].take(*demand)
            self.took(place.worker_id, demand, lane.limit)
        self._set_aside[claim.app_id] = claim, places
        self.has_reserved = True
        return True

    def has_set_aside(self, app_id: str) -> bool:
        """Return whether free room is kept for the application until its turn comes in this pass."""
        return app_id in self._set_aside

    def took(self, worker_id: str, room: Demand, limit: float) -> None:
        """Note what the pass has placed on a worker, with its time limit (seconds; 0: none)."""
        self._taken.setdefault(worker_id, []).append(Busy(limit or math.inf, room))

    def launched(self) -> None:
        """What the pass has placed so far runs now: ``busy`` knows it."""
        self._taken.clear()
        for claim, places in self._set_aside.values():
            for place in places:
                self.took(place.worker_id, _times(claim.lane.demand, place.slots), claim.lane.limit)

    def promise(self, pool: str, app_id: str) -> None:
        """Leave the pool's reservation to an application, unless one is made or left already."""
        self._promised.setdefault(pool, app_id)
        self.has_reserved = True

    def release(self, job_id: str) -> bool:
        """Give up the reservation of a job whose turn has come; return whether it had one."""
        if job_id in self._set_aside:
            claim, places = self._set_aside.pop(job_id)
            for place in places:
                demand = _times(claim.lane.demand, place.slots)
                self._offers[place.worker_id].put_back(*demand, claim.lane.limit)
                self._taken[place.worker_id].remove(Busy(claim.lane.limit or math.inf, demand))
            return True
        for index, made in enumerate(self.made):
            if made.job_id == job_id:
                del self.made[index], self._windows[index]
                self._left += made.cores
                for place in made.places:
                    offer = self._offers[place.worker_id]
                    offer.spare, offer.window = None, 0.0
                return True
        return False

    def _free_places(self, demand: Demand, slots: int) -> tuple[Place, ...]:
        """Return where so many executors fit now, on workers without reservations; () if they do not."""
        found, left = [], slots
        for worker_id, offer in self._offers.items():
            count = min(left, offer.count(*demand)) if offer.spare is None else 0
            if count:
                found.append(Place(worker_id, count, offer))
                left -= count
        return () if left else tuple(found)

    def _soonest(self, demand: Demand, slots: int) -> tuple[float, tuple[Place, ...]] | None:
        """Return after how many seconds so many executors fit, and where; None if the workers are too small for that."""
        futures = [
            future
            for worker_id, offer in self._offers.items()
            if offer.spare is None and (future := _Future(worker_id, offer, self._busy_at(worker_id), demand)).steps
        ]
        within, missing = math.inf, slots
        for time, more in sorted((time, more) for future in futures for time, more in future.steps):
            missing -= more
            if missing <= 0:
                within = time
                break
        if missing > 0:
            return None
        places = []
        left = slots
        for future in sorted(futures, key=_Future.rank):
            count = min(left, future.slots_at(within))
            if count:
                places.append(future.place(within, count))
                left -= count
        return within, tuple(places)

    def _busy_at(self, worker_id: str) -> list[Busy]:
        return [*self._busy(worker_id), *self._taken.get(worker_id, ())]


class _Future:
    """One worker as its jobs end."""

    def __init__(self, worker_id: str, offer: Offer, busy: Iterable[Busy], demand: Demand) -> None:
        self._worker_id, self._offer, self._demand = worker_id, offer, demand
        self._busy = sorted(busy, key=lambda one: one.ends)
        self.steps: list[tuple[float, int]] = []  # (seconds from now, how many more executors fit then)
        free, fitting = _copy(offer), 0
        for ends, room in ((0.0, None), *self._busy):
            if room is not None:
                _give_back(free, room)
            if (now_fitting := free.count(*demand)) > fitting:
                self.steps.append((ends, now_fitting - fitting))
                fitting = now_fitting

    def rank(self) -> tuple[float, int, int, str]:
        """Workers that are free sooner come first; of those that nobody knows of, the one with the least missing."""
        lack = max(0, self._demand.cores - self._offer.cores_free)
        return self.steps[0][0], lack, max(0, self._demand.memory_mib - self._offer.memory_free), self._worker_id

    def slots_at(self, time: float) -> int:
        return sum(more for at, more in self.steps if at <= time)

    def place(self, within: float, slots: int) -> Place:
        """What others may still have for longer: what the reserved executors leave over when they start. If nobody knows
        when that is, what is free now besides them."""
        spare = _copy(self._offer)
        if math.isfinite(within):
            for ends, room in self._busy:
                if ends <= within:
                    _give_back(spare, room)
        cores, memory, resources = self._demand
        spare.cores_free = max(0, spare.cores_free - slots * cores)
        spare.memory_free = max(0, spare.memory_free - slots * memory)
        for name, amount in resources:
            spare.resources_free[name] = max(0, spare.resources_free.get(name, 0) - slots * amount)
        return Place(self._worker_id, slots, spare)


def _times(demand: Demand, slots: int) -> Demand:
    cores, memory_mib, resources = demand
    return Demand(slots * cores, slots * memory_mib, times(resources, slots))


def _copy(offer: Offer) -> Offer:
    return Offer(offer.worker_id, offer.cores_free, offer.memory_free, dict(offer.resources_free))


def _give_back(offer: Offer, room: Demand) -> None:
    offer.cores_free += room.cores
    offer.memory_free += room.memory_mib
    for name, amount in room.resources:
        offer.resources_free[name] = offer.resources_free.get(name, 0) + amount
