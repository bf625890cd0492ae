"""The URLs of metrics. A scrape costs one snapshot, shared by all requests within its age."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from flask import Flask, Response
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric

from stoker.core.model.counts import Counts
from stoker.core.model.views import ClusterView
from stoker.core.model.worker_views import WorkerPage
from stoker.security.audit import refusals
from stoker.web.common import as_json
from stoker.web.metrics import cluster, pools, spark_names
from stoker.web.metrics.counts import counters, requests_refused
from stoker.web.metrics.worker import worker_metrics

View = TypeVar("View")
Gauges = dict[str, object]


class _Collector:
    """Collects at every scrape. ``describe`` keeps the registry from collecting at set-up."""

    def __init__(self, metrics: Callable[[], Iterable[Metric]]) -> None:
        self._metrics = metrics

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        return self._metrics()


def add_master_metrics(app: Flask, snapshot: Callable[[], ClusterView], counts: Callable[[], Counts]) -> None:
    """``snapshot`` may raise StokerError, which becomes a 503: Prometheus then shows the target as down."""

    def counted(_: ClusterView) -> Iterable[Metric]:
        return (*counters(counts()), requests_refused(refusals()))  # as of the snapshot that was just made

    def names_of_spark(view: ClusterView) -> Iterable[Metric]:
        return spark_names.as_metrics({**spark_names.master(view), **spark_names.applications(view)})

    def of_pools(view: ClusterView) -> Iterator[Metric]:
        yield from pools.pool_metrics(view.pools, time.time())
        yield from pools.shadow_metrics(view.shadow)

    groups = [cluster.cluster_metrics, of_pools, counted, names_of_spark]
    _add_prometheus(app, "/metrics/prometheus", snapshot, groups, process=True)
    for kind, gauges in (("master", spark_names.master), ("applications", spark_names.applications)):
        _add_spark(app, f"/metrics/{kind}", snapshot, gauges)


def add_worker_metrics(app: Flask, snapshot: Callable[[], WorkerPage]) -> None:
    def names_of_spark(page: WorkerPage) -> Iterable[Metric]:
        return spark_names.as_metrics(spark_names.worker(page))

    _add_prometheus(app, "/metrics/prometheus", snapshot, [worker_metrics, names_of_spark], process=True)
    _add_json(app, "/metrics/json", snapshot, spark_names.worker)


def _add_spark(app: Flask, path: str, snapshot: Callable[[], View], gauges: Callable[[View], Gauges]) -> None:
    _add_prometheus(
        app, f"{path}/prometheus", snapshot, [lambda view: spark_names.as_metrics(gauges(view))], process=False
    )
    _add_json(app, f"{path}/json", snapshot, gauges)


def _add_prometheus(
    app: Flask,
    path: str,
    snapshot: Callable[[], View],
    kinds: list[Callable[[View], Iterable[Metric]]],
    *,
    process: bool,
) -> None:
    registry = CollectorRegistry()
    registry.register(_Collector(lambda: _all(snapshot(), kinds)))
    if process:
        ProcessCollector(registry=registry)

    def answer() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    app.add_url_rule(path, path, answer)


def _all(view: View, kinds: list[Callable[[View], Iterable[Metric]]]) -> Iterable[Metric]:
    for kind in kinds:
        yield from kind(view)


def _add_json(app: Flask, path: str, snapshot: Callable[[], View], gauges: Callable[[View], Gauges]) -> None:
    def answer() -> Response:
        return as_json(spark_names.as_servlet(gauges(snapshot())))

    app.add_url_rule(path, path, answer)
