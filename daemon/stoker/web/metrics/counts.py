"""Counters and histograms of a master, as Prometheus names them. They begin at 0 when the process starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from itertools import accumulate
from typing import Any

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric

from stoker.core.model.counts import Counts, Distribution


def requests_refused(count: int) -> Metric:
    """``count``: refusals in the audit trail since the process started."""
    return _counter("stoker_requests_refused", "Refusals that this process has recorded in its audit trail", count)


def counters(counts: Counts) -> Iterator[Metric]:
    yield from _totals(counts)
    yield from _durations(counts)


def _totals(counts: Counts) -> Iterator[Metric]:
    """How often something has happened."""
    yield _counter("stoker_drivers_submitted", "Drivers submitted", counts.drivers_submitted)
    yield _by("stoker_drivers_ended", "Drivers that ended, by state", "state", counts.drivers_ended)
    yield _counter("stoker_driver_attempts", "Runs of drivers that were placed on a worker", counts.driver_attempts)
    yield _by(
        "stoker_driver_restarts",
        "Restarts of supervised drivers: they failed, or their worker was lost",
        "cause",
        counts.driver_restarts,
    )
    yield _counter("stoker_applications_registered", "Applications registered", counts.applications_registered)
    yield _by("stoker_applications_ended", "Applications that ended, by state", "state", counts.applications_ended)
    yield _counter("stoker_executors_launched", "Executors placed on a worker", counts.executors_launched)
    yield _by("stoker_executors_ended", "Executors that ended, by state", "state", counts.executors_ended)
    yield _counter("stoker_workers_registered", "Registrations of workers", counts.workers_registered)
    yield _counter("stoker_workers_lost", "Workers lost that had not said that they stop", counts.workers_lost)
    yield _by(
        "stoker_workers_removed",
        "Dead workers removed from the list: after a time, or by 'stoker forget'",
        "cause",
        counts.workers_removed,
    )
    yield _counter(
        "stoker_jobs_refused", "Jobs that a worker could not start, through no fault of theirs", counts.jobs_refused
    )


def _durations(counts: Counts) -> Iterator[Metric]:
    """How long something took."""
    yield _histogram(
        "stoker_driver_queue_seconds",
        "How long drivers waited for a worker, since they were submitted or their last attempt ended",
        counts.driver_wait,
    )
    yield _histogram(
        "stoker_driver_start_seconds", "From a driver's placement to its start on the worker", counts.driver_start
    )
    yield _histogram(
        "stoker_driver_duration_seconds",
        "How long drivers took, from the first start to the end",
        counts.driver_duration,
    )
    yield _histogram(
        "stoker_application_queue_seconds",
        "How long applications waited for their first executor",
        counts.application_wait,
    )
    yield _histogram(
        "stoker_application_duration_seconds",
        "How long applications took, from the registration to the end",
        counts.application_duration,
    )
    yield _histogram(
        "stoker_executor_start_seconds",
        "From an executor's placement to its start on the worker",
        counts.executor_start,
    )


def _counter(name: str, meaning: str, value: int) -> Metric:
    return CounterMetricFamily(name, meaning, value=value)


def _by(name: str, meaning: str, label: str, values: Mapping[Any, int]) -> Metric:
    family = CounterMetricFamily(name, meaning, labels=[label])
    for key, value in values.items():
        family.add_metric([key.value if isinstance(key, Enum) else key], value)
    return family


def _histogram(name: str, meaning: str, values: Distribution) -> Metric:
    bounds = [*(f"{bound:g}" for bound in values.bounds), "+Inf"]
    buckets = list(zip(bounds, accumulate(values.counts), strict=True))
    return HistogramMetricFamily(name, meaning, buckets=buckets, sum_value=values.sum)
