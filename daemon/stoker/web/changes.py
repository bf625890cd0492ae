"""Changes from the master's pages: kill and hold jobs, drain workers. Forms only; the guard has checked the sender."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlencode

from flask import Flask, Response, redirect, request
from werkzeug import exceptions
from werkzeug.exceptions import BadRequest, Forbidden
from werkzeug.wrappers import Response as BaseResponse

from stoker.config.types import parse_time_limit
from stoker.core.model.changes import JobChange
from stoker.core.model.messages import check_drain
from stoker.core.model.principal import Asker
from stoker.errors import StokerError, UsageError
from stoker.security.roles import AccessRole
from stoker.web.access.audit import audit
from stoker.web.access.guard import needs
from stoker.web.access.policy import Access, who
from stoker.web.common import refusal


class ClusterControl(Protocol):
    """Called from the dashboard's threads. All methods return what was done, in words, and raise StokerError, whose text
    is shown."""

    def kill(self, job_id: str, by: Asker) -> str:
        """Kill a driver or application."""
        ...

    def hold(self, job_id: str, by: Asker, *, hold: bool) -> str:
        """Hold a driver or application, or release it."""
        ...

    def update(self, job_id: str, change: JobChange, by: Asker) -> str:
        """Change the pool, the priority or the time limit of a driver or application."""
        ...

    def drain(self, worker_id: str, by: Asker, *, drain: bool, reason: str = "", deadline: float = 0.0) -> str:
        """Place no new work on a worker, or use it again. ``reason`` is shown. After ``deadline`` seconds (0: never) what
        still runs there is stopped."""
        ...


def add_changes(app: Flask, control: ClusterControl, access: Access) -> None:
    def check() -> None:
        if not access.kill_enabled:
            raise Forbidden("Changing things from this dashboard is switched off (spark.ui.killEnabled).")

    @app.post("/app/kill/")
    @app.post("/driver/kill/")
    @needs(AccessRole.SUBMITTER)
    def kill() -> BaseResponse:
        check()
        job_id = request.form.get("id", "")
        if request.form.get("terminate") != "true" or not job_id:
            raise BadRequest("A kill needs an id and terminate=true.")
        return _do("kill", job_id, lambda: control.kill(job_id, who().asker("dashboard")), "/")

    @app.post("/app/hold/")
    @app.post("/driver/hold/")
    @needs(AccessRole.SUBMITTER)
    def hold() -> BaseResponse:
        check()
        job_id, wanted = request.form.get("id", ""), request.form.get("hold")
        if wanted not in {"true", "false"} or not job_id:
            raise BadRequest("A hold needs an id and hold=true or hold=false.")
        kind = "app" if job_id.startswith("app-") else "driver"
        then = f"/{kind}/?{urlencode({f'{kind}Id': job_id})}"
        is_on, by = wanted == "true", who().asker("dashboard")
        return _do("hold" if is_on else "release", job_id, lambda: control.hold(job_id, by, hold=is_on), then)

    @app.post("/workers/kill/")
    @needs(AccessRole.OPERATOR)
    def decommission() -> BaseResponse:
        """Spark's request to decommission the workers of a host, for good."""
        raise exceptions.NotImplemented(
            "Workers are drained instead, which can be taken back: 'stoker drain HOST:PORT', or POST"
            " /api/v1/workers/ID/drain."
        )

    @app.post("/worker/drain/")
    @needs(AccessRole.OPERATOR)
    def drain() -> BaseResponse:
        check()
        worker, wanted = request.form.get("worker", ""), request.form.get("drain")
        if wanted not in {"true", "false"} or not worker:
            raise BadRequest("Draining needs a worker's id and drain=true or drain=false.")
        then = f"/worker/?{urlencode({'workerId': worker})}"
        is_on = wanted == "true"
        by = who().asker("dashboard")
        reason, deadline = _terms() if is_on else ("", 0.0)
        return _do(
            "drain" if is_on else "undrain",
            worker,
            lambda: control.drain(worker, by, drain=is_on, reason=reason, deadline=deadline),
            then,
        )


def _terms() -> tuple[str, float]:
    """Return a drain's reason, and its deadline in seconds from now (0: none). Raises BadRequest."""
    reason, after = request.form.get("reason", "").strip(), request.form.get("deadline", "").strip()
    try:
        deadline = parse_time_limit(after) if after else 0.0
        check_drain(reason, deadline)
    except (UsageError, ValueError) as error:
        raise BadRequest(f"The worker was not drained: {error}.") from None
    return reason, deadline


def _do(action: str, target: str, change: Callable[[], str], then: str) -> BaseResponse:
    """Do it and answer in words for the page's scripts (they accept text), by a redirect for browsers without scripts."""
    try:
        said = change()
    except StokerError as error:
        audit(action, target, str(error))
        raise refusal(error) from None
    audit(action, target)
    if request.accept_mimetypes.best == "text/plain":
        return Response(said, mimetype="text/plain")
    return redirect(then, 303)
