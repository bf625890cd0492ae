"""The master's dashboard: pages and JSON from immutable snapshots (spec 15.1, 15.2, 15.5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from flask import Flask, Response, make_response, redirect, render_template, request
from werkzeug.exceptions import BadRequest, Forbidden, NotFound
from werkzeug.wrappers import Response as BaseResponse

from stoker.core.access import AccessRole
from stoker.core.snapshot import AppView, ClusterView, DriverView
from stoker.core.states import DriverState, MasterState
from stoker.errors import StokerError
from stoker.web.access.audit import audit
from stoker.web.access.guard import needs
from stoker.web.access.policy import Access, who
from stoker.web.common import as_json, new_app, refusal
from stoker.web.csrf import Csrf
from stoker.web.show import web_link
from stoker.web.spark_json import CLUSTER_FIELDS, cluster_json, spark_state, utilization_json

Job = TypeVar("Job", AppView, DriverView)


class MasterControl(Protocol):
    """What the dashboard may change; called from its own threads."""

    def kill(self, job_id: str, owner: str | None) -> str:
        """Kill a driver or application; what was done, in words. ``owner``: only what was submitted by that one; None:
        anybody's. Raises StokerError, whose text is shown."""
        ...


def make_app(
    snapshot: Callable[[], ClusterView],
    control: MasterControl,
    *,
    access: Access | None = None,
    title: str = "",
) -> Flask:
    """``title`` is spark.ui.title ("": the master's URL). ``snapshot`` may raise StokerError, which becomes a 503."""
    access = access or Access()
    app = new_app(__name__, access=access)
    app.jinja_env.filters["spark_state"] = lambda worker: spark_state(worker).value
    _add_pages(app, snapshot, control, title, access)
    _add_json(app, snapshot)
    return app


def _add_pages(
    app: Flask, snapshot: Callable[[], ClusterView], control: MasterControl, title: str, access: Access
) -> None:
    csrf: Csrf = app.extensions["csrf"]

    def page(template: str, cluster: ClusterView, **values: Any) -> Response:
        token = csrf.token()
        values["title"] = values.get("title") or title or f"Stoker Master at {cluster.url}"
        links = {worker.id: link for worker in cluster.workers if (link := web_link(worker.webui_url))}
        may_kill = access.kill_enabled and who().may(AccessRole.SUBMITTER)
        body = render_template(template, cluster=cluster, csrf=token, may_kill=may_kill, links=links, **values)
        return csrf.give(make_response(body), token)

    @app.get("/")
    def index() -> Response:
        cluster = snapshot()
        return page("master.html", cluster, summary=_summary(cluster))

    @app.get("/app/")
    def app_page() -> Response:
        cluster = snapshot()
        found = _find((*cluster.active_apps, *cluster.completed_apps), "appId", "No running application with ID")
        return page("app.html", cluster, app=found, title=f"Application: {found.name}")

    @app.get("/driver/")
    def driver_page() -> Response:
        cluster = snapshot()
        found = _find((*cluster.active_drivers, *cluster.completed_drivers), "driverId", "No driver with ID")
        return page("driver.html", cluster, driver=found, title=f"Driver: {found.name}")

    @app.post("/app/kill/")
    @app.post("/driver/kill/")
    @needs(AccessRole.SUBMITTER)
    def kill() -> BaseResponse:
        if not access.kill_enabled:
            raise Forbidden("Killing from this dashboard is switched off (spark.ui.killEnabled).")
        job_id = request.form.get("id", "")
        if request.form.get("terminate") != "true" or not job_id:
            raise BadRequest("A kill needs an id and terminate=true.")
        try:
            control.kill(job_id, who().kills_as)
        except StokerError as error:
            audit("kill", job_id, str(error))
            raise refusal(error) from None
        audit("kill", job_id)
        return redirect("/", 303)


def _add_json(app: Flask, snapshot: Callable[[], ClusterView]) -> None:
    @app.get("/json/")
    def whole_json() -> Response:
        return as_json(cluster_json(snapshot()))

    @app.get("/json/clusterutilization/")
    def utilization() -> Response:
        return as_json(utilization_json(snapshot()))

    @app.get("/json/<field>/")
    def one_field(field: str) -> Response:
        if field not in CLUSTER_FIELDS:
            raise NotFound(f"There is no field {field[:40]!r}: it is one of {', '.join(CLUSTER_FIELDS)}.")
        return as_json({field: CLUSTER_FIELDS[field](snapshot())})

    @app.get("/healthz")
    @needs(AccessRole.NONE)
    def healthz() -> Response:
        """The daemon answers, whatever its state."""
        return as_json({"status": "ok"})

    @app.get("/readyz")
    @needs(AccessRole.NONE)
    def readyz() -> Response:
        """200 only from a master that takes work: not from a standby, not during recovery."""
        state = snapshot().state
        return as_json({"status": state.value}, 200 if state is MasterState.ALIVE else 503)


def _find(jobs: Sequence[Job], parameter: str, otherwise: str) -> Job:
    wanted = request.args.get(parameter, "")
    for job in jobs:
        if job.id == wanted:
            return job
    raise NotFound(f"{otherwise} {wanted[:80]}")


def _summary(cluster: ClusterView) -> dict[str, Any]:
    """What the page's head counts; drivers waiting to be placed or to be relaunched are not running."""
    active = Counter(driver.state for driver in cluster.active_drivers)
    completed = Counter(driver.state for driver in cluster.completed_drivers)
    waiting, relaunching = active[DriverState.SUBMITTED], active[DriverState.RELAUNCHING]
    return {
        "workers": Counter(spark_state(worker).value for worker in cluster.workers),
        "running": len(cluster.active_drivers) - waiting - relaunching,
        "waiting": waiting,
        "relaunching": relaunching,
        "completed": Counter({state.value: count for state, count in completed.items()}),
        **{field: CLUSTER_FIELDS[field](cluster) for field in ("cores", "coresused", "memory", "memoryused")},
    }
