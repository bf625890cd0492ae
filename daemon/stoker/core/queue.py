"""Waiting drivers, in submission order, arranged so that a scheduling pass costs what it places, not what waits."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

Shape = tuple[int, int]  # (cores, memory in MiB)


class DriverQueue:
    """FIFO lanes, one per shape. Drivers of one shape fit or do not fit together, so a pass that finds a shape too large
    is done with its whole lane."""

    def __init__(self) -> None:
        self._lanes: dict[Shape, dict[str, int]] = {}  # shape -> driver id -> sequence number, oldest first
        self._shape_of: dict[str, Shape] = {}
        self._next = 0

    def push(self, driver_id: str, cores: int, memory_mib: int) -> None:
        """Append; a driver already waiting keeps its place."""
        if driver_id in self._shape_of:
            return
        shape = (cores, memory_mib)
        self._shape_of[driver_id] = shape
        self._lanes.setdefault(shape, {})[driver_id] = self._next
        self._next += 1

    def remove(self, driver_id: str) -> bool:
        """False if it was not waiting."""
        shape = self._shape_of.pop(driver_id, None)
        if shape is None:
            return False
        lane = self._lanes[shape]
        del lane[driver_id]
        if not lane:
            del self._lanes[shape]
        return True

    def first(self) -> str | None:
        return next(iter(self), None)

    def shapes(self) -> list[Shape]:
        return list(self._lanes)

    def head(self, shape: Shape) -> tuple[int, str] | None:
        """Sequence number and id of the oldest driver of that shape."""
        lane = self._lanes.get(shape)
        if not lane:
            return None
        driver_id = next(iter(lane))
        return lane[driver_id], driver_id

    def __contains__(self, driver_id: object) -> bool:
        return driver_id in self._shape_of

    def __len__(self) -> int:
        return len(self._shape_of)

    def __iter__(self) -> Iterator[str]:
        lanes = [((number, driver_id) for driver_id, number in lane.items()) for lane in self._lanes.values()]
        return (driver_id for _, driver_id in heapq.merge(*lanes))
