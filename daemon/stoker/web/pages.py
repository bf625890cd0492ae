"""The master's pages (spec 15.1, 15.2): the overview, one application, one driver, one worker."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, Protocol, TypeVar

from flask import Flask, Response, g, render_template, request
from werkzeug.exceptions import NotFound

from stoker.core.model.arrays.ids import tasks_id
from stoker.core.model.resources import counted
from stoker.core.model.states import ApplicationState, DriverState
from stoker.core.model.views import AppView, ClusterView, DriverView, ExecutorView, WorkerView
from stoker.errors import StokerError
from stoker.security.roles import AccessRole
from stoker.web.access.policy import Access, who
from stoker.web.csrf import Csrf
from stoker.web.listing import Listing
from stoker.web.live import Audience, LivePages, Scene
from stoker.web.pool_page import pool_page
from stoker.web.tables import ACTIVE_APPS, ACTIVE_DRIVERS, COMPLETED_APPS, COMPLETED_DRIVERS, WORKERS
from stoker.web.timeline import app_timeline, driver_timeline

Status = Callable[[str], DriverView | AppView]
Item = TypeVar("Item", AppView, DriverView, WorkerView)
REASONS = 3  # of waiting drivers and applications, on the overview
EXECUTORS = 200  # rows of one application's page


class Reason(NamedTuple):
    path: str
    job: AppView | DriverView


class ExecutorOf(NamedTuple):
    app: AppView
    executor: ExecutorView


class PageRenderer(Protocol):
    def __call__(
        self, template: str, scene: Scene, make: Callable[[], dict[str, Any]], *, also: object = ""
    ) -> Response:
        """Answer with the page that ``make`` fills, unless the browser already shows it."""
        ...


def add_pages(
    app: Flask,
    snapshot: Callable[[], ClusterView],
    *,
    access: Access,
    title: str,
    status: Status,
) -> None:
    """``title`` is spark.ui.title; ``status`` answers about one job, with the tasks of an array."""
    live = LivePages(snapshot)
    page = _page_maker(live, app.extensions["csrf"], access, title)
    _add_overview(app, live, page)
    _add_details(app, live, page, status)

    @app.get("/pools/")
    def pools() -> Response:
        scene = live.scene()
        return page("pools.html", scene, lambda: pool_page(scene.cluster))


def _page_maker(live: LivePages, csrf: Csrf, access: Access, title: str) -> PageRenderer:
    audience = Audience()

    def page(template: str, scene: Scene, make: Callable[[], dict[str, Any]], *, also: object = "") -> Response:
        token = csrf.token()

        def body() -> str:
            values = {"title": title or f"Stoker Master at {scene.cluster.url}", **make()}
            return render_template(
                template,
                cluster=scene.cluster,
                scene=scene,
                live=True,
                csrf=csrf.PLACE,
                may_kill=access.kill_enabled and who().may(AccessRole.SUBMITTER),
                may_drain=access.kill_enabled and who().may(AccessRole.OPERATOR),
                **values,
            )

        response = live.answer(scene, body, visitor=f"{who()} {g.get('session_ended')}", also=also)
        response.headers["Look-After"] = f"{audience.pace(token, time.monotonic()):.1f}"
        return csrf.give(response, token)

    return page


def _add_overview(app: Flask, live: LivePages, page: PageRenderer) -> None:
    @app.get("/")
    def index() -> Response:
        scene = live.scene()
        return page("master.html", scene, lambda: _overview(scene))


def _overview(scene: Scene) -> dict[str, Any]:
    cluster = scene.cluster
    pools = [pool.name for pool in cluster.pools]
    return {
        "workers": Listing(WORKERS, cluster.workers, scene.worker_states),
        "apps": Listing(ACTIVE_APPS, cluster.active_apps, scene.app_states, pools=pools),
        "drivers": Listing(ACTIVE_DRIVERS, cluster.active_drivers, scene.active_states, pools=pools),
        "completed_apps": Listing(COMPLETED_APPS, cluster.completed_apps[::-1], pools=pools),
        "completed_drivers": Listing(
            COMPLETED_DRIVERS, cluster.completed_drivers[::-1], scene.completed_states, pools=pools
        ),
        "cores": sum(worker.cores for worker in scene.alive),
        "cores_used": sum(worker.cores_used for worker in scene.alive),
        "memory": sum(worker.memory_mib for worker in scene.alive),
        "memory_used": sum(worker.memory_used_mib for worker in scene.alive),
        "resources": list(_named(scene.alive)),
        "reasons": list(islice(_reasons(scene), REASONS)),
    }


def _named(workers: Iterable[WorkerView]) -> Iterator[tuple[str, int, int]]:
    """Return name, addresses offered and addresses used of each named resource of the workers."""
    total: Counter[str] = Counter()
    used: Counter[str] = Counter()
    for worker in workers:
        total.update(dict(counted(worker.resources)))
        used.update(dict(counted(worker.resources_used)))
    yield from ((name, total[name], used[name]) for name in sorted(total))


def _reasons(scene: Scene) -> Iterator[Reason]:
    """Return each waiting job, in order of submission."""
    for app in scene.cluster.active_apps:
        if app.state is ApplicationState.WAITING:
            yield Reason(f"/app/?appId={app.id}", app)
    for driver in scene.cluster.active_drivers:
        if driver.state is DriverState.SUBMITTED:
            yield Reason(f"/driver/?driverId={driver.id}", driver)


def _add_details(app: Flask, live: LivePages, page: PageRenderer, status: Status) -> None:
    @app.get("/app/")
    def app_page() -> Response:
        scene = live.scene()
        found = _find(
            (scene.cluster.active_apps, scene.cluster.completed_apps), "appId", "No running application with ID"
        )

        def values() -> dict[str, Any]:
            timeline = app_timeline(found, time.time())
            title = f"Application: {found.name}"
            return {"app": found, "line": timeline, "title": title, "executors_shown": EXECUTORS}

        return page("app.html", scene, values)

    @app.get("/driver/")
    def driver_page() -> Response:
        scene = live.scene()
        found = _driver(scene.cluster, status)

        def values() -> dict[str, Any]:
            timeline = driver_timeline(found, time.time())
            return {"driver": found, "line": timeline, "title": f"Driver: {found.name}"}

        return page("driver.html", scene, values, also=hash((found.state, found.array)))

    @app.get("/worker/")
    def worker_page() -> Response:
        scene = live.scene()
        found = _find((scene.cluster.workers,), "workerId", "No worker with ID")

        def values() -> dict[str, Any]:
            drivers = [driver for driver in scene.cluster.active_drivers if driver.worker_id == found.id]
            executors = list(_executors_on(scene.cluster, found.id))
            return {
                "worker": found,
                "drivers": drivers,
                "executors": executors,
                "title": f"Worker {found.address}",
            }

        return page("worker_of_master.html", scene, values, also=found.last_heartbeat)


def _driver(cluster: ClusterView, status: Status) -> DriverView:
    """Return the driver that is asked for; of an array with its tasks, and of a task also if it has not started."""
    wanted = request.args.get("driverId", "")
    views = (*cluster.active_drivers, *cluster.completed_drivers)
    found = next((view for view in views if view.id == wanted), None)
    if (found is not None and found.array is None) or (found is None and tasks_id(wanted) is None):
        return _find((views,), "driverId", "No driver with ID")
    in_full: DriverView | AppView | None = found
    with contextlib.suppress(StokerError):  # of a master that leads no more, or it is unknown
        in_full = status(wanted)
    if not isinstance(in_full, DriverView):
        raise NotFound(f"No driver with ID {wanted[:80]}")
    return in_full


def _executors_on(cluster: ClusterView, worker_id: str) -> Iterator[ExecutorOf]:
    for app in cluster.active_apps:
        for executor in app.executors:
            if executor.worker_id == worker_id:
                yield ExecutorOf(app, executor)


def _find(groups: Sequence[Sequence[Item]], parameter: str, otherwise: str) -> Item:
    wanted = request.args.get(parameter, "")
    for group in groups:
        for item in group:
            if item.id == wanted:
                return item
    raise NotFound(f"{otherwise} {wanted[:80]}")
