"""The indices of an array, as they are typed."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate, pairwise

MOST_TASKS = 1_000_000  # of one array
HIGHEST_INDEX = 2**31 - 1
MOST_RANGES = 1000
_RANGE = re.compile(r"([0-9]{1,12})(?:-([0-9]{1,12})(?::([0-9]{1,12}))?)?")
_EXAMPLE = "write it like 1-1000, 0-99:10 or 1,5,7-9, with %20 for at most 20 at once"


class Indices:
    """The indices of an array: ranges in ascending order that do not overlap. A task's *position* counts from 0."""

    def __init__(self, ranges: tuple[range, ...], limit: int) -> None:
        self.ranges = ranges
        self.limit = limit  # of tasks that run at once; 0: none
        self._ends = list(accumulate(len(each) for each in ranges))

    def __len__(self) -> int:
        return self._ends[-1]

    @property
    def first(self) -> int:
        return self.ranges[0][0]

    @property
    def last(self) -> int:
        return self.ranges[-1][-1]

    @property
    def step(self) -> int:
        """The step of its first range."""
        return self.ranges[0].step

    def at(self, position: int) -> int:
        """Return the index at a position."""
        number = bisect_right(self._ends, position)
        return self.ranges[number][position - (self._ends[number - 1] if number else 0)]

    def position(self, index: int) -> int | None:
        """Return the position of an index; None if the array does not have it."""
        number = bisect_right(self.ranges, index, key=lambda each: each[0]) - 1
        if number < 0 or index not in self.ranges[number]:
            return None
        return self.ranges[number].index(index) + (self._ends[number - 1] if number else 0)

    def positions(self, first: int, last: int) -> range:
        """Return the positions of the indices from ``first`` to ``last``, both included."""
        return range(self._below(first), self._below(last + 1))

    def _below(self, index: int) -> int:
        """Return how many indices are smaller."""
        number = bisect_right(self.ranges, index, key=lambda each: each[0]) - 1
        if number < 0:
            return 0
        before = self._ends[number - 1] if number else 0
        each = self.ranges[number]
        return before + len(range(each[0], min(index, each[-1] + 1), each.step))

    def text(self, start: int = 0, stop: int | None = None) -> str:
        """Return the indices at the positions from ``start`` to before ``stop``, as they are typed."""
        return ",".join(self._texts(start, len(self) if stop is None else stop))

    def _texts(self, start: int, stop: int) -> Iterator[str]:
        before = 0
        for each in self.ranges:
            part = each[max(0, start - before) : max(0, stop - before)]
            before += len(each)
            if len(part) == 1:
                yield str(part[0])
            elif part:
                yield f"{part[0]}-{part[-1]}" + (f":{part.step}" if part.step > 1 else "")


@lru_cache(64)
def parse_array(text: str) -> Indices:
    """Read Slurm's ``1-1000%20``, ``0-99:10`` or ``1,5,7-9``. Raises ValueError: one line that names the fix."""
    shown = f"--array {text[:60]!r}"
    wanted, percent, most = text.partition("%")
    if percent and not (most.isascii() and most.isdecimal() and len(most) <= 10 and int(most) >= 1):
        raise ValueError(f"{shown}: after % write how many tasks may run at once, at least 1; leave % out for no limit")
    parts = wanted.split(",")
    if len(parts) > MOST_RANGES:
        raise ValueError(f"{shown}: it has {len(parts)} ranges, the most is {MOST_RANGES}: submit it in parts")
    ranges = sorted((_range(shown, part.strip()) for part in parts), key=lambda each: each[0])
    for before, following in pairwise(ranges):
        if following[0] <= before[-1]:
            both = f"{_words(before)} and {_words(following)} overlap"
            raise ValueError(f"{shown}: {both}: write each index in one range")
    indices = Indices(tuple(ranges), min(int(most), MOST_TASKS) if percent else 0)
    if len(indices) > MOST_TASKS:
        raise ValueError(f"{shown}: it has {len(indices)} tasks, the most is {MOST_TASKS}: submit it in parts")
    return indices


def _range(shown: str, part: str) -> range:
    found = _RANGE.fullmatch(part)
    if found is None:
        what = f"{part[:40]!r} is not an index or a range" if part else "an index or a range is missing"
        raise ValueError(f"{shown}: {what}: {_EXAMPLE}")
    first = int(found[1])
    last = first if found[2] is None else int(found[2])
    step = 1 if found[3] is None else int(found[3])
    if last < first:
        raise ValueError(f"{shown}: {first}-{last} runs backwards: write {last}-{first}")
    if last > HIGHEST_INDEX:
        raise ValueError(f"{shown}: {last} is too high: the highest index is {HIGHEST_INDEX}")
    if step < 1:
        raise ValueError(f"{shown}: a step must be at least 1: {_EXAMPLE}")
    return range(first, last + 1, step)


def _words(one: range) -> str:
    return str(one[0]) if len(one) == 1 else f"{one[0]}-{one[-1]}"
