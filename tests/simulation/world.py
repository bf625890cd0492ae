"""Simulated time and the events in it: one queue of calls, one source of randomness, and the story of the run."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

EPOCH = 1_800_000_000.0  # wall clock at the start of a run, seconds since the Unix epoch


class Violation(Exception):
    """An invariant does not hold. ``checker`` names the check that found it."""

    def __init__(self, checker: str, text: str) -> None:
        super().__init__(f"{checker}: {text}")
        self.checker = checker
        self.text = text


@dataclass(slots=True)
class Timer:
    call: Callable[[], None] | None

    def cancel(self) -> None:
        self.call = None


@dataclass
class World:
    """``now``: the true time in seconds since the start, which no part of the cluster can read."""

    seed: int
    tell: Callable[[str], None] | None = None  # receives the story line by line
    now: float = 0.0
    lines: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self._queue: list[tuple[float, int, Timer]] = []
        self._serial = itertools.count()

    def at(self, when: float, call: Callable[[], None]) -> Timer:
        timer = Timer(call)
        heapq.heappush(self._queue, (max(when, self.now), next(self._serial), timer))
        return timer

    def after(self, delay: float, call: Callable[[], None]) -> Timer:
        return self.at(self.now + delay, call)

    def run(self, until: float, done: Callable[[], bool] | None = None) -> bool:
        """Run to ``until``, or until ``done`` (checked once a simulated second). Return whether it was done."""
        look = self.now
        while self._queue and self._queue[0][0] <= until:
            when, _, timer = heapq.heappop(self._queue)
            if timer.call is None:
                continue
            if done is not None and when >= look:
                if done():
                    return True
                look = when + 1.0
            self.now = when
            timer.call()
        self.now = until
        return done is not None and done()

    def note(self, who: str, text: str, *values: Any) -> None:
        """Add a line to the story; it is formatted only when somebody reads it."""
        self.lines += 1
        if self.tell is not None:
            shown = " ".join(str(value) for value in values)
            self.tell(f"{self.now:10.4f}  {who:<10} {text}{' ' if shown else ''}{shown}")

    def latency(self) -> float:
        """Return the latency of one message in seconds: mostly a millisecond, now and then much more."""
        draw = self.rng.random()
        if draw < 0.9:
            return 0.0005 + 0.002 * self.rng.random()
        return 0.05 * self.rng.random() if draw < 0.99 else 1.5 * self.rng.random()


@dataclass(eq=False)
class Host:
    """A machine: its clocks, and whether it has power."""

    world: World
    name: str
    is_up: bool = True
    uptime: float = 0.0  # monotonic clock at the start of the run
    wall_error: float = 0.0  # of its wall clock, in seconds; jumps
    boots: int = 0
    # Until then, ended work may still run here: the host was cut off, or a process on it was frozen.
    doubtful_until: float = field(default=float("-inf"))
    settles: float = 0.0  # seconds from then until everything is noticed, and outdated work stopped

    def doubt(self, until: float) -> None:
        self.doubtful_until = max(self.doubtful_until, until + self.settles)

    def mono(self) -> float:
        return self.uptime + self.world.now

    def wall(self) -> float:
        return EPOCH + self.world.now + self.wall_error

    def true_time(self, mono: float) -> float:
        return mono - self.uptime
