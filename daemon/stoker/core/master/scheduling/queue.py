"""Waiting drivers in submission order. A scheduling pass costs what it places, however many drivers wait."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from stoker.core.model.resources import Amounts


class Demand(NamedTuple):
    """What a driver needs on a worker; memory in MiB."""

    cores: int
    memory_mib: int
    resources: Amounts = ()


class DriverQueue:
    """FIFO lanes, one per demand. All drivers of one demand fit, or none does, so a pass that finds a demand too large skips
    the whole lane. Sequence numbers show which lane's head is the oldest of all."""

    def __init__(self) -> None:
        # A lane maps driver id to sequence number. An OrderedDict, because taking the first item of a plain dict
        # repeatedly scans all slots emptied before.
        self._lanes: dict[Demand, OrderedDict[str, int]] = {}
        self._demand_of: dict[str, Demand] = {}
        self._next = 0
        self._before_first = -1

    def push(
        self, driver_id: str, cores: int, memory_mib: int, resources: Amounts = (), *, first: bool = False
    ) -> None:
        """Append a driver, or with ``first`` put it before all others. A driver that is already waiting keeps its place."""
        if driver_id in self._demand_of:
            return
        demand = Demand(cores, memory_mib, resources)
        self._demand_of[driver_id] = demand
        lane = self._lanes.setdefault(demand, OrderedDict())
        if first:
            lane[driver_id] = self._before_first
            lane.move_to_end(driver_id, last=False)
            self._before_first -= 1
        else:
            lane[driver_id] = self._next
            self._next += 1

    def remove(self, driver_id: str) -> bool:
        """Remove a driver; False if it was not waiting."""
        demand = self._demand_of.pop(driver_id, None)
        if demand is None:
            return False
        lane = self._lanes[demand]
        del lane[driver_id]
        if not lane:
            del self._lanes[demand]
        return True

    def demands(self) -> list[Demand]:
        """Return the demands for which at least one driver waits."""
        return list(self._lanes)

    def head(self, demand: Demand) -> tuple[int, str] | None:
        """Return sequence number and id of the oldest driver with that demand."""
        lane = self._lanes.get(demand)
        if not lane:
            return None
        driver_id = next(iter(lane))
        return lane[driver_id], driver_id

    def __contains__(self, driver_id: object) -> bool:
        return driver_id in self._demand_of

    def __len__(self) -> int:
        return len(self._demand_of)

    def __iter__(self) -> Iterator[str]:
        return iter(self._demand_of)
