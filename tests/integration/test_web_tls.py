"""Dashboards by TLS, on real sockets."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from stoker.config.web import Certificate
from stoker.errors import ConfigError
from stoker.web.access.policy import Access
from stoker.web.master import make_app
from stoker.web.serve import LazyWebServer
from tests.support.cluster import Cluster
from tests.support.tls import make_certificate
from tests.support.web import Control, cluster_view, driver_view

MANY = tuple(driver_view(number, reason="x" * 100) for number in range(3000))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("tls")
    make_certificate(folder)
    return Certificate(chain=folder / "cert.pem", key=folder / "key.pem")


@pytest.fixture(scope="module")
def server(certificate: Certificate) -> Iterator[LazyWebServer]:
    def make() -> object:
        return make_app(lambda: cluster_view(active_drivers=MANY), Control(), access=Access())

    running = LazyWebServer("127.0.0.1", 0, make, tls=certificate.context())
    running.start()
    yield running
    running.close()


def connect(certificate: Certificate, port: int) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cafile=str(certificate.chain))
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)


def test_pages_small_and_large_on_one_connection(certificate: Certificate, server: LazyWebServer) -> None:
    connection = connect(certificate, server.port)
    for path, least in (("/healthz", 10), ("/json/", 500_000), ("/healthz", 10), ("/json/", 500_000)):
        connection.request("GET", path)
        response = connection.getresponse()
        assert (response.status, len(response.read()) >= least) == (200, True)
    connection.close()


def test_cookies_are_secure(certificate: Certificate, server: LazyWebServer) -> None:
    connection = connect(certificate, server.port)
    connection.request("GET", "/")
    response = connection.getresponse()
    assert "Secure" in (response.headers["Set-Cookie"] or "")
    connection.close()


def test_a_large_request_in_pieces(certificate: Certificate, server: LazyWebServer) -> None:
    connection = connect(certificate, server.port)
    connection.request("POST", "/driver/kill/", b"x" * 60_000, {"Content-Type": "application/x-www-form-urlencoded"})
    assert connection.getresponse().status == 401
    connection.close()


def test_events(certificate: Certificate, server: LazyWebServer) -> None:
    connection = connect(certificate, server.port)
    connection.request("GET", "/api/v1/events")
    response = connection.getresponse()
    assert response.readline().startswith(b"id: ")
    assert response.readline() == b"event: reset\n"
    response.close()
    connection.close()


def test_what_is_no_tls_disturbs_nobody(certificate: Certificate, server: LazyWebServer) -> None:
    silent = socket.create_connection(("127.0.0.1", server.port), 30)  # and never shakes hands
    for garbage in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 500, b"\0"):
        with socket.create_connection(("127.0.0.1", server.port), 30) as stranger:
            answer = b""
            with contextlib.suppress(OSError):  # refused at some point, which one is a matter of timing
                stranger.sendall(garbage)
                stranger.shutdown(socket.SHUT_WR)
                answer = stranger.recv(1000)
            assert not answer.startswith(b"HTTP"), "nothing is said in the clear"
    connection = connect(certificate, server.port)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    connection.close()
    silent.close()


@pytest.mark.parametrize(
    ("chain", "key"),
    [("cert.pem", "none.pem"), ("none.pem", "key.pem"), ("key.pem", "cert.pem"), ("cert.pem", "locked.pem")],
)
def test_certificates_that_cannot_be_used_are_one_line(certificate: Certificate, chain: str, key: str) -> None:
    folder: Path = certificate.chain.parent
    with pytest.raises(ConfigError, match=r"certChain .* and \.privateKey .* cannot be used: ") as caught:
        Certificate(chain=folder / chain, key=folder / key).context()
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.cluster
def test_a_cluster_with_certificates(tmp_path: Path, certificate: Certificate) -> None:
    properties = {
        "spark.ssl.standalone.enabled": "true",
        "spark.ssl.standalone.certChain": str(certificate.chain),
        "spark.ssl.standalone.privateKey": str(certificate.key),
    }
    with Cluster(tmp_path, properties=properties) as cluster:
        worker = cluster.status()["workers"][0]
        assert worker["webui_url"].startswith("https://127.0.0.1:")
        for port in (cluster.webui_port, int(worker["webui_url"].rpartition(":")[2])):
            connection = connect(certificate, port)
            connection.request("GET", "/json/")
            assert connection.getresponse().status == 200
            connection.close()
