"""Waiting drivers in submission order. A scheduling pass costs what it places, however many drivers wait."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from stoker.core.model.resources import Amounts


class Demand(NamedTuple):
    """What a driver needs on a worker; memory in MiB."""

    cores: int
    memory_mib: int
    resources: Amounts = ()


class Lane(NamedTuple):
    """What the drivers of one lane have in common: they fit, or break a limit, all or none."""

    demand: Demand
    pool: str = ""
    principal: str = ""
    priority: int = 0
    limit: float = 0.0  # seconds that they may run; 0: no limit
    array: str = ""  # an array has a lane of its own, so that it can come back to its place


class DriverQueue:
    """FIFO lanes, one for each combination of demand, pool, principal, priority and time limit. A pass that finds a demand
    too large, or a limit reached, skips the whole lane. Sequence numbers show which lane's head is the oldest of all."""

    def __init__(self) -> None:
        # A lane maps driver id to sequence number. An OrderedDict, because taking the first item of a plain dict
        # repeatedly scans all slots emptied before.
        self._lanes: dict[Demand, dict[Lane, OrderedDict[str, int]]] = {}
        self._lane_of: dict[str, Lane] = {}
        self._times: dict[str, int] = {}  # how often an array may be taken, if more than once
        self._waiting: Counter[tuple[str, str]] = Counter()
        self._next = 0
        self._before_first = -1

    def push(self, driver_id: str, lane: Lane, *, first: bool = False) -> None:
        """Append a driver, or with ``first`` put it before all others of its lane, and of its rank. A driver that is already
        waiting keeps its place."""
        self._push(driver_id, lane, self._before_first if first else self._next, first=first)

    def push_array(self, array_id: str, lane: Lane, *, times: int, place: int | None) -> int:
        """Put an array at the end, or back to its ``place``; return its place. A pass may take it ``times`` times."""
        place = self._next if place is None else place
        self._push(array_id, lane, place, first=False)
        self._times[array_id] = times
        return place

    def _push(self, driver_id: str, lane: Lane, place: int, *, first: bool) -> None:
        if driver_id in self._lane_of:
            return
        self._lane_of[driver_id] = lane
        self._waiting[lane.pool, lane.principal] += 1
        drivers = self._lanes.setdefault(lane.demand, {}).setdefault(lane, OrderedDict())
        drivers[driver_id] = place
        if first:
            drivers.move_to_end(driver_id, last=False)
            self._before_first -= 1
        self._next = max(self._next, place + 1)

    def take(self, driver_id: str) -> None:
        """Take a driver out, or a task of an array, which stays while there is another one."""
        left = self._times.get(driver_id, 1) - 1
        if left > 0:
            self._times[driver_id] = left
        else:
            self.remove(driver_id)

    def times(self, driver_id: str) -> int:
        """Return how often a pass may take it; 0 if it does not wait."""
        return self._times.get(driver_id, int(driver_id in self._lane_of))

    def remove(self, driver_id: str) -> bool:
        """Remove a driver; False if it was not waiting."""
        lane = self._lane_of.pop(driver_id, None)
        if lane is None:
            return False
        self._times.pop(driver_id, None)
        whose = (lane.pool, lane.principal)
        self._waiting[whose] -= 1
        if not self._waiting[whose]:
            del self._waiting[whose]
        lanes = self._lanes[lane.demand]
        del lanes[lane][driver_id]
        if not lanes[lane]:
            del lanes[lane]
        if not lanes:
            del self._lanes[lane.demand]
        return True

    def move(self, driver_id: str, lane: Lane) -> None:
        """Put a waiting driver into another lane; it keeps its place in the order of submission."""
        before = self._lane_of[driver_id]
        sequence, times = self._lanes[before.demand][before][driver_id], self._times.get(driver_id)
        self.remove(driver_id)
        self.push(driver_id, lane)
        if times is not None:
            self._times[driver_id] = times
        drivers = self._lanes[lane.demand][lane]
        drivers[driver_id] = sequence
        in_order = sorted(drivers.items(), key=lambda item: item[1])
        drivers.clear()
        drivers.update(in_order)

    def demands(self) -> list[Demand]:
        """Return the demands for which at least one driver waits."""
        return list(self._lanes)

    def lanes(self, demand: Demand) -> list[Lane]:
        """Return the lanes of that demand."""
        return list(self._lanes.get(demand, ()))

    def head(self, lane: Lane) -> tuple[int, str] | None:
        """Return sequence number and id of the oldest driver in the lane."""
        drivers = self._lanes.get(lane.demand, {}).get(lane)
        if not drivers:
            return None
        driver_id = next(iter(drivers))
        return drivers[driver_id], driver_id

    def waiting(self, pool: str, principal: str | None = None) -> int:
        """Return how many drivers of the pool wait, of one principal or of all."""
        if principal is not None:
            return self._waiting[pool, principal]
        return sum(count for (name, _), count in self._waiting.items() if name == pool)

    def __contains__(self, driver_id: object) -> bool:
        return driver_id in self._lane_of

    def __len__(self) -> int:
        return len(self._lane_of)

    def __iter__(self) -> Iterator[str]:
        return iter(self._lane_of)
