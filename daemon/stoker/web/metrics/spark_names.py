"""The gauges under Spark's names (spec 15.7), for dashboards made for Spark standalone: as Prometheus text, where every
gauge comes twice and has the label ``type``, and as the JSON of Spark's metrics servlet."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from stoker.core.model.states import ApplicationState
from stoker.core.model.views import ClusterView
from stoker.core.model.worker_views import WorkerPage


def master(cluster: ClusterView) -> dict[str, object]:
    return {
        "master.workers": len(cluster.workers),
        "master.aliveWorkers": len(cluster.live_workers),
        "master.apps": len(cluster.active_apps),
        "master.waitingApps": sum(app.state is ApplicationState.WAITING for app in cluster.active_apps),
    }


def applications(cluster: ClusterView) -> dict[str, object]:
    now = time.time()
    return {
        f"application.{app.name}.{round(app.submitted * 1000)}.{name}": value
        for app in cluster.active_apps
        for name, value in (
            ("status", app.state.value),
            ("runtime_ms", round((now - app.submitted) * 1000)),
            ("cores", app.cores_granted),
        )
    }


def worker(page: WorkerPage) -> dict[str, object]:
    return {
        "worker.executors": len(page.executors),
        "worker.coresUsed": page.cores_used,
        "worker.memUsed_MB": page.memory_used_mib,
        "worker.coresFree": page.cores - page.cores_used,
        "worker.memFree_MB": page.memory_mib - page.memory_used_mib,
    }


def as_metrics(gauges: Mapping[str, object]) -> Iterator[Metric]:
    """Return the numeric gauges; keys that Prometheus cannot distinguish become one."""
    seen = set()
    for key, value in gauges.items():
        name = "metrics_" + re.sub("[^a-zA-Z0-9]", "_", key) + "_"
        if not isinstance(value, (int, float)) or name in seen:
            continue
        seen.add(name)
        for suffix in ("Number", "Value"):
            family = GaugeMetricFamily(name + suffix, f"Spark's {key}", labels=["type"])
            family.add_metric(["gauges"], value)
            yield family


def as_servlet(gauges: Mapping[str, object]) -> dict[str, object]:
    return {
        "version": "4.0.0",  # of the format
        "gauges": {name: {"value": value} for name, value in gauges.items()},
        "counters": {},
        "histograms": {},
        "meters": {},
        "timers": {},
    }
