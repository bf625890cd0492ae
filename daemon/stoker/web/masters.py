"""The way from one master's pages to the leader's.

A standby's pages redirect to the leader's; its JSON is its own. A page that is open when its master stops answering asks the
other masters which of them leads (static/leader.js): it knows them from the leader, it may connect to them by the page's
Content-Security-Policy, and each of them lets every site read its state at /readyz. That state is public anyway; no request
between masters carries cookies.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from flask import Flask, Response, redirect, request
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.wrappers import Response as BaseResponse

from stoker.core.model.states import MasterState
from stoker.core.model.views import ClusterView
from stoker.errors import StokerError
from stoker.security.roles import AccessRole
from stoker.web.access.guard import needs
from stoker.web.common import as_json, content_policy

PAGES = frozenset({"/", "/app/", "/driver/", "/worker/", "/logPage/", "/history/"})
# A Content-Security-Policy has no place for IPv6 addresses, and whatever else stands in ZooKeeper must not get into a header.
_ORIGIN = re.compile(r"(https?://[\w.-]+(?::\d{1,5})?)/?", re.ASCII)


def connect_masters(app: Flask, snapshot: Callable[[], ClusterView]) -> None:
    """Redirect the pages of ``app`` while this master is a standby, let open pages find the leader, and answer /readyz."""

    @app.before_request
    def elsewhere() -> BaseResponse | None:
        if request.method != "GET" or not _is_of_cluster():
            return None
        cluster = snapshot()
        if cluster.state is not MasterState.STANDBY:
            return None
        if cluster.leader_webui_url:
            query = f"?{request.query_string.decode()}" if request.query_string else ""
            return redirect(f"{cluster.leader_webui_url.rstrip('/')}{request.path}{query}", 307)
        if request.path == "/":
            return None
        raise ServiceUnavailable("This master is a standby and knows no leader yet: the page opens once there is one.")

    @app.context_processor
    def masters() -> dict[str, object]:
        return {"masters": _dashboards(snapshot) if _is_of_cluster() else ()}

    @app.after_request
    def may_connect(response: Response) -> Response:
        if response.mimetype == "text/html":
            response.headers["Content-Security-Policy"] = content_policy(_dashboards(snapshot))
        return response

    @app.get("/readyz")
    @needs(AccessRole.NONE)
    def readyz() -> Response:
        """Answer 200 only as a leader after recovery, which accepts work."""
        state = snapshot().state
        response = as_json({"status": state.value}, 200 if state is MasterState.ALIVE else 503)
        response.headers["Access-Control-Allow-Origin"] = (
            "*"  # browsers never send cookies along where this is the answer
        )
        return response


def _is_of_cluster() -> bool:
    """Whether the leader has the requested page, too: not if it is about this master's own process."""
    return request.path in PAGES and "self" not in request.args


def _dashboards(snapshot: Callable[[], ClusterView]) -> tuple[str, ...]:
    """Return the origins of the masters' dashboards; none while this master cannot tell."""
    try:
        found = [_ORIGIN.fullmatch(url) for url in snapshot().dashboards]
    except StokerError:
        return ()
    return tuple(match[1] for match in found if match is not None)
