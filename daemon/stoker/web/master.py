"""The master's dashboard: pages and JSON from immutable snapshots (spec 15.1, 15.2, 15.5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from flask import Flask, Response, jsonify, make_response, redirect, render_template, request
from werkzeug.exceptions import BadRequest, Forbidden, NotFound
from werkzeug.wrappers import Response as BaseResponse

from stoker.core.snapshot import ClusterView
from stoker.core.states import DriverState, MasterState
from stoker.errors import StokerError
from stoker.web.common import Csrf, new_app
from stoker.web.spark_json import cluster_json, utilization_json


class MasterControl(Protocol):
    """What the dashboard may change."""

    def kill(self, job_id: str) -> str: ...


def make_app(
    snapshot: Callable[[], ClusterView],
    control: MasterControl,
    *,
    host: str = "127.0.0.1",
    title: str = "",
    kill_enabled: bool = True,
) -> Flask:
    app = new_app(__name__, host=host)
    csrf = Csrf()

    def page(template: str, cluster: ClusterView, **values: Any) -> Response:
        token = csrf.token()
        heading = title or f"Stoker master at {cluster.url}"
        body = render_template(
            template, cluster=cluster, title=heading, csrf=token, may_kill=kill_enabled, worker_links=_links(cluster), **values
        )
        return csrf.give(make_response(body), token)

    @app.get("/")
    def index() -> Response:
        cluster = snapshot()
        return page("master.html", cluster, summary=_summary(cluster))

    @app.get("/app/")
    def app_page() -> Response:
        cluster, wanted = snapshot(), request.args.get("appId", "")
        found = _find((*cluster.active_apps, *cluster.completed_apps), wanted)
        if found is None:
            raise NotFound(f"No running application with ID {wanted}")
        return page("app.html", cluster, app=found)

    @app.get("/driver/")
    def driver_page() -> Response:
        cluster, wanted = snapshot(), request.args.get("driverId", "")
        found = _find((*cluster.active_drivers, *cluster.completed_drivers), wanted)
        if found is None:
            raise NotFound(f"No driver with ID {wanted}")
        return page("driver.html", cluster, driver=found)

    @app.post("/app/kill/")
    @app.post("/driver/kill/")
    def kill() -> BaseResponse:
        if not kill_enabled:
            raise Forbidden("Killing from this dashboard is switched off (spark.ui.killEnabled).")
        csrf.check()
        wanted = request.form.get("id", "")
        if request.form.get("terminate") != "true" or not wanted:
            raise BadRequest("A kill needs an id and terminate=true.")
        try:
            control.kill(wanted)
        except StokerError as error:
            raise NotFound(str(error)) from None
        return redirect("/", 303)

    @app.get("/json/")
    def whole_json() -> Response:
        return jsonify(cluster_json(snapshot()))

    @app.get("/json/<field>")
    def one_field(field: str) -> Response:
        cluster = snapshot()
        if field == "clusterutilization":
            return jsonify(utilization_json(cluster))
        whole = cluster_json(cluster)
        if field not in whole:
            raise NotFound(f"there is no field {field!r}: it is one of {', '.join(sorted(whole))}")
        return jsonify({field: whole[field]})

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    @app.get("/readyz")
    def readyz() -> Response:
        state = snapshot().state
        return make_response(jsonify(status=state.value), 200 if state is MasterState.ALIVE else 503)

    return app


def _find(views: tuple[Any, ...], wanted: str) -> Any:
    return next((view for view in views if view.id == wanted), None)


def _links(cluster: ClusterView) -> dict[str, str]:
    """Worker id -> its dashboard, if it has one and can be reached by a link."""
    return {worker.id: worker.webui_url for worker in cluster.workers if worker.webui_url.startswith(("http://", "https://"))}


def _summary(cluster: ClusterView) -> dict[str, Any]:
    drivers: Counter[DriverState] = Counter(driver.state for driver in (*cluster.active_drivers, *cluster.completed_drivers))
    waiting = drivers[DriverState.SUBMITTED]
    json = cluster_json(ClusterView(url="", state=cluster.state, epoch=0, version="", workers=cluster.workers))
    return {
        "workers": Counter(worker.state.value for worker in cluster.workers),
        "cores": json["cores"],
        "cores_used": json["coresused"],
        "memory": json["memory"],
        "memory_used": json["memoryused"],
        "drivers_active": len(cluster.active_drivers),
        "drivers_waiting": waiting,
        "drivers": {state.value: count for state, count in drivers.items()},
    }


