"""The master's dashboard: pages and JSON from immutable snapshots (spec 15.1, 15.2, 15.5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from flask import Flask, Response
from werkzeug.exceptions import NotFound

from stoker.config.effective import NOTHING_SET, ShownSettings
from stoker.core.model.counts import Counts
from stoker.core.model.messages import LogData, ReadLog
from stoker.core.model.views import ClusterView
from stoker.security.roles import AccessRole
from stoker.web.access.guard import needs
from stoker.web.access.policy import Access
from stoker.web.api.events import EventStream, add_events
from stoker.web.api.routes import ApiControl, add_api
from stoker.web.changes import add_changes
from stoker.web.common import as_json, as_spark_json, new_app
from stoker.web.log_pages import add_log_pages
from stoker.web.log_window import LogReaders
from stoker.web.masters import connect_masters
from stoker.web.metrics.routes import add_master_metrics
from stoker.web.own_pages import add_environment
from stoker.web.pages import add_pages
from stoker.web.spark_json import CLUSTER_FIELDS, cluster_json, utilization_json


class MasterControl(ApiControl, Protocol):
    """What the dashboard needs from the master besides snapshots; called from the dashboard's threads."""

    def counts(self) -> Counts:
        """Return the counters and histograms, as of the latest snapshot. Raises StokerError while the master starts."""
        ...

    def read_log(self, question: ReadLog) -> LogData:
        """Return a part of a job's output. Raises StokerError, whose text is shown."""
        ...


def make_app(
    snapshot: Callable[[], ClusterView],
    control: MasterControl,
    *,
    access: Access | None = None,
    title: str = "",
    own: ShownSettings = NOTHING_SET,
) -> Flask:
    """Make the dashboard. ``title`` is spark.ui.title ("": the master's URL), ``own`` the settings. ``snapshot`` may raise
    StokerError: a 503."""
    access = access or Access()
    app = new_app(__name__, access=access)
    connect_masters(app, snapshot)
    add_pages(app, snapshot, access=access, title=title, status=control.status)
    logs = LogReaders(control.read_log)
    add_log_pages(app, logs, back="Master")
    add_environment(app, own, daemon="Master")
    add_changes(app, control, access)
    _add_json(app, snapshot)
    add_master_metrics(app, snapshot, control.counts)
    app.jinja_env.globals["has_api"] = True  # pages link to it
    add_events(add_api(app, snapshot, control, logs, access), EventStream(snapshot))
    return app


def _add_json(app: Flask, snapshot: Callable[[], ClusterView]) -> None:
    @app.get("/json/")
    def whole_json() -> Response:
        return as_spark_json(cluster_json(snapshot()))

    @app.get("/json/clusterutilization/")
    def utilization() -> Response:
        return as_spark_json(utilization_json(snapshot()))

    @app.get("/json/<field>/")
    def one_field(field: str) -> Response:
        if field not in CLUSTER_FIELDS:
            raise NotFound(f"There is no field {field[:40]!r}: it is one of {', '.join(CLUSTER_FIELDS)}.")
        return as_spark_json({field: CLUSTER_FIELDS[field](snapshot())})

    @app.get("/healthz")
    @needs(AccessRole.NONE)
    def healthz() -> Response:
        """Answer 200: the daemon runs, whatever its state."""
        return as_json({"status": "ok"})
