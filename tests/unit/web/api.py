"""``/api/v1`` of a master with a few jobs: a client, and its answers."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient

from stoker.core.model.principal import Asker
from stoker.security.roles import AccessRole
from stoker.web.access.policy import Access
from stoker.web.master import make_app
from tests.support.web import Control, app_view, cluster_view, driver_view, worker_view

DRIVER, APP, WORKER = driver_view().id, app_view().id, worker_view().id
BY_API = Asker("", True, "api")
PROGRAM = {"kind": "python", "main": "job.py", "artifacts": [{"name": "job.py", "url": "file:/srv/job.py"}]}


def client(control: Control | None = None, role: AccessRole = AccessRole.ADMIN, **rules: Any) -> FlaskClient:
    return make_app(cluster_view, control or Control(), access=Access(anonymous=role, **rules)).test_client()


def get(path: str, **options: Any) -> Any:
    response = client(**options).get(f"/api/v1{path}")
    assert response.status_code == 200, response.text
    return response.get_json()
