"""Access over HTTP: tokens, sessions, roles, forgery, and the log lines that name the person."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from stoker.core.model.principal import Asker
from stoker.errors import NotAuthorized
from stoker.security import tokens as tokens_module
from stoker.security.roles import AccessRole
from stoker.security.throttle import FAILURES, WINDOW, Throttle
from stoker.security.tokens import TokenFile
from stoker.web.access.login import local_path
from stoker.web.access.policy import LOCAL_USER, Access
from stoker.web.access.sessions import Sessions
from stoker.web.master import make_app
from tests.support.web import Control, Page, cluster_view, driver_view

DRIVER = driver_view().id
KILL = {"id": DRIVER, "terminate": "true"}


class Door:
    """A dashboard of ``host`` and its tokens."""

    def __init__(self, folder: Path, host: str = "10.0.0.5", **rules: object) -> None:
        self.tokens = TokenFile(folder / "keys")
        rules.setdefault("anonymous", AccessRole.NONE)
        self.access = Access(host=host, tokens=self.tokens, **rules)  # type: ignore[arg-type]
        self.control = Control()
        self.app = make_app(cluster_view, self.control, access=self.access)

    def browser(self, *, is_local_user: bool = False) -> FlaskClient:
        client = self.app.test_client()
        client.environ_base[LOCAL_USER] = lambda: "ada" if is_local_user else ""  # type: ignore[assignment]
        return client

    def token(self, role: AccessRole, name: str = "") -> str:
        return self.tokens.create(name or role.label, role)

    def bearer(self, role: AccessRole) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(role)}"}


@pytest.fixture(autouse=True)
def look_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "_LOOK_EVERY", 0.0)


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def csrf_of(client: FlaskClient, path: str = "/login") -> str:
    forms = Page(client.get(path).text).forms
    return next(iter(forms.values()))[1]["csrfToken"]


def log_in(client: FlaskClient, token: str, goto: str = "/") -> int:
    fields = {"token": token, "csrfToken": csrf_of(client), "next": goto}
    response = client.post("/login", data=fields)
    if response.status_code == 303:
        assert response.headers["Location"] == goto
    return response.status_code


# --- without a token ---


def test_a_stranger_is_led_to_the_log_in_page(door: Door) -> None:
    response = door.browser().get("/app/?appId=x")
    assert response.status_code == 303
    assert response.headers["Location"] == "/login?next=/app/%3FappId%3Dx"
    page = door.browser().get(response.headers["Location"])
    assert page.status_code == 200
    assert "stoker token create" in page.text


@pytest.mark.parametrize("path", ["/json/", "/json/workers", "/api/v1/nothing"])
def test_a_strange_program_is_told_what_is_missing(door: Door, path: str) -> None:
    response = door.browser().get(path)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert "stoker token create" in response.get_json()["error"]


def test_health_needs_no_token_and_tells_nothing(door: Door) -> None:
    assert door.browser().get("/healthz").get_json() == {"status": "ok"}
    assert door.browser().get("/readyz").get_json() == {"status": "ALIVE"}
    with door.browser().get("/static/stoker.css") as response:
        assert response.status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/driver/kill/", "/app/kill/", "/", "/nowhere"])
def test_a_stranger_changes_nothing(door: Door, method: str, path: str) -> None:
    assert door.browser().open(path, method=method, data=KILL).status_code in {401, 303, 405}
    assert door.control.kills == []


# --- bearer tokens ---


@pytest.mark.parametrize(
    ("role", "is_admin"), [(AccessRole.SUBMITTER, False), (AccessRole.OPERATOR, True), (AccessRole.ADMIN, True)]
)
def test_roles_that_may_kill(door: Door, role: AccessRole, is_admin: bool) -> None:
    assert door.browser().post("/driver/kill/", data=KILL, headers=door.bearer(role)).status_code == 303
    [(killed, by)] = door.control.kills
    assert killed == DRIVER
    assert by == Asker(role.label, is_admin, "dashboard")


def test_a_viewer_looks(door: Door) -> None:
    bearer = door.bearer(AccessRole.VIEWER)
    assert door.browser().get("/", headers=bearer).status_code == 200
    assert door.browser().get("/json/", headers=bearer).status_code == 200
    response = door.browser().post("/driver/kill/", data=KILL, headers=bearer)
    assert response.status_code == 403
    assert "this requires a submitter" in response.text
    assert door.control.kills == []


def test_what_the_cluster_refuses_is_forbidden(door: Door) -> None:
    door.control.error = NotAuthorized("it was submitted with another key")
    response = door.browser().post("/driver/kill/", data=KILL, headers=door.bearer(AccessRole.SUBMITTER))
    assert response.status_code == 403
    assert "another key" in response.text


@pytest.mark.parametrize("header", ["Bearer x", "Bearer ", "bearer \x00", "Bearer " + "é" * 50])
def test_a_wrong_token_is_not_taken_for_nobody(tmp_path: Path, header: str) -> None:
    door = Door(tmp_path, "127.0.0.1", anonymous=AccessRole.VIEWER)
    assert door.browser().get("/json/").status_code == 200
    assert door.browser().get("/json/", headers={"Authorization": header}).status_code == 401


def test_revoked_is_refused_at_once(door: Door) -> None:
    bearer = door.bearer(AccessRole.VIEWER)
    assert door.browser().get("/json/", headers=bearer).status_code == 200
    door.tokens.revoke("viewer")
    assert door.browser().get("/json/", headers=bearer).status_code == 401


# --- sessions ---


def test_log_in_and_out(door: Door) -> None:
    client = door.browser()
    assert log_in(client, door.token(AccessRole.OPERATOR), "/driver/?driverId=" + DRIVER) == 303
    cookie = client.get_cookie("stoker_session")
    assert cookie is not None and cookie.http_only and cookie.same_site == "Strict"
    page = Page(client.get("/").text)
    action, fields = page.press(DRIVER)
    assert client.post(action, data=fields).status_code == 303
    assert door.control.kills == [(DRIVER, Asker("operator", True, "dashboard"))]
    assert client.post("/logout", data={"csrfToken": fields["csrfToken"]}).status_code == 303
    assert client.get("/").status_code == 303
    client.set_cookie("stoker_session", cookie.value)
    assert client.get("/").status_code == 303, "the session is over for the server as well"


def test_a_session_ends_with_its_token(door: Door) -> None:
    client = door.browser()
    assert log_in(client, door.token(AccessRole.VIEWER)) == 303
    assert client.get("/").status_code == 200
    door.tokens.revoke("viewer")
    assert client.get("/").status_code == 303


def test_a_viewer_sees_no_kill_buttons(door: Door) -> None:
    client = door.browser()
    log_in(client, door.token(AccessRole.VIEWER))
    assert "/driver/kill/" not in client.get("/").text


def test_a_forged_form_is_refused_though_the_cookie_is_sent(door: Door) -> None:
    client = door.browser()
    log_in(client, door.token(AccessRole.ADMIN))
    for headers in ({}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.post("/driver/kill/", data=KILL, headers=headers).status_code == 403
    assert client.post("/driver/kill/", json=KILL).status_code == 403
    assert door.control.kills == []


def test_a_program_that_sends_a_form_is_told_what_to_send(tmp_path: Path) -> None:
    """As `curl -d` does, on the master's own machine, where no token is asked for."""
    door = Door(tmp_path, "127.0.0.1", trust_local_user=True)
    client = door.browser(is_local_user=True)
    form = "application/x-www-form-urlencoded"
    answer = client.post("/api/v1/drivers", data="{}", content_type=form)
    assert answer.status_code == 415
    assert "Content-Type: application/json" in answer.get_json()["error"]


def test_a_forged_log_in_is_refused(door: Door) -> None:
    token = door.token(AccessRole.ADMIN)
    assert door.browser().post("/login", data={"token": token}).status_code == 403


def test_too_many_tries(door: Door) -> None:
    client = door.browser()
    good = door.token(AccessRole.VIEWER)
    assert [log_in(client, "wrong") for _ in range(FAILURES)] == [401] * FAILURES
    assert log_in(client, "wrong") == 429
    response = client.get("/json/", headers={"Authorization": "Bearer wrong"})
    assert response.status_code == 429
    assert 0 < int(response.headers["Retry-After"]) <= WINDOW + 1
    assert log_in(client, good) == 303, "others at that address are not locked out"
    client.environ_base["REMOTE_ADDR"] = "10.9.9.9"
    assert log_in(client, "wrong") == 401


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "https://evil.example/", "/\\evil.example", "evil", "", "/a\nb", "http:///x", "//[", "/\t/e"],
)
def test_after_logging_in_nobody_is_sent_elsewhere(target: str) -> None:
    assert local_path(target) == "/"


def test_a_page_made_for_one_role_is_not_shown_to_another(door: Door) -> None:
    """Pages are made once for many browsers."""
    pages = {
        role: door.browser().get("/", headers=door.bearer(role)).text for role in (AccessRole.ADMIN, AccessRole.VIEWER)
    }
    assert "/driver/kill/" in pages[AccessRole.ADMIN]
    assert "/driver/kill/" not in pages[AccessRole.VIEWER]


# --- the daemon's own user ---


def test_the_local_user_needs_no_token(tmp_path: Path) -> None:
    door = Door(tmp_path, "127.0.0.1", trust_local_user=True)
    client = door.browser(is_local_user=True)
    assert client.get("/json/").status_code == 200
    token = csrf_of(client, "/")
    assert client.post("/driver/kill/", data={**KILL, "csrfToken": token}).status_code == 303
    assert door.control.kills == [(DRIVER, Asker("ada", True, "dashboard"))]
    assert door.browser(is_local_user=False).get("/json/").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [{"X-Forwarded-For": "1.2.3.4"}, {"Forwarded": "for=1.2.3.4"}, {"Via": "1.1 proxy"}, {"X-Real-IP": "1.2.3.4"},
     {"Host": "evil.example"}],
)  # fmt: skip
def test_who_comes_through_a_proxy_or_by_a_strange_name_is_not_the_local_user(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    door = Door(tmp_path, "10.0.0.5", trust_local_user=True, known_as=("spark.example",))
    client = door.browser(is_local_user=True)
    assert client.get("/json/", headers={"Host": "spark.example:8080"}).status_code == 200
    assert client.get("/json/", headers=headers).status_code == 401


def test_trust_can_be_switched_off(tmp_path: Path) -> None:
    door = Door(tmp_path, "127.0.0.1", trust_local_user=False)
    assert door.browser(is_local_user=True).get("/json/").status_code == 401


# --- the audit ---


def test_changes_and_refusals_are_written_down(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "stoker.audit")
    door.browser().post("/driver/kill/", data=KILL, headers=door.bearer(AccessRole.OPERATOR))
    line = caplog.messages[-1]
    assert line == f"action=kill target={DRIVER} who=operator role=operator from=127.0.0.1 result=done door=http"
    door.browser().post("/driver/kill/", data=KILL, headers=door.bearer(AccessRole.VIEWER))
    assert "who=viewer" in caplog.messages[-1] and "result=refused" in caplog.messages[-1]


def test_nobody_writes_lines_of_his_own(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "stoker.audit")
    evil = {"id": "x\naction=kill who=somebody-else", "terminate": "true"}
    door.browser().post("/driver/kill/", data=evil, headers=door.bearer(AccessRole.OPERATOR))
    assert len(caplog.messages[-1].splitlines()) == 1
    assert caplog.messages[-1].count("who=") == 1


# --- the parts ---


def test_throttle_forgets() -> None:
    now = [0.0]
    throttle = Throttle(lambda: now[0])
    for _ in range(FAILURES):
        assert throttle.wait("a") == 0
        throttle.failed("a")
    assert throttle.wait("a") == WINDOW
    assert throttle.wait("b") == 0
    now[0] = WINDOW
    assert throttle.wait("a") == 0


def test_sessions_are_bounded_and_end(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stoker.web.access.sessions.MOST", 3)
    token = door.tokens.identify(door.token(AccessRole.VIEWER))
    assert token is not None
    sessions = Sessions(60.0)
    first, *others = [sessions.start(token) for _ in range(4)]
    assert sessions.find(first) is None
    assert all(sessions.find(other) == token for other in others)
    ended = Sessions(-1.0)
    assert ended.find(ended.start(token)) is None


def test_a_session_is_prolonged_by_each_request(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    token = door.tokens.identify(door.token(AccessRole.VIEWER))
    assert token is not None
    now = [1000.0]
    sessions = Sessions(60.0)
    monkeypatch.setattr("stoker.web.access.sessions.time.monotonic", lambda: now[0])
    session = sessions.start(token)
    for _ in range(3):
        now[0] += 50.0
        assert sessions.find(session) == token
    now[0] += 61.0
    assert sessions.find(session) is None


# --- a view that says nothing of roles ---


def test_a_view_without_a_role_is_a_viewer_s_to_see_and_an_admin_s_to_change(door: Door) -> None:
    door.app.add_url_rule("/unmarked", view_func=lambda: "done", methods=["GET", "POST"])
    browser = door.browser()
    assert browser.get("/unmarked", headers=door.bearer(AccessRole.VIEWER)).status_code == 200
    assert browser.post("/unmarked", headers=door.bearer(AccessRole.OPERATOR)).status_code == 403
    assert browser.post("/unmarked", headers=door.bearer(AccessRole.ADMIN)).status_code == 200
