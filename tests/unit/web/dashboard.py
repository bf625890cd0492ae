"""A master's dashboard, and a look at one of its pages."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient

from stoker.core.model.views import ClusterView
from stoker.security.roles import AccessRole
from stoker.web.access.policy import Access
from stoker.web.master import make_app
from tests.support.web import (
    Control,
    Page,
    cluster_view,
)


def browser(
    cluster: ClusterView | None = None, control: Control | None = None, *, kill_enabled: bool = True, **options: Any
) -> FlaskClient:
    access = Access(anonymous=AccessRole.OPERATOR, kill_enabled=kill_enabled)
    return make_app(lambda: cluster or cluster_view(), control or Control(), access=access, **options).test_client()


def look(client: FlaskClient, path: str = "/") -> Page:
    response = client.get(path)
    assert response.status_code == 200, response.text
    return Page(response.text)
