"""Downloads of large outputs on real sockets: complete, with little memory, and without delaying pages."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from stoker.core.model.messages import LogData, ReadLog
from stoker.errors import Unreachable
from stoker.web import log_files
from stoker.web.channel import MAX_BEHIND
from stoker.web.log_window import MAX_WINDOW
from stoker.web.master import make_app
from stoker.web.serve import LazyWebServer
from stoker.worker.jobs.logs import LogReader
from tests.support.wait import wait_until
from tests.support.web import Control, cluster_view, driver_view

HOST = "127.0.0.1"
WITHIN = 20.0  # seconds
SIZE = 20 * MAX_WINDOW + 12345  # bytes
PATH = f"/logFile/?driverId={driver_view().id}&logType=stdout&download"


class Site:
    def __init__(self, folder: Path) -> None:
        self.reads = 0
        self.fails_at = 1 << 62  # byte
        path = folder / driver_view().id / "stdout"
        path.parent.mkdir()
        with path.open("wb") as file:
            for number in range(SIZE // 16):
                file.write(b"%015d\n" % number)
            file.truncate(SIZE)
        self.digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self.reader = LogReader(folder, is_over=lambda *_: True, reply=lambda *_: None)
        control = Control()
        control.read_log = self.read_log  # type: ignore[method-assign]
        self.server = LazyWebServer(HOST, 0, lambda: make_app(cluster_view, control))
        self.server.start()

    def read_log(self, question: ReadLog) -> LogData:
        self.reads += 1
        if question.offset >= self.fails_at:
            raise Unreachable("the worker has gone")
        return self.reader.read(question)

    def ask(self, path: str = PATH, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
        """Return the answer and its body. Raises what http.client raises for a body that is cut off."""
        with contextlib.closing(http.client.HTTPConnection(HOST, self.server.port, timeout=WITHIN)) as connection:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return response, response.read()

    def begin(self) -> socket.socket:
        """Ask for the output, and read none of it."""
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(WITHIN)
        connection.connect((HOST, self.server.port))
        connection.sendall(f"GET {PATH} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        return connection


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.server.close()


def test_a_large_output_comes_whole(site: Site) -> None:
    response, body = site.ask()
    assert (response.status, response.headers["Content-Length"]) == (200, str(SIZE))
    assert hashlib.sha256(body).hexdigest() == site.digest


def test_a_large_output_comes_whole_and_compressed(site: Site) -> None:
    response, body = site.ask(**{"Accept-Encoding": "gzip"})
    assert response.headers["Transfer-Encoding"] == "chunked"
    assert hashlib.sha256(gzip.decompress(body)).hexdigest() == site.digest


def test_slow_readers_hold_up_nobody_and_fill_no_memory(site: Site) -> None:
    connections = [site.begin() for _ in range(log_files.AT_ONCE)]
    wait_until(lambda: site.reads > 2 * len(connections), within=WITHIN, what="the downloads have begun")
    for _ in range(3):
        assert site.ask("/healthz")[1] == b'{"status":"ok"}'
    assert site.ask()[0].status == 503, "no more than that at once"
    most = len(connections) * (3 + (MAX_BEHIND + 8 * MAX_WINDOW) // MAX_WINDOW)  # with what the kernel buffers
    assert site.reads < most, "it is read only as fast as it is taken"
    for connection in connections:
        connection.close()
    for _ in range(2):  # none of them occupies a place any more
        wait_until(lambda: len(site.ask()[1]) == SIZE, within=WITHIN, what="a whole download")


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_download_whose_worker_goes_is_seen_to_be_incomplete(site: Site, encoding: str) -> None:
    site.fails_at = 5 * MAX_WINDOW
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        site.ask(**{"Accept-Encoding": encoding})


def test_descriptors_are_not_lost(site: Site) -> None:
    assert site.ask("/healthz")[0].status == 200
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        site.begin().close()
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= before, within=WITHIN, what="all descriptors closed")
