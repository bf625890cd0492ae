"""The master's kill buttons: what they do, and that nothing else can press them (spec 15.1)."""

from __future__ import annotations

from typing import Any

import pytest

from stoker.core.model.values import Order
from stoker.errors import NotFound, Refused, StokerError
from tests.support.web import (
    Control,
    app_view,
    cluster_view,
    driver_view,
)
from tests.unit.web.dashboard import browser, look


@pytest.mark.parametrize("job", [app_view(1), driver_view(1), driver_view(2)], ids=lambda job: job.id)
@pytest.mark.parametrize("headers", [{}, {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}])
def test_kill_buttons_work(job: Any, headers: dict[str, str]) -> None:
    control = Control()
    client = browser(control=control)
    action, fields = look(client).press(job.id)
    response = client.post(action, data=fields, headers=headers)
    assert (response.status_code, response.location) == (303, "/")
    assert control.killed == [job.id]


def test_what_has_ended_has_no_kill_button() -> None:
    assert len(look(browser()).buttons) == 3
    assert not look(browser(), f"/driver/?driverId={driver_view(3).id}").buttons
    assert len(look(browser(), f"/driver/?driverId={driver_view(1).id}").buttons) == 2


@pytest.mark.parametrize("held", [None, Order(by="ada", door="cli", at=5.0)])
@pytest.mark.parametrize("kind", ["driver", "app"])
def test_hold_and_release_buttons_work(kind: str, held: Order | None) -> None:
    control = Control()
    driver, app = driver_view(1, hold=held), app_view(1, hold=held)
    client = browser(cluster_view(active_drivers=(driver,), active_apps=(app,)), control=control)
    job_id = driver.id if kind == "driver" else app.id
    page = look(client, f"/{kind}/?{kind}Id={job_id}")
    [form] = [form for form, _ in page.buttons if not form.startswith("kill")]
    assert form == f"{'release' if held else 'hold'}-{kind}"
    assert ("held by ada" in page.text) is (held is not None)
    action, fields = page.forms[form]
    response = client.post(action, data={**fields, "id": job_id})
    assert (response.status_code, response.location) == (303, f"/{kind}/?{kind}Id={job_id}")
    assert control.held == [(job_id, held is None)]


FOREIGN = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://[::1"},
    {"Origin": "http://localhost:81"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_forms_of_other_sites_kill_nothing(headers: dict[str, str]) -> None:
    control = Control()
    client = browser(control=control)
    action, fields = look(client).press(driver_view().id)
    assert client.post(action, data=fields, headers=headers).status_code == 403
    assert control.killed == []


@pytest.mark.parametrize("token", ["", "x", "x.y", "é.é"])
def test_forms_need_a_token_of_ours(token: str) -> None:
    control = Control()
    client = browser(control=control)
    action, fields = look(client).press(driver_view().id)
    client.set_cookie("stoker_csrf", token)
    assert client.post(action, data={**fields, "csrfToken": token}).status_code == 403
    assert control.killed == []


def test_a_token_without_its_cookie_is_nothing() -> None:
    control = Control()
    client = browser(control=control)
    action, fields = look(client).press(driver_view().id)
    client.delete_cookie("stoker_csrf")
    assert client.post(action, data=fields).status_code == 403
    assert control.killed == []


def test_a_token_of_another_process_is_refused_with_advice() -> None:
    action, fields = look(browser()).press(driver_view().id)
    client = browser()
    client.set_cookie("stoker_csrf", fields["csrfToken"])
    response = client.post(action, data=fields)
    assert response.status_code == 403
    assert "reload the page" in response.text


def test_dashboards_of_one_host_keep_their_cookies_apart() -> None:
    client = browser()
    first = client.get("/", base_url="http://127.0.0.1:8080").headers["Set-Cookie"]
    second = client.get("/", base_url="http://127.0.0.1:8081").headers["Set-Cookie"]
    assert first.startswith("stoker_csrf_8080=")
    assert second.startswith("stoker_csrf_8081=")
    assert "HttpOnly" in first
    assert "SameSite=Strict" in first


@pytest.mark.parametrize("change", [{"terminate": "false"}, {"terminate": ""}, {"id": ""}])
def test_a_kill_is_exact(change: dict[str, str]) -> None:
    control = Control()
    client = browser(control=control)
    action, fields = look(client).press(driver_view().id)
    assert client.post(action, data={**fields, **change}).status_code == 400
    assert control.killed == []


def test_killing_can_be_switched_off() -> None:
    control = Control()
    client = browser(control=control, kill_enabled=False)
    assert look(client).buttons == []
    assert look(client).forms == {}
    cookie = client.get_cookie("stoker_csrf")
    assert cookie is not None
    fields = {"id": driver_view().id, "terminate": "true", "csrfToken": cookie.value}
    response = client.post("/driver/kill/", data=fields)
    assert response.status_code == 403
    assert "spark.ui.killEnabled" in response.text
    assert control.killed == []


@pytest.mark.parametrize(
    ("error", "code"), [(NotFound("no such driver"), 404), (Refused("it has finished"), 409)], ids=["404", "409"]
)
def test_a_refused_kill_says_why(error: StokerError, code: int) -> None:
    client = browser(control=Control(error))
    action, fields = look(client).press(driver_view().id)
    response = client.post(action, data=fields)
    assert response.status_code == code
    assert str(error) in response.text


def test_a_get_kills_nothing() -> None:
    control = Control()
    response = browser(control=control).get("/driver/kill/?id=driver-20140513164640-0001&terminate=true")
    assert response.status_code == 405
    assert set(response.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}
    assert control.killed == []
