"""Counters and histograms of a master, for monitoring. They begin at 0 with its process and only grow."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from stoker.core.model.states import ApplicationState, DriverState, ExecutorState
from stoker.core.model.values import Value

# Upper bounds of the buckets, in seconds.
WAITS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 21600.0)
STARTS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)
DURATIONS = (1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, 86400.0, 604800.0)


class Distribution(Value, frozen=True):
    """A copy of a histogram: ``counts`` has one number for each of ``bounds`` and one for what is above all of them."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float  # seconds


class Histogram:
    """Durations, counted in buckets."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration. A negative one (the clock was set back) counts as 0."""
        seconds = max(0.0, seconds)
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def copy(self) -> Distribution:
        return Distribution(bounds=self._bounds, counts=tuple(self._counts), sum=self._sum)


class Counts(Value, frozen=True):
    """A copy of a ``Tally``; its attributes have the same names."""

    drivers_submitted: int
    drivers_ended: dict[DriverState, int]
    driver_attempts: int
    driver_restarts: dict[str, int]
    applications_registered: int
    applications_ended: dict[ApplicationState, int]
    executors_launched: int
    executors_ended: dict[ExecutorState, int]
    workers_registered: int
    workers_lost: int
    workers_removed: dict[str, int]
    jobs_refused: int
    driver_wait: Distribution
    driver_start: Distribution
    driver_duration: Distribution
    application_wait: Distribution
    application_duration: Distribution
    executor_start: Distribution


class Tally:
    """The numbers themselves. The core changes them; each change costs the same, whatever has been counted."""

    def __init__(self) -> None:
        self.drivers_submitted = 0
        self.drivers_ended = {state: 0 for state in DriverState if state.is_final}
        self.driver_attempts = 0  # placed on a worker
        self.driver_restarts = {"failed": 0, "worker_lost": 0, "drained": 0}  # of supervised drivers, by cause
        self.applications_registered = 0
        self.applications_ended = {state: 0 for state in ApplicationState if state.is_final}
        self.executors_launched = 0
        self.executors_ended = {state: 0 for state in ExecutorState if state.is_final}
        self.workers_registered = 0
        self.workers_lost = 0  # without having announced it
        self.workers_removed = {"dead": 0, "forgotten": 0}  # from the list: after a time, or by an operator
        self.jobs_refused = 0  # by workers
        self.driver_wait = Histogram(WAITS)  # from the submission, or the end of the last attempt, to a worker
        self.driver_start = Histogram(STARTS)  # from being placed on a worker to running there
        self.driver_duration = Histogram(DURATIONS)  # from the first start to the end
        self.application_wait = Histogram(WAITS)  # from the registration to the first executor
        self.application_duration = Histogram(DURATIONS)  # from the registration to the end
        self.executor_start = Histogram(STARTS)

    def copy(self) -> Counts:
        values: dict[str, Any] = {
            name: value.copy() if isinstance(value, (dict, Histogram)) else value for name, value in vars(self).items()
        }
        return Counts(**values)
