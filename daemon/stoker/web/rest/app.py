"""The REST interface: paths, status codes and texts are Spark's (spec 15.6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Protocol

from flask import Flask, Response, request
from werkzeug.exceptions import Forbidden, HTTPException

from stoker.core.model.addresses import address_of
from stoker.core.model.principal import Asker
from stoker.core.model.states import DriverState, MasterState
from stoker.core.model.values import DriverDescription
from stoker.core.model.views import AppView, ClusterView, DriverView
from stoker.errors import NotAuthorized, NotFound, StokerError
from stoker.security.roles import AccessRole
from stoker.web.access.audit import audit
from stoker.web.access.guard import guard, needs
from stoker.web.access.policy import Access, says_it_is_a_browser, who
from stoker.web.rest import protocol
from stoker.web.rest.protocol import UNKNOWN_VERSION, VERSION, MalformedRequest, answer
from stoker.web.rest.submission import check_properties, describe

_ACTIONS = "/create, /kill, /killall, /clear, /status, or /readyz"
_HOW_TO = f" Please submit requests through http://[host]:[port]/{VERSION}/submissions/..."
_BASE = f"/{VERSION}/submissions"
_FAILED = frozenset({DriverState.FAILED, DriverState.ERROR, DriverState.KILLED})


class SubmissionControl(Protocol):
    """The master, as this interface uses it from its threads. All methods raise StokerError, whose text is shown."""

    def submit(self, driver: DriverDescription, by: Asker) -> str: ...

    def kill(self, job_id: str, by: Asker) -> str: ...

    def kill_drivers(self, by: Asker) -> int: ...

    def clear_completed(self) -> None: ...

    def status(self, job_id: str) -> DriverView | AppView: ...


class _NoBrowsers:
    """Rejects browsers: a page of another site can make them send anything. Bodies may have any type: curl's is a form."""

    def check(self) -> None:
        if says_it_is_a_browser():
            raise Forbidden("This interface is for programs: a browser's requests are rejected.")


def make_rest_app(
    snapshot: Callable[[], ClusterView],
    control: SubmissionControl,
    *,
    access: Access,
    environ: Mapping[str, str],
    allowed: tuple[re.Pattern[str], ...] = (),
) -> Flask:
    """``environ`` and ``allowed`` as for ``submission.describe``."""
    app = Flask(__name__, static_folder=None)
    app.url_map.strict_slashes = False
    guard(app, access, _NoBrowsers(), has_login=False)
    _add_errors(app)
    _add_create(app, snapshot, control, environ, allowed)
    _add_changes(app, snapshot, control)
    _add_questions(app, snapshot, control)
    return app


def _add_create(
    app: Flask,
    snapshot: Callable[[], ClusterView],
    control: SubmissionControl,
    environ: Mapping[str, str],
    allowed: tuple[re.Pattern[str], ...],
) -> None:
    @app.post(f"{_BASE}/create")
    @needs(AccessRole.SUBMITTER)
    def create() -> Response:
        wanted, unknown = protocol.parse_create(request.get_data())
        check_properties(wanted.sparkProperties)
        cluster = snapshot()
        driver = describe(wanted, master_url=cluster.url, environ=environ, allowed=allowed)
        refusal = _not_alive(cluster, "accept driver submissions")
        driver_id = None
        if not refusal:
            try:
                driver_id = control.submit(driver, who().asker("rest"))
            except StokerError as error:
                refusal = str(error)
            audit("submit", driver_id or driver.main, refusal or "done")
        return answer(
            "CreateSubmissionResponse",
            success=driver_id is not None,
            submissionId=driver_id,
            message=refusal or f"Driver successfully submitted as {driver_id}",
            unknownFields=unknown or None,
        )


def _add_changes(app: Flask, snapshot: Callable[[], ClusterView], control: SubmissionControl) -> None:
    @app.post(f"{_BASE}/kill/<submission_id>")
    @needs(AccessRole.SUBMITTER)
    def kill(submission_id: str) -> Response:
        message = _not_alive(snapshot(), "kill drivers")
        success = False
        if not message:
            try:
                message = control.kill(submission_id, who().asker("rest"))
                success = True
            except NotFound:
                message = f"Driver {submission_id[:80]} has already finished or does not exist"
            except StokerError as error:
                message = str(error)
            audit("kill", submission_id, "done" if success else message)
        return answer("KillSubmissionResponse", submissionId=submission_id, success=success, message=message)

    @app.post(f"{_BASE}/killall")
    @needs(AccessRole.ADMIN)
    def kill_all() -> Response:
        message = _not_alive(snapshot(), "kill drivers")
        if message:
            return answer("KillAllSubmissionResponse", success=False, message=message)
        audit("killall", str(control.kill_drivers(who().asker("rest"))))
        return answer("KillAllSubmissionResponse", success=True, message="Kill request for all drivers submitted")

    @app.post(f"{_BASE}/clear")
    @needs(AccessRole.ADMIN)
    def clear() -> Response:
        message = _not_alive(snapshot(), "clear drivers")
        if message:
            return answer("ClearResponse", success=False, message=message)
        control.clear_completed()
        audit("clear", "-")
        return answer("ClearResponse", success=True, message="")


def _add_questions(app: Flask, snapshot: Callable[[], ClusterView], control: SubmissionControl) -> None:
    @app.get(f"{_BASE}/status/<submission_id>")
    def status(submission_id: str) -> Response:
        refusal = _not_alive(snapshot(), "request driver status")
        found: DriverView | AppView | None = None
        if not refusal:
            try:
                found = control.status(submission_id)
            except NotFound:
                found = None
        if not isinstance(found, DriverView):
            return answer(
                "SubmissionStatusResponse", submissionId=submission_id, success=False, message=refusal or None
            )
        place = address_of(found.worker_host, found.worker_id.rpartition("-")[2]) if found.worker_id else None
        return answer(
            "SubmissionStatusResponse",
            submissionId=submission_id,
            success=True,
            driverState=found.state.value,
            workerId=found.worker_id or None,
            workerHostPort=place,
            message=found.reason if found.state in _FAILED and found.reason else None,
        )

    @app.get(f"{_BASE}/readyz")
    @needs(AccessRole.NONE)
    def readyz() -> Response:
        """Answer 503 on a standby, as Spark does, and while the master recovers."""
        is_ready = snapshot().state is MasterState.ALIVE
        return (
            answer("ReadyzResponse", success=True, message="")
            if is_ready
            else protocol.error("Master is not ready.", 503)
        )


def _add_errors(app: Flask) -> None:
    @app.errorhandler(MalformedRequest)
    def malformed(problem: MalformedRequest) -> Response:
        return protocol.error(str(problem))

    @app.errorhandler(404)
    @app.errorhandler(405)
    def wrong_path(_: HTTPException) -> Response:
        return protocol.error(*_what_is_wrong(request.path))

    @app.errorhandler(HTTPException)
    def refused(problem: HTTPException) -> Response:
        response = protocol.error(problem.description or "", problem.code or 500)
        for header, value in problem.get_headers():
            if header in {"Retry-After", "WWW-Authenticate"}:
                response.headers[header] = value
        return response

    @app.errorhandler(StokerError)
    def unavailable(problem: StokerError) -> Response:
        return protocol.error(str(problem), 403 if isinstance(problem, NotAuthorized) else 503)

    @app.errorhandler(Exception)
    def internal(problem: Exception) -> Response:
        app.logger.error("%s %s failed", request.method, request.path, exc_info=problem)
        return protocol.error("The request failed; see the master's log.", 500)


def _what_is_wrong(path: str) -> tuple[str, int]:
    parts = [part for part in path.split("/") if part]
    if not parts:
        return "Missing protocol version." + _HOW_TO, 400
    if parts[0] != VERSION:
        return f"Unknown protocol version '{parts[0][:40]}'." + _HOW_TO, UNKNOWN_VERSION
    if parts[1:2] != ["submissions"]:
        return "Missing the /submissions prefix." + _HOW_TO, 400
    if parts[2:] in (["kill"], ["status"]):
        return f"Submission ID is missing in {parts[2]} request.", 400
    return f"Missing an action: please specify one of {_ACTIONS}." + _HOW_TO, 400


def _not_alive(cluster: ClusterView, what: str) -> str:
    """Return the text that makes Spark's clients ask the next master; empty when this one leads."""
    if cluster.state is MasterState.ALIVE:
        return ""
    return f"Current state is not alive: {cluster.state.value}. Can only {what} in ALIVE state."
