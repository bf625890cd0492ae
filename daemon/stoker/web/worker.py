"""The worker's dashboard: its page, its JSON, and the output of its jobs (spec 15.4, 15.5)."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask, Response, render_template, request

from stoker.config.effective import NOTHING_SET, ShownSettings
from stoker.core.model.worker_views import WorkerPage
from stoker.security.roles import AccessRole
from stoker.web.access.guard import needs
from stoker.web.access.policy import Access
from stoker.web.common import as_json, as_spark_json, new_app
from stoker.web.log_pages import add_log_pages
from stoker.web.log_window import LogReaders, ReadLogs
from stoker.web.metrics.routes import add_worker_metrics
from stoker.web.own_pages import add_environment
from stoker.web.spark_json import worker_page_json


def make_app(
    snapshot: Callable[[], WorkerPage],
    read_log: ReadLogs,
    *,
    access: Access | None = None,
    own: ShownSettings = NOTHING_SET,
) -> Flask:
    """Make the dashboard. ``own`` are the worker's settings. ``snapshot`` may raise StokerError, which becomes a 503."""
    app = new_app(__name__, access=access)

    @app.get("/")
    def index() -> Response:
        page = snapshot()
        title = f"Stoker Worker at {page.address}"
        response = Response(render_template("worker.html", page=page, title=title, live=True))
        response.add_etag()
        response.make_conditional(request)
        return response

    @app.get("/json/")
    def whole_json() -> Response:
        return as_spark_json(worker_page_json(snapshot()))

    add_log_pages(app, LogReaders(read_log), back="Worker")
    add_environment(app, own, daemon="Worker")
    add_worker_metrics(app, snapshot)

    @app.get("/healthz")
    @needs(AccessRole.NONE)
    def healthz() -> Response:
        return as_json({"status": "ok"})

    return app
