"""Timelines as bars: the attempts of a driver, the executors of an application."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from stoker.core.model.views import AppView, DriverView

MOST = 40  # bars; the latest

LEAST = 0.4  # percent: the least visible width


class Bar(NamedTuple):
    """``start`` and ``width`` are in percent of the time shown."""

    label: str
    state: str
    start: float
    width: float
    seconds: float


class Timeline(NamedTuple):
    """``begin`` and ``end`` in seconds since the Unix epoch; ``left_out`` counts bars beyond the limit."""

    begin: float
    end: float
    bars: list[Bar]
    left_out: int


class _Run(NamedTuple):
    label: str
    state: str
    started: float
    ended: float


def driver_timeline(driver: DriverView, now: float) -> Timeline:
    """Waiting for a worker is a bar as well: from the submission to the first attempt, and between attempts. An array of
    which a task has started is one bar."""
    end = driver.ended or now
    runs: list[_Run] = []
    if driver.array is not None and (driver.ended or driver.array.not_started < driver.array.tasks):
        return _timeline([_Run("tasks", driver.state.value, driver.submitted, end)], driver.submitted, end)
    free_at = driver.submitted
    for attempt in driver.attempts:
        if attempt.started - free_at > 1 or not runs:
            runs.append(_Run("waiting", "SUBMITTED", free_at, attempt.started))
        free_at = attempt.ended or end
        runs.append(_Run(f"attempt {attempt.number}", attempt.state.value, attempt.started, free_at))
    if not driver.attempts or (not driver.ended and driver.attempts[-1].ended):
        runs.append(_Run("waiting", driver.state.value, free_at, end))
    return _timeline(runs, driver.submitted, end)


def app_timeline(app: AppView, now: float) -> Timeline:
    end = app.ended or now
    executors = sorted((*app.removed_executors, *app.executors), key=lambda executor: executor.id)
    runs = [
        _Run(f"executor {executor.id}", executor.state.value, executor.started, executor.ended or end)
        for executor in executors
        if executor.started
    ]
    return _timeline(runs, app.submitted, end)


def _timeline(runs: Sequence[_Run], begin: float, end: float) -> Timeline:
    shown = runs[-MOST:]
    if len(shown) < len(runs):
        begin = min(run.started for run in shown)
    whole = max(end - begin, 0.001)
    bars = []
    for run in shown:
        start = min(max(100 * (run.started - begin) / whole, 0), 100 - LEAST)
        width = min(max(100 * (run.ended - run.started) / whole, LEAST), 100 - start)
        bars.append(Bar(run.label, run.state, start, width, max(run.ended - run.started, 0)))
    return Timeline(begin, end, bars, len(runs) - len(shown))
