"""The dashboard's server on real sockets: lazy, bounded, and unharmed by hostile browsers."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stoker.errors import ConfigError
from stoker.web import http as server_module
from stoker.web.access.policy import Access
from stoker.web.http import DashboardServer
from stoker.web.master import make_app
from stoker.web.serve import LazyWebServer
from tests.support.wait import wait_until
from tests.support.web import Control, cluster_view, driver_view

DEADLINE = 20.0  # seconds: far more than anything here takes
HOST = "127.0.0.1"


def until(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + DEADLINE
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {DEADLINE} s: {what}"
        threading.Event().wait(0.01)
    return found


@contextlib.contextmanager
def serving(make: Callable[[], Any] | None = None) -> Iterator[LazyWebServer]:
    server = LazyWebServer(HOST, 0, make or (lambda: make_app(cluster_view, Control())))
    server.start()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving() as server:
        yield server.port


def get(port: int, path: str = "/", **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(HOST, port, timeout=DEADLINE)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    response.body = response.read()  # type: ignore[attr-defined]
    connection.close()
    return response


def talk(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer to raw bytes."""
    with socket.create_connection((HOST, port), DEADLINE) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()


# --- listening ---


def test_a_taken_port_leads_to_the_next() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = LazyWebServer(HOST, port, dict)
        assert port < server.port <= port + 16
        server.close()


def test_a_taken_port_without_retries_is_one_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port}: Address already in use; .*--webui-port"):
            LazyWebServer(HOST, port, dict, max_port_retries=0)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "x" * 70])
def test_an_address_that_is_not_ours(host: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on .* ports 18080-18082"):
        LazyWebServer(host, 18080, dict, max_port_retries=2)


def test_ports_end_at_65535() -> None:
    with contextlib.suppress(ConfigError):
        LazyWebServer(HOST, 65535, dict).close()


def test_ipv6() -> None:
    try:
        server = LazyWebServer("::1", 0, lambda: make_app(cluster_view, Control(), access=Access(host="::1")))
    except ConfigError:
        pytest.skip("no IPv6 here")
    server.start()
    connection = http.client.HTTPConnection("::1", server.port, timeout=DEADLINE)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    connection.close()
    server.close()


# --- laziness ---

IDLE = """
import json, sys, http.client
from stoker.web.serve import LazyWebServer

def rss():
    for line in open("/proc/self/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) // 1024

def make():
    from stoker.core.model.views import ClusterView
    from stoker.core.model.states import MasterState
    from stoker.web.master import make_app
    view = ClusterView(url="spark://h:7077", state=MasterState.ALIVE, epoch=1, version="0")
    from tests.support.web import Control
    return make_app(lambda: view, Control())

before = rss()
server = LazyWebServer("127.0.0.1", 0, make)
server.start()
heavy = {"flask", "waitress", "jinja2", "werkzeug"}
idle = {"rss": rss() - before, "loaded": sorted(heavy & set(sys.modules))}
connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
connection.request("GET", "/json/")
response = connection.getresponse()
response.read()
visited = {"rss": rss() - before, "loaded": sorted(heavy & set(sys.modules))}
print(json.dumps({"idle": idle, "status": response.status, "visited": visited}))
server.close()
"""


def test_nothing_is_loaded_before_the_first_visit() -> None:
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(IDLE)], capture_output=True, text=True, timeout=60, check=True
    )
    seen = json.loads(run.stdout)
    assert seen["idle"]["loaded"] == []
    assert seen["idle"]["rss"] <= 2, "MiB that an unvisited dashboard costs"
    assert seen["status"] == 200
    assert seen["visited"]["loaded"] == ["flask", "jinja2", "waitress", "werkzeug"]
    assert seen["visited"]["rss"] > seen["idle"]["rss"]
    assert run.stderr == ""


def test_the_application_is_made_once_for_many_first_visitors() -> None:
    made = []

    def make() -> Any:
        made.append(1)
        return make_app(cluster_view, Control())

    with serving(make) as server:
        answers: list[int] = []
        visitors = [threading.Thread(target=lambda: answers.append(get(server.port).status)) for _ in range(8)]
        for visitor in visitors:
            visitor.start()
        for visitor in visitors:
            visitor.join(DEADLINE)
    assert answers == [200] * 8
    assert made == [1]


def test_a_dashboard_that_cannot_be_made_turns_visitors_away(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> Any:
        raise ImportError("no Flask here")

    with serving(fail) as server:
        with contextlib.suppress(ConnectionError), socket.create_connection((HOST, server.port), DEADLINE) as visitor:
            assert visitor.recv(1) == b""
        wait_until(lambda: "no Flask here" in caplog.text, what="the log names the reason")
        assert "start the daemon again" in caplog.text and "Traceback" not in caplog.text


# --- closing ---


@pytest.mark.parametrize("visited", [False, True])
@pytest.mark.parametrize("started", [False, True])
def test_closing_frees_the_port_and_ends_the_thread(visited: bool, started: bool) -> None:
    server = LazyWebServer(HOST, 0, lambda: make_app(cluster_view, Control()))
    if started:
        server.start()
        if visited:
            assert get(server.port).status == 200
    before = time.monotonic()
    server.close()
    server.close()
    assert time.monotonic() - before < 2
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, server.port), DEADLINE)
    assert not [thread for thread in threading.enumerate() if thread.name == "web"]


def test_closing_does_not_wait_for_a_visitor() -> None:
    with serving() as server, socket.create_connection((HOST, server.port), DEADLINE) as visitor:
        visitor.sendall(b"GET / HTTP/1.1\r\n")
        assert get(server.port).status == 200
        before = time.monotonic()
        server.close()
        assert time.monotonic() - before < 2
        assert visitor.recv(1) == b""


# --- what it refuses ---


def test_it_names_no_software(port: int) -> None:
    assert get(port).getheader("Server") is None


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * server_module.MAX_HEADER + b"\r\n\r\n", 431),
        (b"POST /app/kill/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"GET /%00%ff/../..//etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (b"PRI * HTTP/2.0\r\n\r\n", 400),
    ],
)
def test_bad_requests(port: int, request_bytes: bytes, status: int) -> None:
    answer, headers, body = talk(port, request_bytes)
    assert answer == status
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers
    assert b"Traceback" not in body
    assert b"waitress" not in body.lower()
    assert b"generated by" not in body
    assert get(port).status == 200


def test_too_much_for_json_is_refused_in_json(port: int) -> None:
    request = b"POST /json/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n"
    status, headers, body = talk(port, request)
    assert (status, headers["content-type"]) == (413, "application/json")
    assert json.loads(body) == {"error": "Request Entity Too Large", "status": 413}


# --- slow clients delay only themselves ---


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[DashboardServer, int]]:
    """A server of 20 connections that ends unfinished requests after 1 s, idle connections after 2 s."""
    monkeypatch.setattr(server_module, "MAX_CONNECTIONS", 20)
    monkeypatch.setattr(server_module, "LOOK_EVERY", 1)
    cluster = cluster_view(active_drivers=tuple(driver_view(number) for number in range(5000)))
    listener = socket.create_server((HOST, 0))
    server = DashboardServer(make_app(lambda: cluster, Control()), listener, request_within=1, idle=2)
    thread = threading.Thread(target=server.run)
    thread.start()
    yield server, listener.getsockname()[1]
    server.stop()
    thread.join(DEADLINE)
    assert not thread.is_alive()


def is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(65536) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_a_request_that_drips_is_ended(small: tuple[DashboardServer, int]) -> None:
    _, port = small
    began = time.monotonic()
    with socket.create_connection((HOST, port), DEADLINE) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\n")

        def drip() -> bool:
            with contextlib.suppress(OSError):
                slow.send(b"X: y\r\n")
            return is_closed(slow)

        until(drip, "the end of a request that never ends")
    assert time.monotonic() - began >= 1


def test_an_idle_connection_is_ended(small: tuple[DashboardServer, int]) -> None:
    with socket.create_connection((HOST, small[1]), DEADLINE) as idle:
        until(lambda: is_closed(idle), "the end of an idle connection")


def test_when_the_house_is_full_newcomers_are_let_in(small: tuple[DashboardServer, int]) -> None:
    server, port = small
    server.request_within = server.idle = 1e6  # only room-making may end connections
    with contextlib.ExitStack() as stack:
        hostile = [stack.enter_context(socket.create_connection((HOST, port), DEADLINE)) for _ in range(60)]
        for connection in hostile:
            with contextlib.suppress(ConnectionError):
                connection.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        assert get(port, "/healthz").status == 200
        until(lambda: len(server.active_channels) <= 21, "room")
        until(lambda: sum(map(is_closed, hostile)) >= 40, "the oldest to go")
        assert is_closed(hostile[0]) and not is_closed(hostile[-1])
        assert get(port, "/healthz").status == 200


def test_readers_that_do_not_read_hold_no_thread(small: tuple[DashboardServer, int]) -> None:
    """Three times as many slow readers of large answers as there are threads, and pages still come."""
    _, port = small
    with contextlib.ExitStack() as stack:
        for _ in range(3 * server_module.THREADS):
            reader = stack.enter_context(socket.socket())
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect((HOST, port))
            reader.sendall(b"GET /json/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert get(port, "/healthz").status == 200
        assert len(json.loads(get(port, "/json/").body)["activedrivers"]) == 5000  # type: ignore[attr-defined]


def spilled() -> int:
    """Return how many temporary files, invisible to other processes, this process has open."""
    names = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # closed since it was listed
            names.append(os.readlink(entry))
    return sum(name.startswith(tempfile.gettempdir()) and name.endswith("(deleted)") for name in names)


def test_closing_closes_what_an_answer_has_spilled_to_the_disk() -> None:
    def application(_environ: object, start_response: Callable[..., object]) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    body = b"x" * (32 << 20)  # more than the sockets' buffers and the server's memory for one answer
    before = spilled()
    with serving(lambda: application) as server, socket.create_connection((HOST, server.port), DEADLINE) as reader:
        reader.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(lambda: spilled() > before, "the answer is on the disk")
        server.close()
        assert spilled() == before
