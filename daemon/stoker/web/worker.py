"""The worker's dashboard: its page, its JSON, and the output of its jobs (spec 15.4, 15.5)."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask, Response, render_template, request

from stoker.core.access import AccessRole
from stoker.core.worker_snapshot import WorkerPage
from stoker.web.access.guard import needs
from stoker.web.access.policy import Access
from stoker.web.common import as_json, new_app
from stoker.web.log_window import LogPaths, read_window
from stoker.web.spark_json import worker_page_json


def make_app(snapshot: Callable[[], WorkerPage], logs: LogPaths, *, access: Access | None = None) -> Flask:
    """``snapshot`` may raise StokerError, which becomes a 503."""
    app = new_app(__name__, access=access)

    @app.get("/")
    def index() -> str:
        page = snapshot()
        return render_template("worker.html", page=page, title=f"Stoker Worker at {page.host}:{page.port}")

    @app.get("/json/")
    def whole_json() -> Response:
        return as_json(worker_page_json(snapshot()))

    @app.get("/logPage/")
    def log_page() -> str:
        window = read_window(logs)
        stream = request.args.get("logType", "stdout")
        return render_template("log.html", window=window, title=f"{stream} log page for {window.name}")

    @app.get("/log/")
    def log_text() -> Response:
        window = read_window(logs)
        head = f"==== Bytes {window.start}-{window.end} of {window.size} of {window.path} ====\n"
        return Response(head + window.text, mimetype="text/plain")

    @app.get("/healthz")
    @needs(AccessRole.NONE)
    def healthz() -> Response:
        return as_json({"status": "ok"})

    return app
