"""What every answer has, and what no answer may show."""

from __future__ import annotations

import logging

import pytest
from flask import Flask
from flask.testing import FlaskClient

from stoker.core.model.values import Exit
from stoker.web.access.policy import Access
from stoker.web.common import new_app
from stoker.web.show import show_duration, show_exit, show_mib, web_link
from tests.support.web import Page


def make(host: str = "127.0.0.1") -> Flask:
    app = new_app("stoker.web.test", access=Access(host=host))

    @app.get("/")
    @app.get("/json/")
    def index() -> str:
        return "here"

    @app.get("/fails")
    @app.get("/json/fails")
    def fails() -> str:
        raise RuntimeError("a secret of the program")

    return app


@pytest.fixture
def client() -> FlaskClient:
    return make().test_client()


@pytest.mark.parametrize("path", ["/", "/missing", "/fails", "/json/missing", "/static/stoker.css"])
def test_security_headers(client: FlaskClient, path: str) -> None:
    with client.get(path) as response:
        headers = response.headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/", "/missing", "/fails"])
def test_pages_need_nothing_inline(client: FlaskClient, path: str) -> None:
    assert Page(client.get(path).text).foreign() == []


def test_failures_are_logged_but_not_shown(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        page, json = client.get("/fails"), client.get("/json/fails")
    assert (page.status_code, json.status_code) == (500, 500)
    for answer in (page.text, json.text):
        assert "secret" not in answer
        assert "Traceback" not in answer
    assert json.get_json()["status"] == 500
    assert "a secret of the program" in caplog.text


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_wrong_methods_are_told_the_right_ones(client: FlaskClient, method: str) -> None:
    response = client.open("/", method=method.upper())
    assert response.status_code == 405
    assert "GET" in response.headers["Allow"]


def test_missing_pages_lead_home(client: FlaskClient) -> None:
    response = client.get("/nowhere<script>")
    assert response.status_code == 404
    assert 'href="/"' in response.text
    assert "<script>" not in response.text


@pytest.mark.parametrize("path", ["/json/missing", "/api/v1/missing"])
def test_errors_of_json_are_json(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.content_type == "application/json"
    assert answer.get_json()["status"] == 404


@pytest.mark.parametrize("path", ["/static/../common.py", "/static/%2e%2e/common.py", "/static//etc/passwd"])
def test_static_files_stay_in_their_folder(client: FlaskClient, path: str) -> None:
    response = client.get(path, follow_redirects=True)
    assert response.status_code in {400, 404}


GOOD = ["127.0.0.1", "127.0.0.1:8080", "localhost:9", "LOCALHOST", "[::1]:8080", "app.localhost"]
BAD = [
    "evil.example",
    "evil.example:8080",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "[::1",
    "",
    "10.0.0.1",
    "a b",
]


@pytest.mark.parametrize("asked", GOOD)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_on_loopback_its_own_names_are_answered(asked: str, host: str) -> None:
    assert make(host).test_client().get("/", headers={"Host": asked}).status_code == 200


@pytest.mark.parametrize("asked", BAD)
def test_on_loopback_other_names_are_refused(client: FlaskClient, asked: str) -> None:
    assert client.get("/", headers={"Host": asked}).status_code == 400


def test_elsewhere_any_name_will_do() -> None:
    assert make("0.0.0.0").test_client().get("/", headers={"Host": "spark.example"}).status_code == 200


@pytest.mark.parametrize(
    ("mib", "shown"),
    [(0, "0.0 MiB"), (512, "512.0 MiB"), (1024, "1.0 GiB"), (15872, "15.5 GiB"), (3 << 20, "3.0 TiB")],
)
def test_memory(mib: int, shown: str) -> None:
    assert show_mib(mib) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-1, "0 ms"), (0.25, "250 ms"), (12.3, "12 s"), (90, "1.5 min"), (5400, "1.5 h"), (259200, "3.0 days")],
)
def test_duration(seconds: float, shown: str) -> None:
    assert show_duration(seconds) == shown


def test_exit() -> None:
    assert show_exit(Exit()) == ""
    assert show_exit(Exit(code=0)) == "exit 0"
    assert show_exit(Exit(signal=15)) == "signal 15"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "httpx://h", "//h", "data:text/html,x", " http://h"])
def test_links_lead_to_web_pages_only(url: str) -> None:
    assert web_link(url) == ""
