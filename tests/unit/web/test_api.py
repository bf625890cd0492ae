"""``/api/v1`` answers as it is described; and who may make changes."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
import schemathesis
from flask.testing import FlaskClient
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from stoker.core.model.principal import Asker
from stoker.core.model.states import DriverState, ExecutorState
from stoker.core.model.views import AppView, ClusterView, DriverView, Sample
from stoker.errors import NotAuthorized, NotFound, Refused
from stoker.security.roles import AccessRole
from stoker.security.tokens import TokenFile
from stoker.web.access.policy import Access
from stoker.web.common import PROGRAMS
from stoker.web.master import make_app
from tests.support.web import Control, Page, app_view, cluster_view, driver_view, executor_view, worker_view

DRIVER, APP, WORKER = driver_view().id, app_view().id, worker_view().id
BY_API = Asker("", True, "api")
PROGRAM = {"kind": "python", "main": "job.py", "artifacts": [{"name": "job.py", "url": "file:/srv/job.py"}]}


def sample(at: float) -> Sample:
    return msgspec.convert(dict.fromkeys(Sample.__struct_fields__, at), Sample, strict=False)


def client(control: Control | None = None, role: AccessRole = AccessRole.ADMIN, **rules: Any) -> FlaskClient:
    return make_app(cluster_view, control or Control(), access=Access(anonymous=role, **rules)).test_client()


def get(path: str, **options: Any) -> Any:
    response = client(**options).get(f"/api/v1{path}")
    assert response.status_code == 200, response.text
    return response.get_json()


# --- the description ---

APP_UNDER_TEST = make_app(cluster_view, Control(), access=Access(anonymous=AccessRole.ADMIN))
# Without the event stream: it needs a real server (tests/integration/test_web_events.py).
schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", APP_UNDER_TEST).exclude(path="/api/v1/events")


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
    assert page["next"] == driver_view(2).id
    last = get(f"/drivers?limit=1&cursor={page['next']}")
    assert ([driver["id"] for driver in last["items"]], last["next"]) == ([DRIVER], "")
    assert [driver["state"] for driver in get("/drivers?state=FAILED")["items"]] == ["FAILED"]
    assert get("/applications?state=KILLED") == {"total": 0, "offset": 0, "next": "", "items": []}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/drivers?user=ada", []),
        ("/drivers?active=true", [driver_view(2).id, DRIVER]),
        ("/drivers?active=false", [driver_view(3).id]),
        ("/drivers?name=e*&state=RUNNING", [DRIVER]),
        (f"/drivers?worker={WORKER}&state=RUNNING", [DRIVER]),
        ("/drivers?text=FAILED%20etl", [driver_view(3).id]),
        ("/applications?user=ada&active=true", [APP]),
        ("/applications?worker=host1&active=true", [APP]),
        ("/workers?state=ALIVE", [WORKER]),
        (f"/workers?application={APP}", [WORKER]),
        ("/workers?text=dead", [worker_view(2).id]),
    ],
)
def test_filters(path: str, found: list[str]) -> None:
    assert [one["id"] for one in get(path)["items"]] == found


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
    "query", ["limit=0", "limit=1001", "limit=x", "limit=1e3", "offset=-1", "offset=٣", "state=Running", "state=", "user=",
              "text=%20", "name=%00", "cursor=3", "user=ada&user=bob"]
)  # fmt: skip
def test_bad_questions(query: str) -> None:
    response = client().get(f"/api/v1/drivers?{query}")
    assert response.status_code == 400
    assert "must be" in response.get_json()["error"]


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/api/v1/drivers?usr=ada", "'usr' (did you mean user?)"),
        ("/api/v1/drivers?State=RUNNING", "did you mean state?"),
        ("/api/v1/cluster?user=ada", "it has none"),
        (f"/api/v1/drivers/{DRIVER}?state=RUNNING", "it has none"),
        (f"/api/v1/drivers/{DRIVER}/logs/stdout?ofset=1", "did you mean offset?"),
        ("/api/v1/openapi.json?x=1", "it has none"),
        ("/api/v1/events?x=1", "it has none"),
        ("/history/?from=1", "it has since"),
    ],
)
def test_unknown_parameters_are_rejected_with_the_nearest(path: str, hint: str) -> None:
    response = client().get(path)
    assert response.status_code == 400
    error = response.get_json()["error"]
    assert hint in error and "\n" not in error


def test_an_unknown_parameter_of_a_change_changes_nothing() -> None:
    control = Control()
    assert client(control).post(f"/api/v1/drivers/{DRIVER}/kill?dry_run=true").status_code == 400
    assert client(control).post(f"/api/v1/drivers/{DRIVER}/kill", json={"after": 5}).status_code == 400
    assert client(control).post("/api/v1/drivers?supervise=true", json=PROGRAM).status_code == 400
    assert not (control.killed or control.submitted)


@pytest.mark.parametrize(
    "path", ["/json/?user=ada", "/json/workers/?x=1", "/metrics/prometheus?x=1", "/metrics/master/json?x"]
)
def test_sparks_interfaces_ignore_unknown_parameters_as_spark_does(path: str) -> None:
    assert client().get(path).status_code == 200


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
    assert control.kills == [(DRIVER, BY_API), (APP, BY_API)]
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


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"memory": 512}, "no field 'memory': did you mean memory_mib?"),
        ({"artifacts": [], "artifact": PROGRAM["artifacts"]}, "did you mean artifacts?"),
        ({"superviced": True}, "did you mean supervise?"),
        (
            {"artifacts": [{"name": "job.py", "uri": "file:/srv/job.py", "url": "file:/x"}]},
            "at artifacts[0] has no field 'uri'",
        ),
        ({"spark": {"release": "4.0", "driverHost": "h"}}, "at spark has no field 'driverHost'"),
    ],
)
def test_unknown_fields_are_rejected_with_the_nearest(change: dict[str, Any], hint: str) -> None:
    control = Control()
    response = client(control).post("/api/v1/drivers", json={**PROGRAM, **change})
    assert (response.status_code, control.submitted) == (400, [])
    assert hint in response.get_json()["error"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
@pytest.mark.parametrize("local", [True, False])
def test_a_body_of_another_type_is_415(kind: str, local: bool) -> None:
    headers = {} if local else {"Authorization": "Bearer unknown"}
    control = Control()
    response = client(control).post(
        "/api/v1/drivers", data=json.dumps(PROGRAM), headers={"Content-Type": kind} | headers
    )
    assert response.status_code == (415 if local else 401)
    assert control.submitted == []
    if local:
        assert "application/json" in response.get_json()["error"]


def test_a_submission_says_where_it_is() -> None:
    response = client().post("/api/v1/drivers", json=PROGRAM)
    assert response.status_code == 201
    assert response.headers["Location"] == f"/api/v1/drivers/{response.get_json()['id']}"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", f"/drivers/{DRIVER}/kill", "POST"), ("DELETE", f"/drivers/{DRIVER}", "GET"), ("PUT", "/drivers", "POST")],
)
def test_a_method_that_is_not_there_is_405(method: str, path: str, allowed: str) -> None:
    response = client().open(f"/api/v1{path}", method=method)
    assert response.status_code == 405
    assert allowed in response.headers["Allow"]
    assert f"has no {method}: it has" in response.get_json()["error"]


@pytest.mark.parametrize(("path", "near"), [("/workrs", "/api/v1/workers"), ("/driver", "/api/v1/drivers")])
def test_an_unknown_path_is_answered_with_the_nearest(path: str, near: str) -> None:
    response = client().get(f"/api/v1{path}")
    assert (response.status_code, f"did you mean {near}?" in response.get_json()["error"]) == (404, True)


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


def test_executors_come_in_pages_while_they_end() -> None:
    live = tuple(executor_view(number) for number in range(20))
    site = {"app": app_view(1, executors=live)}

    class Changing(Control):
        def status(self, job_id: str) -> DriverView | AppView:
            return site["app"]

    browser = make_app(cluster_view, Changing(), access=Access()).test_client()
    first = browser.get(f"/api/v1/applications/{APP}/executors?limit=7").get_json()
    ended = tuple(executor_view(number, state=ExecutorState.LOST) for number in (0, 3, 9, 15))
    left = tuple(one for one in live if one.id not in {executor.id for executor in ended})
    site["app"] = app_view(1, executors=(*left, executor_view(20)), removed_executors=ended)
    rest = browser.get(f"/api/v1/applications/{APP}/executors?cursor={first['next']}").get_json()
    assert [one["id"] for one in first["executors"]] == list(range(7))
    assert sorted(one["id"] for one in rest["executors"] + rest["removed"]) == list(range(7, 21))
    assert ([one["id"] for one in rest["removed"]], rest["next"], rest["total"]) == ([9, 15], "", 21)
    lost = browser.get(f"/api/v1/applications/{APP}/executors?state=LOST&limit=3").get_json()
    assert ([one["id"] for one in lost["removed"]], lost["next"]) == ([0, 3, 9], "9")


@pytest.mark.parametrize("seed", range(20))
def test_a_walk_by_cursor_neither_skips_nor_repeats(seed: int) -> None:
    """Between two pages drivers are submitted, start, end, and leave the history."""
    rng = random.Random(seed)
    states: dict[int, DriverState] = {}
    gone: set[int] = set()
    newest = 9_950 + rng.randrange(100)  # the number in an id gets a fifth digit

    def submit() -> None:
        nonlocal newest
        newest += 1
        states[newest] = DriverState.SUBMITTED

    def change() -> None:
        for _ in range(rng.randrange(8)):
            if rng.random() < 0.5 or not states:
                submit()
                continue
            one = rng.choice(sorted(states))
            if states[one].is_final:
                gone.add(one)
                del states[one]
            else:
                states[one] = rng.choice([DriverState.RUNNING, DriverState.FINISHED, DriverState.FAILED])

    def cluster() -> ClusterView:
        views = [driver_view(number, state=state) for number, state in states.items()]
        active = [view for view in views if not view.state.is_final]
        ended = [view for view in views if view.state.is_final]
        rng.shuffle(ended)
        return cluster_view(active_drivers=tuple(active), completed_drivers=tuple(ended))

    for _ in range(rng.randrange(10, 80)):
        submit()
    before = set(states)
    browser = make_app(cluster, Control(), access=Access()).test_client()
    seen: list[str] = []
    cursor = ""
    while True:
        page = browser.get(
            "/api/v1/drivers", query_string={"limit": 7} | ({"cursor": cursor} if cursor else {})
        ).get_json()
        seen += [one["id"] for one in page["items"]]
        cursor = page["next"]
        if not cursor:
            break
        change()
    assert len(set(seen)) == len(seen), "repeated"
    assert {driver_view(number).id for number in before - gone} <= set(seen), "skipped"
