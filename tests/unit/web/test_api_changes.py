"""Changes by ``/api/v1``: what they do, what is rejected, and who may make them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stoker.errors import NotAuthorized, NotFound, Refused
from stoker.security.roles import AccessRole
from tests.support.web import Control, driver_view
from tests.unit.web.api import APP, BY_API, DRIVER, PROGRAM, WORKER, client


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


def test_a_drain_may_have_a_reason_and_a_deadline() -> None:
    control = Control()
    browser, path = client(control), f"/api/v1/workers/{WORKER}/drain"
    assert browser.post(path, json={"reason": "new disk", "deadline": 7200}).status_code == 200
    assert browser.post(path, json={"reason": "new disk"}).status_code == 200
    assert browser.post(path, json={}).status_code == 200
    assert control.terms == [("new disk", 7200.0), ("new disk", 0.0), ("", 0.0)]


def test_whole_numbers_may_be_written_with_a_point() -> None:
    control = Control()
    assert client(control).post("/api/v1/drivers", json={**PROGRAM, "cores": 2.0, "priority": 1.0}).status_code == 201
    assert client(control).post("/api/v1/drivers", json={**PROGRAM, "cores": 2.5}).status_code == 400
    assert [(driver.cores, driver.priority) for driver, _ in control.submitted] == [(2, 1)]


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ({"reasons": "x"}, "did you mean reason?"),
        ({"deadline": -1}, "a drain's deadline must be between"),
        ({"deadline": "2h"}, "Expected `float`"),
        ({"reason": "two\nlines"}, "must be one line"),
        ({"reason": "x" * 201}, "at most 200 characters"),
    ],
)
def test_a_drain_with_invalid_terms_changes_nothing(body: dict[str, Any], hint: str) -> None:
    control = Control()
    response = client(control).post(f"/api/v1/workers/{WORKER}/drain", json=body)
    assert (response.status_code, control.drained) == (400, []) and hint in response.get_json()["error"]
    assert client(control).post(f"/api/v1/workers/{WORKER}/undrain", json={"reason": "x"}).status_code == 400


def test_what_if_changes_nothing() -> None:
    control = Control()
    body = {"add": [{"number": 2, "cores": 4, "memory_mib": 1024}], "remove": ["host2"], "assume": 60}
    response = client(control).post("/api/v1/what-if", json=body)
    assert (response.status_code, response.get_json()["jobs"][0]["after"]) == (200, 0.0)
    assert response.get_json()["run_times"] == {"sources": {"assumed": 1}, "assumed_seconds": 60.0}
    assert not (control.submitted or control.drained)
    assert control.what_ifs[0][0].add[0].number == 2
    assert client(control).post("/api/v1/what-if").status_code == 200, "without changes: the cluster as it is"


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ({"add": [{"cores": 4}]}, "missing required field `memory_mib`"),
        ({"add": [{"cores": 0, "memory_mib": 1}]}, "`int` >= 1"),
        ({"add": [{"cores": 1, "memory_mib": 1, "number": 10_000}] * 2}, "add: give 10,000 at most"),
        ({"submit": [{"cores": 1, "memory_mib": 1, "seconds": -1}]}, "`float` >= 0"),
        ({"submit": [{"cores": 1, "memory_mib": 1, "resources": [["gpu", 0]]}]}, "the amount of gpu must be"),
        ({"pool": "etl"}, "pool and priority are of what submit submits"),
        ({"adds": []}, "did you mean add?"),
    ],
)
def test_a_what_if_that_makes_no_sense_is_one_line(body: dict[str, Any], hint: str) -> None:
    control = Control()
    response = client(control).post("/api/v1/what-if", json=body)
    assert (response.status_code, control.what_ifs) == (400, []) and hint in response.get_json()["error"]


def test_a_dry_run_submits_nothing() -> None:
    control = Control()
    response = client(control).post("/api/v1/dry-run/drivers", json=PROGRAM)
    assert (response.status_code, response.get_json()["verdict"]) == (200, "wait")
    assert response.get_json()["refusals"] == ["1 worker: draining"]
    assert not control.submitted
    refused = client(Control(Refused("there is no pool x"))).post("/api/v1/dry-run/drivers", json=PROGRAM)
    assert (refused.status_code, refused.get_json()["error"]) == (409, "there is no pool x")


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
    ("/dry-run/drivers", AccessRole.VIEWER),
    ("/what-if", AccessRole.VIEWER),
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
