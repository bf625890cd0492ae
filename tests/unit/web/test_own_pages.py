"""The daemon's own settings and log, on both dashboards."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from stoker.config.effective import ShownSetting, ShownSettings
from stoker.core.model.messages import LogData, ReadLog
from stoker.core.model.states import MasterState
from stoker.core.model.views import ClusterView
from stoker.io.own_log import OwnLog
from stoker.web import log_pages, master, worker
from stoker.web.log_window import WINDOW
from tests.support.web import Control, Page, cluster_view, worker_page

OWN = ShownSettings(
    (ShownSetting("spark.worker.timeout", "<30s>", "spark-defaults.conf"),),
    (ShownSetting("SPARK_PUBLIC_DNS", "h1", "environment"),),
)
LOG = "/logPage/?self&logType=out"


def no_logs(question: ReadLog) -> LogData:
    return LogData(request=question.request, error="there is none")


def of_master() -> FlaskClient:
    return master.make_app(cluster_view, Control(), own=OWN).test_client()


def of_worker() -> FlaskClient:
    return worker.make_app(worker_page, no_logs, own=OWN).test_client()


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "daemon.log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    monkeypatch.setattr(log_pages, "OwnLog", lambda: OwnLog(descriptor))
    yield path
    os.close(descriptor)


@pytest.mark.parametrize("make", [of_master, of_worker])
def test_environment(make: Callable[[], FlaskClient]) -> None:
    browser = make()
    assert {"/environment/", LOG} <= set(Page(browser.get("/").text).links())
    page = Page(browser.get("/environment/").text)
    assert page.tables["Properties"][1] == ["spark.worker.timeout", "<30s>", "spark-defaults.conf"]
    assert page.tables["Environment variables"][1] == ["SPARK_PUBLIC_DNS", "h1", "environment"]
    assert page.definition("Process").startswith(str(os.getpid()))


@pytest.mark.parametrize("make", [of_master, of_worker])
def test_own_log_shows_its_end_and_leads_to_what_is_before(make: Callable[[], FlaskClient], log: Path) -> None:
    log.write_bytes(b"first\n" + b"x" * WINDOW + b"\n<last>\x1b[0m\n")
    browser = make()
    page = browser.get(LOG)
    assert page.status_code == 200
    assert f"{log}" in page.text
    assert "&lt;last&gt;\n" in page.text
    assert "first" not in page.text
    earlier = next(link for link in Page(page.text).links() if "offset=" in link)
    assert "first" in browser.get(earlier).text
    text = browser.get("/log/?self&logType=out&offset=0&byteLength=5").text
    assert text == f"==== Bytes 0-5 of {log.stat().st_size} of {log} ====\nfirst"
    assert len(browser.get(f"{LOG}&byteLength=99999999").data) < WINDOW + 10_000
    assert browser.get(f"{LOG}&offset=x").status_code == 400


def test_own_log_elsewhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    try:
        monkeypatch.setattr(log_pages, "OwnLog", lambda: OwnLog(writing))
        monkeypatch.setenv("JOURNAL_STREAM", "8:1")
        browser = of_worker()
        assert f"journalctl _PID={os.getpid()}" in browser.get(LOG).text
        assert browser.get("/log/?self&logType=out").status_code == 404
    finally:
        os.close(reading)
        os.close(writing)


def test_a_standby_shows_its_own(log: Path) -> None:
    log.write_bytes(b"I wait\n")
    standby = ClusterView(
        url="spark://h2:7077", state=MasterState.STANDBY, epoch=0, version="1", leader_webui_url="http://h1:8080"
    )
    browser = master.make_app(lambda: standby, Control(), own=OWN).test_client()
    assert "I wait" in browser.get(LOG).text
    assert browser.get("/environment/").status_code == 200
    assert browser.get("/logPage/?driverId=x").status_code == 307
