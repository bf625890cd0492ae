"""``/api/``: the operations for people, with examples to copy that name the viewer's own host and jobs that exist."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from typing import NamedTuple

from flask import Response, make_response, redirect, render_template, request

from stoker.core.model.changes import JobChange, WhatIf
from stoker.core.model.values import DriverDescription
from stoker.core.model.views import ClusterView
from stoker.errors import StokerError
from stoker.security.roles import AccessRole, Identity
from stoker.web.access.policy import Access, who
from stoker.web.api import model
from stoker.web.api.declare import IN_PATH, Api, Operation
from stoker.web.api.query import JSON, Parameter

PROGRAM = {
    "kind": "python",
    "main": "job.py",
    "artifacts": [{"name": "job.py", "url": "file:/srv/job.py"}],
    "args": ["10"],
    "name": "etl",
}
BODIES: dict[type, object] = {  # of the examples
    DriverDescription: PROGRAM,
    JobChange: {"priority": -1},
    WhatIf: {"add": [{"number": 2, "cores": 16, "memory_mib": 65536}]},
    model.Drain: {"reason": "new disks", "deadline": 7200},
}
QUERIES = {  # of the examples: path -> query
    "/api/v1/drivers": "state=RUNNING&name=etl-*",
    "/api/v1/applications": "active=true",
    "/api/v1/workers": "state=ALIVE&limit=10",
    "/api/v1/drivers/{id}/logs/{stream}": "offset=-2000",
    "/history/": "since=0",
}
SECRET = "$TOKEN"  # noqa: S105 - of a shell, not the secret itself


class Entry(NamedTuple):
    operation: Operation
    parameters: Sequence[Parameter]
    command: str


def add_page(api: Api, snapshot: Callable[[], ClusterView], access: Access) -> None:
    def page() -> Response:
        names = _names(snapshot)
        by_itself = access.local_user() or Identity("anonymous", access.anonymous)
        entries = [
            Entry(one, one.parameters, _command(one, names, has_token=not by_itself.may(one.role)))
            for one in api.operations
        ]
        return Response(
            render_template(
                "api.html",
                title="API",
                entries=entries,
                asks_for_tokens=access.asks_for_tokens,
                by_itself=by_itself,
                cluster_command=_command(api.operations[0], names, has_token=True),
            )
        )

    api.add(Operation("GET", "/api/", "This page", AccessRole.NONE, "text/html", base=""), page)
    api.add(Operation("GET", "/", "Leads to /api/", AccessRole.NONE, "text/html", status=302), _to_page)


def _to_page() -> Response:
    return make_response(redirect("/api/", 302))


def _names(snapshot: Callable[[], ClusterView]) -> dict[str, str]:
    """Return ids for the examples by the kind of thing; those of the cluster only for somebody who may see them."""
    names = {
        "drivers": "driver-20261127101500-0007",
        "applications": "app-20261127101500-0003",
        "workers": "worker-20261127080000-host1-40001",
    }
    if not who().may(AccessRole.VIEWER):
        return names
    try:
        cluster = snapshot()
    except StokerError:
        return names
    for kind, views in (
        ("drivers", (*cluster.completed_drivers, *cluster.active_drivers)),
        ("applications", (*cluster.completed_apps, *cluster.active_apps)),
        ("workers", cluster.workers),
    ):
        if views:
            names[kind] = views[-1].id
    return names


def _command(operation: Operation, names: dict[str, str], *, has_token: bool) -> str:
    kind = operation.path.split("/")[1]
    values = {"id": names.get(kind, ""), "stream": "stdout", "executor": "0", "field": "workers"}
    path = IN_PATH.sub(lambda match: values[match[1]], operation.whole_path)
    query = QUERIES.get(operation.whole_path, "")
    url = f"{request.host_url.rstrip('/')}{path}" + (f"?{query}" if query and operation.method == "GET" else "")
    words = ["curl"]
    if operation.answer == "text/event-stream":
        words.append("-N")
    if has_token:
        words.append(f'-H "Authorization: Bearer {SECRET}"')
    if operation.body is not None:
        words.append(f"-H 'Content-Type: {JSON}' -d {shlex.quote(json.dumps(BODIES[operation.body]))}")
    elif operation.method != "GET":
        words.append(f"-X {operation.method}")
    return " ".join([*words, shlex.quote(url)])
