"""Output of jobs in a browser: bytes by range, following, searching, and requests that must not be delayed by it."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient

from stoker.core.model.messages import LogData, ReadLog
from stoker.errors import Unreachable
from stoker.web import log_files, log_window
from stoker.web.master import make_app
from stoker.worker.jobs.logs import MAX_SEARCH, LogReader
from stoker.worker.keeper.parts import member, part_name
from tests.support.web import Control, Page, cluster_view, driver_view

DRIVER = driver_view().id
OUTPUT = f"driverId={DRIVER}&logType=stdout"
APP = "app-20260101000000-0001"
EXECUTOR = f"appId={APP}&executorId=0&logType=stdout"


class Master:
    """A master's dashboard over a worker's reader of logs."""

    def __init__(self, folder: Path, *, over: bool = True) -> None:
        self.over = over
        (folder / DRIVER).mkdir(parents=True)
        self.path = folder / DRIVER / "stdout"
        self.path.write_bytes(b"0123456789")
        self.reader = LogReader(folder, is_over=lambda *_: self.over, reply=lambda *_: None)
        self.control = Control()
        self.control.read_log = self.reader.read  # type: ignore[method-assign, assignment]
        self.browser: FlaskClient = make_app(cluster_view, self.control).test_client()


@pytest.fixture
def master(tmp_path: Path) -> Master:
    return Master(tmp_path)


# --- bytes ---


@pytest.mark.parametrize(
    ("asked", "status", "content_range", "data"),
    [
        (None, 200, None, b"0123456789"),
        ("bytes=2-4", 206, "bytes 2-4/10", b"234"),
        ("bytes=7-", 206, "bytes 7-9/10", b"789"),
        ("bytes=-3", 206, "bytes 7-9/10", b"789"),
        ("bytes=-99", 206, "bytes 0-9/10", b"0123456789"),
        ("bytes=8-99", 206, "bytes 8-9/10", b"89"),
        ("bytes=10-", 416, "bytes */10", None),
        ("bytes=99-100", 416, "bytes */10", None),
        ("bytes=1-2,4-5", 200, None, b"0123456789"),
        ("bytes=5-2", 200, None, b"0123456789"),
        ("lines=1-2", 200, None, b"0123456789"),
        ("nonsense", 200, None, b"0123456789"),
    ],
)
def test_ranges(master: Master, asked: str | None, status: int, content_range: str | None, data: bytes | None) -> None:
    response = master.browser.get(f"/logFile/?{OUTPUT}", headers={} if asked is None else {"Range": asked})
    assert (response.status_code, response.headers.get("Content-Range")) == (status, content_range)
    if data is not None:
        assert response.data == data
        assert response.content_length == len(data)


LARGE = b"".join(b"%07d a line of output\n" % number for number in range(60_000))  # bytes: more than one window


def test_a_download_is_whole_and_has_a_name(master: Master) -> None:
    master.path.write_bytes(LARGE)
    response = master.browser.get(f"/logFile/?{OUTPUT}&download")
    assert (response.status_code, response.content_length) == (200, len(LARGE))
    assert response.headers["Content-Disposition"] == f'attachment; filename="{DRIVER}.stdout.txt"'
    assert response.data == LARGE
    head = master.browser.head(f"/logFile/?{OUTPUT}")
    assert (head.status_code, head.content_length, head.data) == (200, len(LARGE), b"")
    rest = master.browser.get(f"/logFile/?{OUTPUT}", headers={"Range": "bytes=9-"})
    assert (rest.status_code, rest.data) == (206, LARGE[9:])


@pytest.mark.parametrize("asked", ["gzip", "gzip, deflate, br", "br;q=1, *;q=0.5"])
def test_a_download_is_compressed_on_request(master: Master, asked: str) -> None:
    master.path.write_bytes(LARGE)
    response = master.browser.get(f"/logFile/?{OUTPUT}", headers={"Accept-Encoding": asked})
    assert (response.status_code, response.headers["Content-Encoding"]) == (200, "gzip")
    assert response.headers["Vary"] == "Accept-Encoding"
    assert len(response.data) < len(LARGE) / 4
    assert gzip.decompress(response.data) == LARGE


@pytest.mark.parametrize("headers", [{"Accept-Encoding": "gzip;q=0"}, {"Accept-Encoding": "gzip", "Range": "bytes=0-"}])
def test_a_range_and_a_refusal_are_not_compressed(master: Master, headers: dict[str, str]) -> None:
    master.path.write_bytes(LARGE)
    response = master.browser.get(f"/logFile/?{OUTPUT}", headers=headers)
    assert "Content-Encoding" not in response.headers
    assert response.data == LARGE


def test_an_output_that_shrinks_ends_its_download_early(master: Master) -> None:
    master.path.write_bytes(LARGE)
    response = master.browser.get(f"/logFile/?{OUTPUT}")
    master.path.write_bytes(b"new")
    assert len(response.data) < len(LARGE)


def test_downloads_at_once_are_limited(master: Master) -> None:
    master.path.write_bytes(LARGE)
    begun = [master.browser.get(f"/logFile/?{OUTPUT}", buffered=False) for _ in range(log_files.AT_ONCE)]
    bodies = [response.iter_encoded() for response in begun]
    for body in bodies:
        next(body)
    assert "try again later" in master.browser.get(f"/logFile/?{OUTPUT}").text
    for response in begun:
        response.close()
    assert master.browser.get(f"/logFile/?{OUTPUT}").data == LARGE


def test_an_empty_output_is_no_error(master: Master) -> None:
    master.path.write_bytes(b"")
    assert master.browser.get(f"/logFile/?{OUTPUT}").data == b""
    assert "Bytes: 0 - 0 of 0" in master.browser.get(f"/logPage/?{OUTPUT}").text


# --- following ---


def tail(master: Master, offset: int, length: int = 100) -> tuple[str, str, str, bytes]:
    response = master.browser.get(f"/logTail/?{OUTPUT}&offset={offset}&byteLength={length}")
    assert response.status_code == 200
    headers = response.headers
    return headers["Log-Start"], headers["Log-Size"], headers["Log-State"], response.data


def test_following(master: Master) -> None:
    master.over = False
    assert tail(master, -4) == ("6", "10", "running", b"6789")
    assert tail(master, 10) == ("10", "10", "running", b"")
    master.path.write_bytes(b"0123456789abc")
    assert tail(master, 10, 2) == ("10", "13", "running", b"ab")
    master.over = True
    assert tail(master, 12) == ("12", "13", "ended", b"c")
    master.path.write_bytes(b"new")
    assert tail(master, 13) == ("3", "3", "ended", b"")


def test_what_has_not_started_is_waited_for(master: Master) -> None:
    master.over = False
    master.path.unlink()
    assert tail(master, -4)[2] == "waiting"
    assert "The job has not started yet" in master.browser.get(f"/logPage/?{OUTPUT}").text


# --- rolled outputs ---


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[tuple[FlaskClient, bytes]]:
    """An executor's output whose first 3,000 bytes were removed; the next parts are compressed, plain, and written to."""
    text = b"".join(b"line %d\n" % number for number in range(1000))
    folder = tmp_path / APP / "0"
    folder.mkdir(parents=True)
    path = str(folder / "stdout")
    for start, end, compressed in ((3000, 5000, True), (5000, 6000, False)):
        name = part_name(path, "2026-01-31--12-00-00", start, end)
        Path(name + ".gz" * compressed).write_bytes(member(text[start:end]) if compressed else text[start:end])
    Path(path).write_bytes(text[6000:])
    control = Control()
    reader = LogReader(tmp_path, is_over=lambda *_: False, reply=lambda *_: None)
    control.read_log = reader.read  # type: ignore[method-assign, assignment]
    yield make_app(cluster_view, control).test_client(), text


def test_a_rolled_output_is_one(executor: tuple[FlaskClient, bytes]) -> None:
    browser, text = executor
    size = len(text)
    page = browser.get(f"/logPage/?{EXECUTOR}&offset=4900&byteLength=200").text
    assert f"Bytes: 4900 - 5100 of {size}" in page
    assert "offset=4700" in page
    plain = browser.get(f"/log/?{EXECUTOR}&offset=4990&byteLength=20").text
    assert plain.endswith(text[4990:5010].decode())
    tail = browser.get(f"/logTail/?{EXECUTOR}&offset=5990&byteLength=100")
    assert (tail.headers["Log-Start"], tail.headers["Log-Size"], tail.data) == ("5990", str(size), text[5990:6090])


def test_removed_parts_are_named_and_skipped(executor: tuple[FlaskClient, bytes]) -> None:
    browser, text = executor
    page = browser.get(f"/logPage/?{EXECUTOR}&offset=0&byteLength=100").text
    assert "Bytes: 3000 - 3100" in page
    assert "removed: the first" in page
    assert "Load More" not in page
    assert "offset=3000" in browser.get(f"/logPage/?{EXECUTOR}&offset=3050&byteLength=100").text
    whole = browser.get(f"/logFile/?{EXECUTOR}")
    assert whole.data == text[3000:]
    part = browser.get(f"/logFile/?{EXECUTOR}", headers={"Range": "bytes=100-3004"})
    assert (part.headers["Content-Range"], part.data) == (f"bytes 3000-3004/{len(text)}", text[3000:3005])


def test_searching_a_rolled_output(executor: tuple[FlaskClient, bytes]) -> None:
    browser, text = executor
    for number, found in ((555, True), (600, True), (999, True), (5, False)):
        word = f"line {number}\n" if number != 5 else "line 5\n"
        page = Page(browser.get(f"/logPage/?{EXECUTOR}&{urlencode({'find': word})}").text).text
        at = text.find(word.encode())
        assert (f"Found at byte {at}." in page) is found
        assert ("is not there" in page) is not found


# --- searching ---


def found(master: Master, query: str) -> str:
    page = master.browser.get(f"/logPage/?{OUTPUT}&{query}").text
    return Page(page).text


def test_searching_finds_the_newest_first_and_goes_both_ways(master: Master) -> None:
    master.path.write_bytes(b"error one\n" + b"x" * 20_000 + b"Error two\n" + b"y" * 20_000)
    assert "Found at byte 20010." in found(master, "find=ERROR")
    assert "Found at byte 0." in found(master, "find=ERROR&direction=up&from=20010")
    assert "is not found beyond this place" in found(master, "find=ERROR&direction=up&from=0")
    assert "Found at byte 20010." in found(master, "find=ERROR&direction=down&from=1")
    assert "is not there" in found(master, "find=nothing")


def test_a_match_across_two_parts_is_found_once(master: Master) -> None:
    with master.path.open("wb") as file:
        file.seek(MAX_SEARCH - 3)
        file.write(b"needle")
        file.truncate(3 * MAX_SEARCH)
    at = f"Found at byte {MAX_SEARCH - 3}."
    assert at in found(master, "find=needle&direction=down")
    assert at in found(master, "find=needle")
    assert "beyond this place" in found(master, f"find=needle&direction=down&from={MAX_SEARCH - 2}")


def test_a_search_that_takes_long_leads_on(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_window, "SEARCH_FOR", -1.0)
    monkeypatch.setattr(log_window.LogReaders, "_answer", lambda self, output, question: self._read(question))
    with master.path.open("wb") as file:
        file.truncate(3 * MAX_SEARCH)
    page = Page(master.browser.get(f"/logPage/?{OUTPUT}&find=needle").text)
    assert f"Nothing until byte {2 * MAX_SEARCH} of {3 * MAX_SEARCH}." in page.text
    assert f"/logPage/?{OUTPUT}&find=needle&direction=up&from={2 * MAX_SEARCH}" in page.links()


def test_the_match_is_marked_and_the_others_too(master: Master) -> None:
    master.path.write_bytes(b"<b>one</b> ONE \xffone")
    text = master.browser.get(f"/logPage/?{OUTPUT}&find=one&from=13").text
    assert '&lt;b&gt;<mark>one</mark>&lt;/b&gt; <mark class="here">ONE</mark> \ufffd<mark>one</mark>' in text


@pytest.mark.parametrize("query", ["find=" + "x" * 201, "find=x&from=y"])
def test_strange_searches_are_refused(master: Master, query: str) -> None:
    assert master.browser.get(f"/logPage/?{OUTPUT}&{query}").status_code == 400


def test_a_worker_that_cannot_search_is_named(master: Master) -> None:
    master.control.read_log = lambda question: LogData(request=0, size=10)  # type: ignore[method-assign]
    browser = make_app(cluster_view, master.control).test_client()
    response = browser.get(f"/logPage/?{OUTPUT}&find=x&direction=down")
    assert response.status_code == 404
    assert "cannot search" in response.text


# --- frozen workers ---


def test_frozen_workers_leave_threads_for_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_window, "SEARCH_FOR", 0.05)
    thaw, asked = threading.Event(), threading.Semaphore(0)

    def frozen(question: ReadLog) -> LogData:
        asked.release()
        thaw.wait(20)
        raise Unreachable("the worker that has this output does not answer: try again")

    control = Control()
    control.read_log = frozen  # type: ignore[method-assign]
    app = make_app(cluster_view, control)
    answers: list[int] = []
    readers = [
        threading.Thread(target=lambda: answers.append(app.test_client().get(f"/log/?{OUTPUT}").status_code))
        for _ in range(log_window.READERS)
    ]
    for reader in readers:
        reader.start()
        assert asked.acquire(timeout=20)
    turned_away = app.test_client().get(f"/log/?{OUTPUT}")
    assert turned_away.status_code == 503
    assert "Too many are reading" in turned_away.text
    thaw.set()
    for reader in readers:
        reader.join(20)
    assert answers == [503] * log_window.READERS
