"""The worker's page and the windows of its jobs' output (spec 15.4), over the worker's own reader of logs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from stoker.core.model.messages import LogData, ReadLog
from stoker.web.log_window import MAX_WINDOW, WINDOW
from stoker.web.worker import make_app
from stoker.worker.jobs.logs import LogReader
from tests.support.web import Page, driver_page, executor_page, worker_page

DRIVER = "driver-20140513164640-0001"
APP = "app-20140513164640-0001"


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    (folder / DRIVER).mkdir(parents=True)
    (folder / APP / "4").mkdir(parents=True)
    (folder / DRIVER / "stdout").write_bytes(b"0123456789")
    (folder / DRIVER / "stderr").write_bytes(b"")
    (folder / APP / "4" / "stdout").write_bytes(b"of an executor")
    (folder / "stdout").write_bytes(b"not a job's")
    (tmp_path / "stdout").write_bytes(b"a secret")
    return folder


@pytest.fixture
def client(work_dir: Path) -> FlaskClient:
    logs = LogReader(work_dir, is_over=lambda *_: True, reply=lambda *_: None)
    return make_app(worker_page, logs.read).test_client()


def no_logs(question: ReadLog) -> LogData:
    return LogData(request=question.request, error="there is none")


# --- the page ---


def test_page(client: FlaskClient) -> None:
    page = Page(client.get("/").text)
    assert page.definition("Master URL").startswith("spark://host0:7077")
    assert page.definition("Cores").startswith("8 (3 Used)")
    assert page.definition("Memory").startswith("15.5 GiB (1.5 GiB Used)")
    assert "http://host0:8080" in page.links()
    assert page.tables["Running Executors"][1][:7] == [
        "4", "RUNNING", "1", "1.0 GiB", "", "", f"ID: {APP} Name: count User: ada",
    ]  # fmt: skip
    assert page.tables["Running Drivers"][1][:6] == [
        DRIVER, "etl.pyz etl.main:run", "", "RUNNING", "2", "512.0 MiB",
    ]  # fmt: skip
    assert page.tables["Finished Drivers"][1][-1] == "exit 7 it gave up"
    for query in (f"driverId={DRIVER}&attempt=1", f"appId={APP}&executorId=4"):
        for stream in ("stdout", "stderr"):
            assert f"/logPage/?{query}&logType={stream}" in page.links()


def test_a_worker_without_a_master_says_so() -> None:
    page = worker_page(master_url="", master_webui_url="")
    answer = Page(make_app(lambda: page, no_logs).test_client().get("/").text)
    assert answer.definition("Master URL").startswith("not registered yet")
    assert "Back to Master" not in answer.text


def test_hostile_names_stay_text() -> None:
    bad = "<script>alert(1)</script>"
    page = worker_page(
        executors=(executor_page(app_name=bad, user=bad),),
        drivers=(driver_page(main_class=bad),),
        master_webui_url="javascript:alert(1)",
    )
    answer = Page(make_app(lambda: page, no_logs).test_client().get("/").text)
    assert answer.foreign() == []
    assert bad in answer.text
    assert not [link for link in answer.links() if "javascript" in link]


# --- output ---


@pytest.mark.parametrize(
    ("query", "window", "text"),
    [
        ("", "0-10", "0123456789"),
        ("&offset=3", "3-10", "3456789"),
        ("&offset=3&byteLength=4", "3-7", "3456"),
        ("&byteLength=4", "6-10", "6789"),
        ("&offset=-5&byteLength=2", "0-2", "01"),
        ("&offset=99", "10-10", ""),
        ("&byteLength=0", "10-10", ""),
        ("&byteLength=-1", "10-10", ""),
        ("&offset=0&byteLength=99999999999999999999", "0-10", "0123456789"),
        ("&offset=99999999999999999999", "10-10", ""),
    ],
)
def test_windows(client: FlaskClient, query: str, window: str, text: str) -> None:
    response = client.get(f"/log?driverId={DRIVER}&logType=stdout{query}")
    assert response.mimetype == "text/plain"
    assert response.text == f"==== Bytes {window} of 10 of {DRIVER}/stdout ====\n{text}"


@pytest.mark.parametrize("path", ["/log", "/log/", "/logPage", "/logPage/"])
def test_executors_output(client: FlaskClient, path: str) -> None:
    assert "of an executor" in client.get(f"{path}?appId={APP}&executorId=4&logType=stdout").text


def test_default_window_is_the_last_100_kib(client: FlaskClient, work_dir: Path) -> None:
    (work_dir / DRIVER / "stdout").write_bytes(b"x" * 5 + b"y" * WINDOW)
    response = client.get(f"/log?driverId={DRIVER}&logType=stdout")
    assert response.text.partition("\n")[2] == "y" * WINDOW
    assert f"Bytes 5-{WINDOW + 5} of {WINDOW + 5} " in response.text


def test_no_window_is_larger_than_a_mebibyte(client: FlaskClient, work_dir: Path) -> None:
    with (work_dir / DRIVER / "stdout").open("wb") as file:
        file.truncate(10 << 30)  # sparse: 10 GiB
    response = client.get(f"/log?driverId={DRIVER}&logType=stdout&offset=0&byteLength={5 << 30}")
    assert len(response.data.partition(b"\n")[2]) == MAX_WINDOW


def test_the_page_leads_back_and_on(client: FlaskClient) -> None:
    page = Page(client.get(f"/logPage/?driverId={DRIVER}&logType=stdout&offset=4&byteLength=3").text)
    assert "Bytes: 4 - 7 of 10" in page.text
    same = f"/logPage/?driverId={DRIVER}&logType=stdout&byteLength=3"
    assert f"{same}&offset=1" in page.links()
    assert f"{same}&offset=7" in page.links()
    at_start = Page(client.get(f"{same}&offset=0").text)
    assert "Load More" not in at_start.text
    at_end = Page(client.get(f"{same}&offset=7").text)
    assert f"{same}&offset=7" in at_end.links(), "at the end, the newest bytes there are"


def test_output_is_text_whatever_it_is(client: FlaskClient, work_dir: Path) -> None:
    (work_dir / DRIVER / "stdout").write_bytes(b"</pre><script>alert(1)</script>\xff\x00\x1b[31m")
    page = Page(client.get(f"/logPage/?driverId={DRIVER}&logType=stdout").text)
    assert page.foreign() == []
    assert "</pre><script>alert(1)</script>\ufffd" in page.text


NOT_NAMES = [
    "",
    "?logType=stdout",
    f"?driverId={DRIVER}&logType=stdin",
    f"?driverId={DRIVER}&logType=../../stdout",
    f"?driverId={DRIVER}&logType=",
    "?driverId=..&logType=stdout",
    "?driverId=.&logType=stdout",
    "?driverId=../work&logType=stdout",
    "?driverId=/etc/passwd&logType=stdout",
    f"?driverId={DRIVER}/..&logType=stdout",
    f"?driverId={DRIVER}%00&logType=stdout",
    f"?driverId={DRIVER}%0a&logType=stdout",
    f"?appId={APP}&logType=stdout",
    f"?appId={APP}&executorId=-1&logType=stdout",
    f"?appId={APP}&executorId=../..&logType=stdout",
    f"?appId={APP}&executorId={'9' * 5000}&logType=stdout",
    f"?appId={APP}&executorId=4&driverId={DRIVER}&logType=stdout",
    "?appId=..&executorId=4&logType=stdout",
    f"?driverId={DRIVER}&offset=x",
    f"?driverId={DRIVER}&byteLength=1e3",
]


@pytest.mark.parametrize("path", ["/log", "/logPage/"])
@pytest.mark.parametrize("query", NOT_NAMES, ids=range(len(NOT_NAMES)))
def test_what_names_no_output_is_a_bad_request(client: FlaskClient, path: str, query: str) -> None:
    response = client.get(path + query)
    assert response.status_code == 400
    assert "secret" not in response.text
    assert "not a job's" not in response.text
    assert ("text/plain" if path == "/log" else "text/html") in response.content_type


def test_output_that_is_not_there(client: FlaskClient) -> None:
    response = client.get("/log?driverId=driver-20140513164640-0777&logType=stderr")
    assert response.status_code == 404
    assert "There is no stderr of driver-20140513164640-0777" in response.text


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_jobs_cannot_lead_the_reader_astray(client: FlaskClient, work_dir: Path, kind: str) -> None:
    path = work_dir / DRIVER / "stdout"
    path.unlink()
    if kind == "link":
        path.symlink_to(work_dir.parent / "stdout")
    elif kind == "pipe":
        os.mkfifo(path)  # opening it for reading would wait for a writer for ever
    else:
        path.mkdir()
    response = client.get(f"/log?driverId={DRIVER}&logType=stdout")
    assert response.status_code == 404
    assert "secret" not in response.text
