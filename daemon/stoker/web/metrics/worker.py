"""A worker's own metrics for Prometheus. Memory in bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.metrics_core import InfoMetricFamily, Metric

from stoker.core.model.states import DriverState, ExecutorState
from stoker.core.model.worker_views import WorkerPage
from stoker.version import __version__
from stoker.web.metrics.cluster import MIB, by_label, gauge, named_resources


def worker_metrics(page: WorkerPage) -> Iterator[Metric]:
    executors = Counter(executor.state for executor in (*page.executors, *page.finished_executors))
    drivers = Counter(driver.state for driver in (*page.drivers, *page.finished_drivers))
    yield InfoMetricFamily("stoker_build", "Version of this daemon", {"version": __version__})
    yield gauge("stoker_worker_registered", "1 while a master knows this worker", float(bool(page.master_url)))
    yield gauge("stoker_worker_own_cores", "Cores this worker offers", page.cores)
    yield gauge("stoker_worker_own_cores_used", "Cores in use", page.cores_used)
    yield gauge("stoker_worker_own_memory_bytes", "Memory this worker offers", page.memory_mib * MIB)
    yield gauge("stoker_worker_own_memory_used_bytes", "Memory in use", page.memory_used_mib * MIB)
    yield gauge("stoker_worker_unfit", "1 while this host is not well: it starts nothing new", float(bool(page.unfit)))
    yield from named_resources([page.resources], [page.resources_used], "stoker_worker_own")
    yield by_label(
        "stoker_worker_executors",
        "Executors by state, those that are over as long as they are kept",
        ["state"],
        [([state.value], executors[state]) for state in ExecutorState],
    )
    yield by_label(
        "stoker_worker_drivers",
        "Drivers by state, those that are over as long as they are kept",
        ["state"],
        [([state.value], drivers[state]) for state in DriverState],
    )
