"""``/api/v1`` answers as it is described, for programs and on the page for people."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from stoker.core.model.views import Sample
from stoker.security.roles import AccessRole
from stoker.security.tokens import TokenFile
from stoker.web.access.policy import Access
from stoker.web.common import PROGRAMS
from stoker.web.master import make_app
from tests.support.web import Control, Page, cluster_view, driver_view
from tests.unit.web.api import APP, DRIVER, WORKER, client, get

CHECKED_FURTHER = ("/api/v1/drivers", "/api/v1/dry-run/drivers", "/api/v1/what-if", "/api/v1/workers/{id}/drain")


def sample(at: float) -> Sample:
    return msgspec.convert(dict.fromkeys(Sample.__struct_fields__, at), Sample, strict=False)


APP_UNDER_TEST = make_app(cluster_view, Control(), access=Access(anonymous=AccessRole.ADMIN))
# Without the event stream: it needs a real server (tests/integration/test_web_events.py).
schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", APP_UNDER_TEST).exclude(path="/api/v1/events")


@schema.parametrize()
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_operation_does_what_the_description_says(case: schemathesis.Case) -> None:
    # What no schema can say: a driver's fields also check one another (its program must be one of its files), and a drain's
    # reason is one printable line.
    beyond: list[Any] = [positive_data_acceptance] if case.method == "POST" and case.path in CHECKED_FURTHER else []
    case.call_and_validate(excluded_checks=beyond)


def test_the_description_is_complete() -> None:
    document = get("/openapi.json")
    assert document["openapi"] == "3.1.0"
    assert document["components"]["securitySchemes"]["token"] == {"type": "http", "scheme": "bearer"}
    described = {(path, method.upper()) for path, ways in document["paths"].items() for method in ways}
    routes = {
        (re.sub(r"<(\w+)>", r"{\1}", rule.rule), method)
        for rule in APP_UNDER_TEST.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in {"HEAD", "OPTIONS"}
    }
    assert described <= routes, described - routes
    assert {path for path, _ in routes - described if path.startswith(PROGRAMS)} == set()


def schema_of(path: str, method: str = "get", status: str = "200") -> dict[str, Any]:
    """The schema of an answer, with everything it refers to."""
    document = get("/openapi.json")
    content = document["paths"][path][method]["responses"][status]["content"]["application/json"]
    return {**content["schema"], "components": document["components"]}


REAL = {
    "/api/v1/cluster": "/api/v1/cluster",
    "/api/v1/workers": "/api/v1/workers",
    "/api/v1/workers/{id}": f"/api/v1/workers/{WORKER}",
    "/api/v1/drivers": "/api/v1/drivers?user=ada&state=RUNNING&limit=1",
    "/api/v1/drivers/{id}": f"/api/v1/drivers/{DRIVER}",
    "/api/v1/applications": "/api/v1/applications",
    "/api/v1/applications/{id}": f"/api/v1/applications/{APP}",
    "/api/v1/applications/{id}/executors": f"/api/v1/applications/{APP}/executors",
    "/api/v1/pools": "/api/v1/pools",
    "/api/v1/drivers/{id}/explanation": f"/api/v1/drivers/{DRIVER}/explanation",
    "/api/v1/applications/{id}/explanation": f"/api/v1/applications/{APP}/explanation",
    "/api/v1/openapi.json": "/api/v1/openapi.json",
    "/history/": "/history/?since=5.5",
    "/healthz": "/healthz",
    "/readyz": "/readyz",
    "/json/": "/json/",
    "/json/clusterutilization/": "/json/clusterutilization/",
    "/json/{field}/": "/json/workers/",
    "/metrics/master/json": "/metrics/master/json",
    "/metrics/applications/json": "/metrics/applications/json",
}


@pytest.mark.parametrize("path", REAL)
def test_answers_are_as_described(path: str) -> None:
    response = client(Control(samples=(sample(6.0),))).get(REAL[path])
    assert response.status_code == 200
    jsonschema_rs.Draft202012Validator(schema_of(path)).validate(response.get_json())


def test_all_described_answers_are_looked_at() -> None:
    of_json = {
        path
        for path, ways in get("/openapi.json")["paths"].items()
        if "application/json" in ways.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
    }
    assert of_json == set(REAL)


# --- the page for people ---


def page_at(origin: str, **options: Any) -> Page:
    return Page(client(**options).get("/api/", base_url=origin).get_data(as_text=True))


def test_the_page_has_every_operation_and_works_without_scripts() -> None:
    page = page_at("http://localhost:8080")
    for path, ways in get("/openapi.json")["paths"].items():
        for method in ways:
            assert f"{method.upper()} {path}" in page.text
    assert f"curl http://localhost:8080/api/v1/drivers/{driver_view(2).id}" in page.codes, "a job that exists"
    assert not page.foreign()
    assert client().get("/api").status_code == 200
    assert client().get("/api/v1/").headers["Location"] == "/api/"


def test_the_page_says_how_to_send_a_token_where_one_is_needed(tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path)
    page = page_at("https://host0:8443", role=AccessRole.NONE, host="host0", tokens=tokens)
    drivers = [code for code in page.codes if "/api/v1/drivers?" in code]
    assert drivers == [
        "curl -H \"Authorization: Bearer $TOKEN\" 'https://host0:8443/api/v1/drivers?state=RUNNING&name=etl-*'"
    ]
    assert "stoker token create" in page.text
    assert driver_view(2).id not in page.text, "a stranger sees no jobs"
    open_to_viewers = page_at("http://localhost", role=AccessRole.VIEWER)
    assert not any("TOKEN" in code for code in open_to_viewers.codes if "/cluster" in code and "\n" not in code)
    assert any("TOKEN" in code for code in open_to_viewers.codes if code.endswith("/kill"))
