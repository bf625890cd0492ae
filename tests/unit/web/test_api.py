"""``/api/v1``: as it is described, so it answers; and who may change what."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from flask.testing import FlaskClient
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from stoker.core.model.views import ClusterView
from stoker.errors import NotAuthorized, NotFound, Refused
from stoker.security.roles import AccessRole
from stoker.web.access.policy import Access
from stoker.web.master import make_app
from tests.support.web import Control, app_view, cluster_view, driver_view, worker_view

DRIVER, APP, WORKER = driver_view().id, app_view().id, worker_view().id
PROGRAM = {"kind": "python", "main": "job.py", "artifacts": [{"name": "job.py", "url": "file:/srv/job.py"}]}


def client(control: Control | None = None, role: AccessRole = AccessRole.ADMIN, **rules: Any) -> FlaskClient:
    return make_app(cluster_view, control or Control(), access=Access(anonymous=role, **rules)).test_client()


def get(path: str, **options: Any) -> Any:
    response = client(**options).get(f"/api/v1{path}")
    assert response.status_code == 200, response.text
    return response.get_json()


# --- the description ---

APP_UNDER_TEST = make_app(cluster_view, Control(), access=Access(anonymous=AccessRole.ADMIN))
schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", APP_UNDER_TEST)


@schema.parametrize()
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_operation_does_what_the_description_says(case: schemathesis.Case) -> None:
    # A driver's fields also check one another (its program must be one of its files), which no schema can say.
    beyond: list[Any] = [positive_data_acceptance] if case.method == "POST" and case.path == "/api/v1/drivers" else []
    case.call_and_validate(excluded_checks=beyond)


def test_the_description_is_complete() -> None:
    document = get("/openapi.json")
    assert document["openapi"] == "3.1.0"
    assert document["components"]["securitySchemes"]["token"] == {"type": "http", "scheme": "bearer"}
    rules = {
        rule.rule.replace("<", "{").replace(">", "}")
        for rule in APP_UNDER_TEST.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/")
    }
    assert rules - set(document["paths"]) == {"/api/v1/openapi.json", "/api/v1/events"}


# --- reading ---


def test_cluster() -> None:
    cluster = get("/cluster")
    assert (cluster["url"], cluster["state"], cluster["epoch"]) == ("spark://host0:7077", "ALIVE", 3)
    assert cluster["workers"] == {"ALIVE": 1, "DEAD": 1}
    assert cluster["drivers"] == {"RUNNING": 1, "SUBMITTED": 1, "FAILED": 1}
    assert (cluster["cores"], cluster["cores_used"]) == (8, 3)


def test_lists_are_paged_and_filtered() -> None:
    assert [worker["id"] for worker in get("/workers")["items"]] == [WORKER, worker_view(2).id]
    page = get("/drivers?limit=1&offset=1")
    assert (page["total"], page["offset"], [driver["id"] for driver in page["items"]]) == (3, 1, [driver_view(2).id])
    assert [driver["state"] for driver in get("/drivers?state=FAILED")["items"]] == ["FAILED"]
    assert get("/applications?state=KILLED") == {"total": 0, "offset": 0, "items": []}


def test_one_of_each() -> None:
    assert get(f"/workers/{WORKER}")["cores"] == 8
    driver = get(f"/drivers/{DRIVER}")
    assert driver["attempts"][0]["number"] == 1
    assert driver["supervise"] is False, "what has its default value is there too"
    assert get(f"/applications/{APP}")["cores_max"] == 4
    assert [executor["id"] for executor in get(f"/applications/{APP}/executors")["executors"]] == [0]


@pytest.mark.parametrize(
    "path",
    ["/workers/x", "/drivers/x", f"/drivers/{APP}", f"/applications/{DRIVER}", "/applications/x/executors", "/nothing",
     f"/drivers/{DRIVER}/logs/stdin", "/drivers/x/logs/stdout", f"/applications/{APP}/executors/x/logs/stdout",
     f"/applications/{APP}/executors/-1/logs/stdout", "/drivers/..%2f..%2fetc/logs/stdout"],
)  # fmt: skip
def test_what_is_not_there(path: str) -> None:
    response = client().get(f"/api/v1{path}")
    assert response.status_code == 404
    assert response.get_json()["status"] == 404


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "limit=1e3", "offset=-1", "offset=٣", "state=Running", "state="]
)
def test_bad_questions(query: str) -> None:
    response = client().get(f"/api/v1/drivers?{query}")
    assert response.status_code == 400
    assert "must be" in response.get_json()["error"]


@pytest.mark.parametrize("path", [f"/drivers/{DRIVER}/logs/stdout", f"/applications/{APP}/executors/0/logs/stderr"])
def test_output(path: str) -> None:
    control = Control()
    control.output = b"hello\xff\n"
    response = client(control).get(f"/api/v1{path}?offset=0&limit=100")
    assert response.data == b"hello\xff\n"
    assert (response.headers["Log-Offset"], response.headers["Log-Size"]) == ("0", "7")
    assert response.headers["Log-Ended"] == "false"


# --- changing ---


def test_changes() -> None:
    control = Control()
    browser = client(control)
    assert browser.post(f"/api/v1/drivers/{DRIVER}/kill").get_json() == {"message": f"{DRIVER} is being killed"}
    assert browser.post(f"/api/v1/applications/{APP}/kill").status_code == 200
    assert control.kills == [(DRIVER, None), (APP, None)]
    browser.post(f"/api/v1/workers/{WORKER}/drain")
    browser.post(f"/api/v1/workers/{WORKER}/undrain")
    assert control.drained == [(WORKER, True), (WORKER, False)]
    response = browser.post("/api/v1/drivers", json=PROGRAM)
    assert (response.status_code, response.get_json()) == (201, {"id": driver_view(9).id})
    assert control.submitted[0][0].main == "job.py"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"kind": "python"}', b'{"kind": "python", "main": "x"}', b'{"kind": 1, "main": "x"}']
)
def test_bad_submissions(body: bytes) -> None:
    control = Control()
    response = client(control).post("/api/v1/drivers", data=body, content_type="application/json")
    assert response.status_code == 400
    assert control.submitted == []


def test_uploads_are_not_for_here() -> None:
    body = {**PROGRAM, "artifacts": [{"name": "job.py", "sha256": "0" * 64}]}
    response = client().post("/api/v1/drivers", json=body)
    assert response.status_code == 403
    assert "name a URL" in response.get_json()["error"]


CHANGES = [
    (f"/drivers/{DRIVER}/kill", AccessRole.VIEWER),
    (f"/applications/{APP}/kill", AccessRole.VIEWER),
    ("/drivers", AccessRole.VIEWER),
    (f"/workers/{WORKER}/drain", AccessRole.SUBMITTER),
    (f"/workers/{WORKER}/undrain", AccessRole.SUBMITTER),
]


@pytest.mark.parametrize(("path", "role"), CHANGES)
def test_who_may_not(path: str, role: AccessRole) -> None:
    control = Control()
    assert client(control, role).post(f"/api/v1{path}", json=PROGRAM).status_code == 401
    assert not (control.killed or control.drained or control.submitted)


@pytest.mark.parametrize("path", [path for path, _ in CHANGES])
@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "same-site"}])
def test_no_other_page_makes_a_browser_do_it(path: str, headers: dict[str, str]) -> None:
    control = Control()
    assert client(control).post(f"/api/v1{path}", json=PROGRAM, headers=headers).status_code == 403
    assert not (control.killed or control.drained or control.submitted)


@pytest.mark.parametrize("path", [path for path, _ in CHANGES if "kill" in path or "drain" in path])
def test_changes_can_be_switched_off(path: str) -> None:
    control = Control()
    assert client(control, kill_enabled=False).post(f"/api/v1{path}").status_code == 403
    assert not (control.killed or control.drained)


@pytest.mark.parametrize(
    ("error", "status"), [(NotFound("gone"), 404), (Refused("not now"), 409), (NotAuthorized("not yours"), 403)]
)
def test_what_the_master_refuses(error: Any, status: int) -> None:
    response = client(Control(error)).post(f"/api/v1/drivers/{DRIVER}/kill")
    assert (response.status_code, response.get_json()["error"]) == (status, str(error))


def test_ten_thousand_drivers_are_read_in_pages() -> None:
    drivers = tuple(driver_view(number) for number in range(10_000))

    def crowded() -> ClusterView:
        return cluster_view(active_drivers=drivers)

    browser = make_app(crowded, Control(), access=Access()).test_client()
    page = browser.get("/api/v1/drivers?offset=9990&limit=1000").get_json()
    assert (page["total"], len(page["items"])) == (10_001, 11)
