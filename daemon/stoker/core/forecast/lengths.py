"""How long jobs will probably run: what earlier jobs of the same name and principal took, their time limit, or a guess."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from stoker.core.model.states import ApplicationState, DriverState
from stoker.core.model.views import AppView, ClusterView, DriverView

Source = Literal["earlier runs", "time limit", "assumed"]
DEFAULT_LENGTH = 3600.0  # seconds, of a job of which nothing is known, in a cluster where nothing has ended


class Length(NamedTuple):
    seconds: float
    source: Source


class Lengths:
    """``assumed``: seconds for jobs of which nothing is known; None: the median of all jobs that have finished."""

    def __init__(self, cluster: ClusterView, assumed: float | None = None) -> None:
        runs: dict[tuple[str, str], list[float]] = {}
        for key, seconds in _finished(cluster):
            runs.setdefault(key, []).append(seconds)
        self._usual = {key: _median(times) for key, times in runs.items()}
        usual = _median([seconds for times in runs.values() for seconds in times]) if runs else DEFAULT_LENGTH
        self.assumed = usual if assumed is None else assumed

    def of(self, job: DriverView | AppView) -> Length:
        """Return how long the job runs in all, counted from its start."""
        usual = self._usual.get((job.name, job.principal))
        if usual is not None:
            return Length(min(usual, job.time_limit or usual), "earlier runs")
        return self.of_limit(job.time_limit)

    def of_limit(self, time_limit: float) -> Length:
        """Return the length of a job of which only the limit is known (0: not even that)."""
        return Length(time_limit, "time limit") if time_limit else Length(self.assumed, "assumed")

    def left(self, job: DriverView | AppView, now: float) -> Length:
        """Return how long a job that runs will go on. One that runs longer than usual has its limit, else as long again as
        it has run: of what has lasted, nothing better is known."""
        length, ran = self.of(job), max(0.0, now - (_since(job) or now))
        if job.kill is not None:
            return Length(0.0, length.source)
        if ran < length.seconds:
            return Length(length.seconds - ran, length.source)
        if job.time_limit:
            return Length(max(0.0, job.time_limit - ran), "time limit")
        return Length(ran, length.source)


def _since(job: DriverView | AppView) -> float:
    """Return since when the job is where it runs; 0: it waits."""
    if isinstance(job, DriverView):
        return job.started if job.worker_id else 0.0
    return _first_start(executor.started for executor in job.executors)


def _finished(cluster: ClusterView) -> Iterator[tuple[tuple[str, str], float]]:
    for driver in cluster.completed_drivers:
        if driver.state is DriverState.FINISHED and driver.started:
            yield (driver.name, driver.principal), max(0.0, driver.ended - driver.started)
    for app in cluster.completed_apps:
        started = _first_start(executor.started for executor in app.removed_executors)
        if app.state is ApplicationState.FINISHED and started:
            yield (app.name, app.principal), max(0.0, app.ended - started)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _first_start(times: Iterable[float]) -> float:
    return min((at for at in times if at), default=0.0)
