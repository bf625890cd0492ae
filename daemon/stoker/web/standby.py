"""A standby's dashboard: pages redirect to the leader's; JSON is the standby's own."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask, redirect, request
from werkzeug.wrappers import Response

from stoker.core.model.states import MasterState
from stoker.core.model.views import ClusterView

PAGES = frozenset({"/", "/app/", "/driver/", "/worker/", "/logPage/", "/history/"})


def lead_to_leader(app: Flask, snapshot: Callable[[], ClusterView]) -> None:
    """Redirect the pages of ``app`` while this master is a standby and knows the leader's dashboard."""

    @app.before_request
    def elsewhere() -> Response | None:
        if request.method != "GET" or request.path not in PAGES or "self" in request.args:
            return None
        cluster = snapshot()
        if cluster.state is not MasterState.STANDBY or not cluster.leader_webui_url:
            return None
        query = f"?{request.query_string.decode()}" if request.query_string else ""
        return redirect(f"{cluster.leader_webui_url.rstrip('/')}{request.path}{query}", 307)
